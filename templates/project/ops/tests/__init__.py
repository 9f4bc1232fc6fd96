"""Tests of the promises that the machinery builds on.

Rung keeps this file; change it through src/ and params.toml.
"""
