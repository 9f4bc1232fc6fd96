"""Tests of what governance adds: approval, bounds, the kill switch, the audit log.

Rung keeps this file; change it through governance/.
"""
