"""The answers of a release that predicts quantiles: the median, and the interval around it."""

import msgspec
from msgspec import UNSET, UnsetType

from rung_ops.model.reasons import Reason
from rung_ops.serving.jobs import Job


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


class Answer(msgspec.Struct):
    """The median of one row, and the interval around it; `reasons` of the median if requested."""

    id: str
    prediction: float
    interval: Interval
    release: str
    defaults_used: list[str]
    reasons: list[Reason] | UnsetType = UNSET


class Answers(msgspec.Struct):
    """The median of each row of an array, the interval around it, `reasons` if requested."""

    release: str
    predictions: list[float]
    intervals: list[Interval]
    ids: list[str]
    defaults_used: list[list[str]]
    reasons: list[list[Reason]] | UnsetType = UNSET


class AnswersByColumn(msgspec.Struct):
    """The median of each row of a table. `defaults_used` counts rows from 1."""

    release: str
    predictions: list[float]
    intervals: IntervalByColumn
    ids: list[str]
    defaults_used: dict[str, list[int]]


def of_one(job: Job, defaults: list[str]) -> Answer:
    """Answer a single row."""
    release = job.served.release
    ((low, median, high),) = job.predictions
    interval = Interval(low, high, release.kind.level)
    reasons = UNSET if job.reasons is None else job.reasons[0]
    return Answer(job.identity, median, interval, release.id, defaults, reasons)


def of_many(job: Job, ids: list[str], defaults: list[list[str]]) -> Answers:
    """Answer a JSON array."""
    release = job.served.release
    level = release.kind.level
    intervals = [Interval(low, high, level) for low, _, high in job.predictions]
    medians = [median for _, median, _ in job.predictions]
    reasons = UNSET if job.reasons is None else job.reasons
    return Answers(release.id, medians, intervals, ids, defaults, reasons)


def by_columns(job: Job, ids: list[str], used: dict[str, list[int]]) -> AnswersByColumn:
    """Answer columns."""
    release = job.served.release
    low, medians, high = map(list, zip(*job.predictions, strict=True))
    interval = IntervalByColumn(low, high, release.kind.level)
    return AnswersByColumn(release.id, medians, interval, ids, used)
