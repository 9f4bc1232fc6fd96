"""The documents of a model: its records, its technical file, and what shows that a control exists."""
