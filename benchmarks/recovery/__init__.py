"""The simulation of benchmarks/recovery.py."""
