"""Drafts of a project's own files, inferred from a file of rows; it needs Polars and nothing else."""
