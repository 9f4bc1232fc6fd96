"""Pytest checks of a project's own code, collected by tests/test_contract.py."""
