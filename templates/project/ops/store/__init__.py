"""The raw data in an object store: listed and fetched into data/incoming.

Rung keeps this file; change it through store.toml.
"""
