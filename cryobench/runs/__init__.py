"""One run: its task, its record, and the folder that keeps it."""
