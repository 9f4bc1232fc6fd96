"""The store is asked, and what it says is put into words.

Rung keeps this file; change it through store.toml.
"""
