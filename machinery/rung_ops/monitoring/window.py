"""The rows of the prediction log that a check reads."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops import prediction_log
from rung_ops.monitoring.freshness import moment

SHADOW = "shadow"  # predictions that no caller received


@dataclass(frozen=True)
class Newest:
    """The newest moments of a log, in UTC: when an answer was given, and the TIME of a row."""

    prediction: datetime | None
    row: datetime | None


def rows(folder: Path, release: str, since: datetime, until: datetime) -> pl.DataFrame:
    """Read what a release answered.

    Args:
        folder: of the log.
        release: the id of the release.
        since: the first moment wanted, with a time zone.
        until: the first moment no longer wanted, with a time zone.

    Returns:
        Rows of the prediction log, in the order of their times.
    """
    wanted = (pl.col("release") == release) & (pl.col("arm") != SHADOW)
    return prediction_log.read(folder, since, until).filter(wanted).sort("time").collect()


def newest(log: pl.LazyFrame, time: str | None) -> Newest:
    """Find the newest moments, whichever release answered.

    Args:
        log: the log, or a part of it.
        time: the column that orders rows; None if they have none.
    """
    answered = log.filter(pl.col("arm") != SHADOW)
    row = log.collect_schema()["row"]
    names = {each.name for each in row.fields} if isinstance(row, pl.Struct) else set()
    asked: list[pl.Expr] = [pl.col("time").max()]
    if time in names:
        asked.append(pl.col("row").struct.field(str(time)).max().alias("row"))
    ends: dict[str, Any] = answered.select(asked).collect().row(0, named=True)
    return Newest(moment(ends["time"]), moment(ends.get("row")))
