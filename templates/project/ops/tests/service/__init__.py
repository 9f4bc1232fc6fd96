"""Tests of the prediction service.

Rung keeps this file; change it through service.toml.
"""
