"""Tests of runs and versions on a server: asked, waited for, copied.

Rung keeps this file; change it through src/ and params.toml.
"""
