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


def _answer(meaning: str, name: str, reasons: Any, **fields: Any) -> Any:
    """Make a type of answers; the schema calls it by the same name, whatever is predicted."""
    listed: list[Any] = list(fields.items())
    if reasons is not None:
        listed.append(("reasons", reasons | UnsetType, UNSET))
    return msgspec.defstruct(name, listed, namespace={"__doc__": meaning})


INTERVAL_ANSWER = _answer(
    "The median of one row, and the interval around it; `reasons` of the median if requested.",
    "Answer",
    list[Reason],
    id=str,
    prediction=float,
    interval=Interval,
    release=str,
    defaults_used=list[str],
)
INTERVAL_ANSWERS = _answer(
    "The median of each row of an array, the interval around it, `reasons` if requested.",
    "Answers",
    list[list[Reason]],
    release=str,
    predictions=list[float],
    intervals=list[Interval],
    ids=list[str],
    defaults_used=list[list[str]],
)
INTERVAL_ANSWERS_BY_COLUMN = _answer(
    "The median of each row of a table. `defaults_used` counts rows from 1.",
    "AnswersByColumn",
    None,
    release=str,
    predictions=list[float],
    intervals=IntervalByColumn,
    ids=list[str],
    defaults_used=dict[str, list[int]],
)


class ClassTypes(NamedTuple):
    """The types of answers of a release that predicts one of several classes.

    They are made from its classes, so that the schema names them.

    Attributes:
        row, rows, table: the answer to a single row, to an array, to a table.
        probabilities, probabilities_by_column: in them, with a field for each class.
    """

    row: Any
    rows: Any
    table: Any
    probabilities: Any
    probabilities_by_column: Any


@lru_cache(maxsize=8)
def class_types(classes: tuple[str, ...]) -> ClassTypes:
    """Make the types of answers with these classes."""
    probabilities = _by_class("Probabilities", classes, float)
    by_column = _by_class("ProbabilitiesByColumn", classes, list[float])
    name: Any = Literal[classes]
    row = _answer(
        "The most probable class of one row, and the probability of each; `reasons` if requested.",
        "Answer",
        list[Reason],
        id=str,
        prediction=name,
        probabilities=probabilities,
        release=str,
        defaults_used=list[str],
    )
    rows = _answer(
        "The most probable class of each row of an array, in their order; `reasons` if requested.",
        "Answers",
        list[list[Reason]],
        release=str,
        predictions=_list_of(name),
        probabilities=_list_of(probabilities),
        ids=list[str],
        defaults_used=list[list[str]],
    )
    table = _answer(
        "The most probable class of each row of a table. `defaults_used` counts rows from 1.",
        "AnswersByColumn",
        None,
        release=str,
        predictions=_list_of(name),
        probabilities=by_column,
        ids=list[str],
        defaults_used=dict[str, list[int]],
    )
    return ClassTypes(row, rows, table, probabilities, by_column)


def _by_class(name: str, classes: tuple[str, ...], kind: Any) -> Any:
    # A class may be called anything, a field of a struct may not.
    fields = {f"c{code}": label for code, label in enumerate(classes)}
    return msgspec.defstruct(name, [(field, kind) for field in fields], rename=fields)


def _list_of(kind: Any) -> Any:
    return list[kind]


def types_of(kind: Kind) -> tuple[Any, Any, Any]:
    """Return the types of the answers to a row, to an array, to a table."""
    if kind.classes:
        of_classes = class_types(kind.classes)
        return of_classes.row, of_classes.rows, of_classes.table
    if kind.width:
        return INTERVAL_ANSWER, INTERVAL_ANSWERS, INTERVAL_ANSWERS_BY_COLUMN
    return Answer, Answers, AnswersByColumn


def of_row(job: Job) -> bytes:
    """Answer a single row."""
    release, prediction = job.served.release, job.predictions[0]
    defaults = job.defaults[0] if job.defaults else []
    reasons = UNSET if job.reasons is None else job.reasons[0]
    kind = release.kind
    if not kind.width:
        return _encode(Answer(job.identity, prediction, release.id, defaults, reasons))
    if not kind.classes:
        low, median, high = prediction
        interval = Interval(low, high, kind.level)
        return _encode(
            INTERVAL_ANSWER(job.identity, median, interval, release.id, defaults, reasons)
        )
    types = class_types(kind.classes)
    name = labels(np.array([prediction]), kind.classes)[0]
    probabilities = types.probabilities(*prediction)
    return _encode(types.row(job.identity, name, probabilities, release.id, defaults, reasons))


def of_rows(job: Job) -> bytes:
    """Answer a JSON array."""
    release, predictions = job.served.release, job.predictions
    defaults = job.defaults or [[]] * job.height
    ids = job.ids(0, job.height)
    reasons = UNSET if job.reasons is None else job.reasons
    kind = release.kind
    if not kind.width:
        return _encode(Answers(release.id, predictions, ids, defaults, reasons))
    if not kind.classes:
        intervals = [Interval(low, high, kind.level) for low, _, high in predictions]
        medians = [median for _, median, _ in predictions]
        return _encode(INTERVAL_ANSWERS(release.id, medians, intervals, ids, defaults, reasons))
    types = class_types(kind.classes)
    names = labels(np.array(predictions), kind.classes)
    probabilities = [types.probabilities(*row) for row in predictions]
    return _encode(types.rows(release.id, names, probabilities, ids, defaults, reasons))


def of_table(job: Job) -> bytes:
    """Answer columns."""
    release, predictions = job.served.release, job.predictions
    missing = job.table.missing if job.table is not None else {}
    defaults = {column: [row + 1 for row in rows] for column, rows in missing.items()}
    ids = job.ids(0, job.height)
    kind = release.kind
    if not kind.width:
        return _encode(AnswersByColumn(release.id, predictions, ids, defaults))
    if not kind.classes:
        low, medians, high = map(list, zip(*predictions, strict=True))
        intervals = IntervalByColumn(low, high, kind.level)
        return _encode(INTERVAL_ANSWERS_BY_COLUMN(release.id, medians, intervals, ids, defaults))
    types = class_types(kind.classes)
    matrix = np.array(predictions)
    probabilities = types.probabilities_by_column(*matrix.T.tolist())
    return _encode(
        types.table(release.id, labels(matrix, kind.classes), probabilities, ids, defaults)
    )
