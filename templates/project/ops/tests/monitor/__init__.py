"""Tests of the monitor: it sees what changed, and is silent where nothing has.

Rung keeps this file; change it through monitor.toml.
"""
