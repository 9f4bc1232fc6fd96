"""Raw files, incoming data, the object store and the warehouse."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Give `row_checks`, which notebooks of projects import from here, and which moved."""
    if name == "row_checks":
        from rung_ops.contract import row_checks

        return row_checks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
