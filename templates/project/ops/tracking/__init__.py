"""Runs and versions on a server: started, asked, and given what was recorded elsewhere.

Rung keeps this file; change it through tracking.toml.
"""
