"""The verbs that read repositories, each whole in one file."""
