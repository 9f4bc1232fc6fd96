"""Tests of tuning and scoring on Ray.

Rung keeps this file; change it through src/ and params.toml.
"""
