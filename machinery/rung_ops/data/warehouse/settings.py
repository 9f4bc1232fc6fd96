"""What ops/warehouse.toml says."""

import tomllib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rung_ops.data.warehouse.errors import WarehouseError
from rung_ops.project import current
from rung_ops.project.paths import shown


def settings_file() -> Path:
    """Return the path of ops/warehouse.toml."""
    return current().root / "ops/warehouse.toml"


def taken_folder() -> Path:
    """Return the folder of the rows that were taken from a warehouse."""
    return current().warehouse


# where the windows lie


def sample_warehouse() -> Path:
    """Return the path of the warehouse that the sample is in."""
    return current().root / "data/warehouse.duckdb"


@dataclass(frozen=True)
class Settings:
    """How rows are taken.

    Attributes:
        query: the SQL file.
        watermark: the column that says when a row came; None if each pull takes all rows.
        first: the first day of the first window; unused without a watermark.
        window: length of a window, in whole days.
        lag: how long rows may still come or change.
    """

    query: Path
    watermark: str | None
    first: date
    window: timedelta
    lag: timedelta


def read(file: Path | None = None, root: Path | None = None) -> Settings:
    """Read ops/warehouse.toml.

    Args:
        file: the settings.
        root: the folder that `query` is relative to.

    Raises:
        WarehouseError: it is missing, cannot be read, or says what cannot be.
    """
    file = settings_file() if file is None else file
    root = current().root if root is None else root
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WarehouseError(f"{shown(file)} is missing: take it back from git.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WarehouseError(f"{shown(file)} is not valid TOML: {error}.") from None
    unknown = sorted(set(settings) - {"query", "watermark", "first", "window_days", "lag_hours"})
    if unknown:
        raise WarehouseError(f"{shown(file)}: `{unknown[0]}` is not a setting.")
    watermark = _typed(file, settings, "watermark", str, "a column of the query, or empty")
    first = _typed(file, settings, "first", date, "a day, such as 2013-01-01")
    if isinstance(first, datetime):
        raise WarehouseError(f"{shown(file)}: `first` must be a day, without a time.")
    days = _typed(file, settings, "window_days", int, "a number of days")
    hours = _typed(file, settings, "lag_hours", int, "a number of hours")
    if days < 1 or hours < 0:
        raise WarehouseError(
            f"{shown(file)}: `window_days` must be 1 or more, and `lag_hours` 0 or more."
        )
    query = root / _typed(file, settings, "query", str, "a file")
    return Settings(query, watermark or None, first, timedelta(days=days), timedelta(hours=hours))


def _typed(file: Path, settings: dict[str, Any], name: str, kind: type, words: str) -> Any:
    value = settings.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise WarehouseError(f"{shown(file)}: `{name}` must be {words}.")
    return value
