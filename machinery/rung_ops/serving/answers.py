"""The answers of the service as JSON and Arrow."""

import io
import sys
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import polars as pl
from msgspec import UNSET, UnsetType

from rung_ops.model.reasons import Reason
from rung_ops.model.target import Kind, columns
from rung_ops.serving.arrow_guard import Form
from rung_ops.serving.jobs import Job


class Answer(msgspec.Struct):
    """The prediction for one row; `reasons` if requested, the strongest first."""

    id: str
    prediction: float
    release: str
    defaults_used: list[str]
    reasons: list[Reason] | UnsetType = UNSET


class Answers(msgspec.Struct):
    """The predictions for an array of rows, in their order; `reasons` if requested."""

    release: str
    predictions: list[float]
    ids: list[str]
    defaults_used: list[list[str]]
    reasons: list[list[Reason]] | UnsetType = UNSET


class AnswersByColumn(msgspec.Struct):
    """The predictions for a table, in the order of its rows.

    `defaults_used` names the rows of each column by their numbers, counted from 1.
    """

    release: str
    predictions: list[float]
    ids: list[str]
    defaults_used: dict[str, list[int]]


_encode = msgspec.json.Encoder().encode


def _beside(kind: Kind) -> ModuleType:
    """Import what answers more than one number: a service of one number needs none of it."""
    if kind.classes:
        from rung_ops.serving import class_answers

        return class_answers
    from rung_ops.serving import interval_answers

    return interval_answers


def types_of(kind: Kind) -> tuple[Any, Any, Any]:
    """Return the types of the answers to a row, to an array, to a table."""
    if kind.classes:
        of_classes = _beside(kind).types_of(kind.classes)
        return of_classes.one, of_classes.many, of_classes.by_column
    there = _beside(kind) if kind.width else sys.modules[__name__]
    return there.Answer, there.Answers, there.AnswersByColumn


def of_one(job: Job) -> bytes:
    """Answer a single row."""
    defaults = job.defaults[0] if job.defaults else []
    release = job.served.release
    if release.kind.width:
        return _encode(_beside(release.kind).of_one(job, defaults))
    answer = Answer(job.identity, job.predictions[0], release.id, defaults)
    if job.reasons is not None:
        answer.reasons = job.reasons[0]
    return _encode(answer)


def of_many(job: Job) -> bytes:
    """Answer a JSON array."""
    defaults = job.defaults or [[] for _ in job.predictions]
    ids = job.ids(0, job.height)
    release = job.served.release
    if release.kind.width:
        return _encode(_beside(release.kind).of_many(job, ids, defaults))
    answer = Answers(release.id, job.predictions, ids, defaults)
    if job.reasons is not None:
        answer.reasons = job.reasons
    return _encode(answer)


def by_columns(job: Job) -> bytes:
    """Answer columns."""
    missing = job.table.missing if job.table is not None else {}
    used = {column: [row + 1 for row in rows] for column, rows in missing.items()}
    ids = job.ids(0, job.height)
    release = job.served.release
    if release.kind.width:
        return _encode(_beside(release.kind).by_columns(job, ids, used))
    return _encode(AnswersByColumn(release.id, job.predictions, ids, used))


def as_arrow(job: Job, form: Form) -> bytes:
    """Answer an Arrow table: id, prediction, probabilities or interval, defaults_used."""
    kind = pl.List(pl.String())
    if job.defaults is None:  # to make a list of each row would cost as much as the model
        defaults = pl.Series([[]], dtype=kind).new_from_index(0, job.height)
    else:
        defaults = pl.Series(job.defaults, dtype=kind)
    frame = pl.DataFrame(
        [
            pl.Series("id", job.ids(0, job.height), dtype=pl.String),
            *columns(np.array(job.predictions), job.served.release.kind),
            defaults.alias("defaults_used"),
        ]
    )
    written = io.BytesIO()
    write = frame.write_ipc_stream if form == "stream" else frame.write_ipc
    # The oldest form of texts is the one that every reader knows.
    write(written, compat_level=pl.CompatLevel.oldest())
    return written.getvalue()
