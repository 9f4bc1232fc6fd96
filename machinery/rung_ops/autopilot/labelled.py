"""Labelled predictions: the prediction log joined with outcomes."""

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops import contract, prediction_log
from rung_ops.autopilot.collect import ID, TIME
from rung_ops.model import bundle
from rung_ops.model.target import kind_in, packed
from rung_ops.monitoring import outcomes
from rung_ops.monitoring.outcomes import TRUTH
from rung_ops.project import release_folders
from rung_ops.release import state

RELEASE, ARM, PREDICTION = "answered_by", "answered_as", "answered"


def answers(environment: str, until: datetime, folder: Path | None = None) -> pl.DataFrame:
    """Read the predictions whose outcome is known.

    Args:
        environment: of the prediction log.
        until: end time, exclusive, with a time zone.
        folder: of the outcomes; by default data/outcomes.

    Returns:
        One row for each prediction that a caller received, earliest first: ID, TIME, RELEASE, ARM
        (serving, canary or batch), PREDICTION (as rung_ops.model.target.packed() has it; null where
        all are of a release that predicted another kind), and the columns of Row with the target.
    """
    log = prediction_log.read(prediction_log.folder(environment), until=until)
    received = log.filter(pl.col("arm") != "shadow").collect()
    empty = pl.DataFrame(schema={ID: pl.String, TIME: prediction_log.TIME})
    if not received.height:
        return empty
    released = _contract(environment)
    labels = outcomes.read(released, folder or outcomes.outcomes_folder())
    known = outcomes.join(received, labels).filter(pl.col(TRUTH).is_not_null())
    if not known.height:
        return empty
    kind, truth = kind_in(released), pl.col(TRUTH)
    if kind.classes:
        truth = truth.cast(pl.String)
    answered = packed(kind)
    if not set(answered.meta.root_names()) <= set(known.columns):
        answered = pl.lit(None)
    return known.select(
        pl.col("id").alias(ID),
        pl.col("time").alias(TIME),
        pl.col("release").alias(RELEASE),
        pl.col("arm").alias(ARM),
        answered.alias(PREDICTION),
        *_fields(known),
        truth.alias(contract.TARGET),
    ).sort(TIME, ID)


def _contract(environment: str) -> dict[str, Any]:
    """Read the contract of the serving release, which names the key of a row."""
    folder = release_folders.environment(environment)
    path = release_folders.bundle(folder, str(state.read(folder).serving)) / bundle.CONTRACT
    return bundle.parse_json(path, bundle.read_small(path))


def _fields(log: pl.DataFrame) -> list[pl.Expr]:
    row: Any = log.schema["row"]
    return [pl.col("row").struct.field(field.name) for field in row.fields]
