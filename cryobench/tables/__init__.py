"""Records → the cells of tables, and their text."""
