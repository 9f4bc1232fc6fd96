"""Tests of what lists and fetches the raw data.

Rung keeps this file; change it through store.toml.
"""
