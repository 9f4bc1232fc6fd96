"""Tests of what takes rows out of a warehouse; DuckDB stands for every one.

Rung keeps this file; change it through src/ and params.toml.
"""
