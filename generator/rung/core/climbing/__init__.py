"""Take a project up and down the ladder without losing a line."""
