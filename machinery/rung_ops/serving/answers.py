"""The answers of the service as JSON: a number, a class with probabilities, or an interval.

Each kind of prediction has three types of answers: to a row, to an array of rows, to a table. They
are also the schema in /openapi.json.
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from rung_ops.model.reasons import Reason
from rung_ops.model.target import Kind, labels
from rung_ops.serving.batching import Job

_encode = msgspec.json.Encoder().encode


class Interval(msgspec.Struct):
    """From the low to the high quantile; `level` is the share of rows that it is to hold."""

    low: float
    high: float
    level: float


class IntervalByColumn(msgspec.Struct):
    """From the low to the high quantile of each row; `level` as in Interval."""

    low: list[float]
    high: list[float]
    level: float


class AnswerTypes(NamedTuple):
    """The types of a release's answers, and of what they have beside the prediction."""

    row: Any
    rows: Any
    table: Any
    detail: Any  # of a row: its interval, or the probability of each class; None for a number
    details: Any  # the same of a table, by column


@lru_cache(maxsize=8)
def types_of(kind: Kind) -> AnswerTypes:
    """Make the types of the answers to a row, an array and a table; their schema names the classes."""
    what, name, plural, predicted = "The prediction", "", "", float
    detail: Any = None
    details: Any = None
    if kind.classes:
        what, name, plural = "The most probable class", "probabilities", "probabilities"
        predicted = Literal[kind.classes]  # type: ignore[assignment]
        detail = _by_class("Probabilities", kind.classes, float)
        details = _by_class("ProbabilitiesByColumn", kind.classes, list[float])
    elif kind.width:
        what, name, plural = "The median, and the interval around it,", "interval", "intervals"
        detail, details = Interval, IntervalByColumn
    defaults, reasons = ("defaults_used", list[str]), ("reasons", list[Reason] | UnsetType, UNSET)
    row = [("id", str), ("prediction", predicted), (name, detail), ("release", str)]
    many = [("release", str), ("predictions", _list_of(predicted))]
    rows = [*many, (plural, _list_of(detail)), ("ids", list[str])]
    table = [*many, (plural, details), ("ids", list[str]), ("defaults_used", dict[str, list[int]])]
    listed = [
        ("defaults_used", list[list[str]]),
        ("reasons", list[list[Reason]] | UnsetType, UNSET),
    ]
    suffix = f"`reasons`{' of the median' if name == 'interval' else ''}, the strongest first, if requested."
    by_row = f"{what} of each row of an array, in their order; {suffix}"
    by_column = f"{what} of each row of a table, in its order. `defaults_used` counts rows from 1."
    return AnswerTypes(
        _struct(f"{what} of one row; {suffix}", "Answer", [*row, defaults, reasons]),
        _struct(by_row, "Answers", [*rows, *listed]),
        _struct(by_column, "AnswersByColumn", table),
        detail,
        details,
    )


def _struct(meaning: str, name: str, fields: list[Any]) -> Any:
    named = [field for field in fields if field[0]]
    return msgspec.defstruct(name, named, namespace={"__doc__": meaning})


def _by_class(name: str, classes: tuple[str, ...], kind: Any) -> Any:
    # A class may be called anything, a field of a struct may not.
    fields = {f"c{code}": label for code, label in enumerate(classes)}
    return msgspec.defstruct(name, [(field, kind) for field in fields], rename=fields)


def _list_of(kind: Any) -> Any:
    return list[kind]


def of_row(job: Job) -> bytes:
    """Answer a single row."""
    release, shown = job.served.release, job.predictions
    defaults = job.defaults[0] if job.defaults else []
    reasons = UNSET if job.reasons is None else job.reasons[0]
    if release.kind.width:
        shown = [values[0] for values in _by_row(release.kind, shown)]
    return _encode(types_of(release.kind).row(job.identity, *shown, release.id, defaults, reasons))


def of_rows(job: Job) -> bytes:
    """Answer a JSON array."""
    release = job.served.release
    defaults = job.defaults or [[]] * job.height
    reasons = UNSET if job.reasons is None else job.reasons
    shown = _by_row(release.kind, job.predictions)
    ids = job.ids(0, job.height)
    return _encode(types_of(release.kind).rows(release.id, *shown, ids, defaults, reasons))


def of_table(job: Job) -> bytes:
    """Answer columns."""
    release, kind = job.served.release, job.served.release.kind
    types = types_of(kind)
    missing = job.table.missing if job.table is not None else {}
    defaults = {column: [row + 1 for row in rows] for column, rows in missing.items()}
    shown: list[Any] = [job.predictions]
    if kind.classes:
        matrix = np.array(job.predictions)
        shown = [labels(matrix, kind.classes), types.details(*matrix.T.tolist())]
    elif kind.width:
        low, medians, high = map(list, zip(*job.predictions, strict=True))
        shown = [medians, IntervalByColumn(low, high, kind.level)]
    return _encode(types.table(release.id, *shown, job.ids(0, job.height), defaults))


def _by_row(kind: Kind, predictions: list[Any]) -> list[list[Any]]:
    """Return the prediction of each row, and its detail where the kind has one."""
    if not kind.width:
        return [predictions]
    if kind.classes:
        detail = types_of(kind).detail
        return [labels(np.array(predictions), kind.classes), [detail(*row) for row in predictions]]
    intervals = [Interval(low, high, kind.level) for low, _, high in predictions]
    return [[median for _, median, _ in predictions], intervals]
