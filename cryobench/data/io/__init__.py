"""Files of the field: stacks, star files, maps."""
