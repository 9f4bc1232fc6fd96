"""The rows come out of a warehouse, window by window.

Rung keeps this folder; change it through ops/warehouse.toml and queries/rows.sql.
"""
