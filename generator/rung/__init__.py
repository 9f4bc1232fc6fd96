"""Generate machine-learning repositories that can climb."""
