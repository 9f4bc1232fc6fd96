"""Tuning and batch scoring on Ray: on this machine, or on a cluster."""
