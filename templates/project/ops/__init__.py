"""The machinery around the model.

Rung keeps this file; change it through src/ and params.toml.
"""
