"""What `rung adopt` does: an existing repository comes onto the ladder, and keeps every file."""
