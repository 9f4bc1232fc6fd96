"""A commit brought to branch, index and work tree at once, or rolled back."""
