"""What production answered and how it turned out: the prediction log, joined with outcomes."""

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops import contract
from rung_ops.autopilot.collect import ID, TIME
from rung_ops.batch import prediction_log
from rung_ops.monitoring import outcomes
from rung_ops.monitoring.outcomes import TRUTH
from rung_ops.release import bundle, paths, state

RELEASE, ARM, PREDICTION = "answered_by", "answered_as", "answered"


def answers(environment: str, until: datetime, folder: Path | None = None) -> pl.DataFrame:
    """Read the answers whose outcome is known.

    Args:
        environment: whose prediction log.
        until: the first moment that is not looked at, with a zone.
        folder: of the outcomes; data/outcomes if not given.

    Returns:
        One row for each answer that somebody was given, the earliest first: ID, TIME, RELEASE,
        ARM (serving, canary or batch), PREDICTION, and the columns of Row with the target.
    """
    log = prediction_log.read(prediction_log.folder(environment), until=until)
    given = log.filter(pl.col("arm") != "shadow").collect()
    empty = pl.DataFrame(schema={ID: pl.String, TIME: prediction_log.TIME})
    if not given.height:
        return empty
    told = outcomes.read(_contract(environment), folder or outcomes.OUTCOMES)
    known = outcomes.join(given, told).filter(pl.col(TRUTH).is_not_null())
    if not known.height:
        return empty
    return known.select(
        pl.col("id").alias(ID),
        pl.col("time").alias(TIME),
        pl.col("release").alias(RELEASE),
        pl.col("arm").alias(ARM),
        pl.col("prediction").alias(PREDICTION),
        *_fields(known),
        pl.col(TRUTH).alias(contract.TARGET),
    ).sort(TIME, ID)


def _contract(environment: str) -> dict[str, Any]:
    """Read the contract of the release that answers: it says whose outcome is whose."""
    place = paths.environment(environment)
    path = paths.bundle(place, str(state.read(place).serving)) / bundle.CONTRACT
    return bundle.parse_json(path, bundle.read_small(path))


def _fields(log: pl.DataFrame) -> list[pl.Expr]:
    row: Any = log.schema["row"]
    return [pl.col("row").struct.field(field.name) for field in row.fields]
