"""The review of a repository: its files are read, none of its code runs, its rung is determined."""
