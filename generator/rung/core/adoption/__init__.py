"""`rung adopt`: an existing repository becomes a project, and keeps every file."""
