"""Batch scoring, and the log of predictions."""
