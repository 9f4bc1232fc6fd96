"""Tests of what a release is: written, signed, verified, put in place and taken back.

Rung keeps this file; change it through src/ and params.toml.
"""
