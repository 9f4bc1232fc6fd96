"""Tuning, batch scoring and training on Ray: on this machine, or on a cluster."""
