"""The command line: its entry, and one file for each verb or tight family of verbs."""
