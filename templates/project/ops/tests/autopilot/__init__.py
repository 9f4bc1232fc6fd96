"""Tests of what the autopilot decides and does, and of the replay's parts.

Rung keeps this file; change it through autopilot.toml.
"""
