"""What is scored: the rows of a request, whole or in parts, and what became of them."""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rung_ops.model import source_import
from rung_ops.model.reasons import Reason
from rung_ops.model.rows import Missing, Rows, Table, by_row
from rung_ops.serving.hooks import Score, score_release
from rung_ops.serving.loaded_release import LoadedRelease


class ScoringError(Exception):
    """The release could not score the rows, or a prediction is not a number."""


class Job:
    """The rows of one request.

    Attributes:
        served: the release that answers all of them.
        identity: the request's id.
        key: whose it is, where that decides on the release; empty otherwise.
        alone: it is a single JSON object.
        rows: as the reader decoded them, where they came as JSON objects.
        table: the same as a frame, where they came by columns.
        height: their number.
        arrived: when the request did, by time.perf_counter().
        future: done when they are scored; raises Failed.
        predictions: of the rows scored so far; of classes, a list of probabilities for each.
        defaults: names of their defaulted columns; None while there are none.
        explained: done when `reasons` has those of all rows; None if none were asked for.
        reasons: of the rows explained so far; None if none were asked for.
    """

    __slots__ = (
        *("served", "identity", "key", "alone", "rows", "table", "height", "arrived", "future"),
        *("predictions", "defaults", "explained", "reasons", "given"),
    )

    def __init__(
        self,
        served: LoadedRelease,
        identity: str,
        key: str,
        arrived: float,
        future: asyncio.Future[None],
        given: list[Any] | Table,
    ) -> None:
        """Keep what is to be scored: decoded rows, or a table."""
        self.served = served
        self.identity = identity
        self.key = key
        self.alone = False
        self.rows = None if isinstance(given, Table) else given
        self.table = given if isinstance(given, Table) else None
        self.height = given.frame.height if isinstance(given, Table) else len(given)
        self.arrived = arrived
        self.future = future
        self.predictions: list[Any] = []
        self.defaults: list[list[str]] | None = None
        self.explained: asyncio.Future[None] | None = None
        self.reasons: list[list[Reason]] | None = None
        self.given = 0  # rows that were handed out to be scored

    def ids(self, start: int, stop: int) -> list[str]:
        """Name some of the rows, counted from 0: the request's id, with the row's number."""
        if self.alone:
            return [self.identity]
        return [f"{self.identity}-{number}" for number in range(start + 1, stop + 1)]

    def explain(self, explained: asyncio.Future[None]) -> None:
        """Ask for the reasons of all rows."""
        self.explained, self.reasons = explained, []

    def add(self, predictions: Sequence[Any], defaults: list[list[str]] | None) -> None:
        """Take in what the next rows were answered."""
        if defaults is not None or self.defaults is not None:
            before = self.defaults or [[] for _ in self.predictions]
            self.defaults = before + (defaults or [[] for _ in predictions])
        self.predictions += predictions


class Part(NamedTuple):
    """Some rows of a job: from `start` to before `stop`, counted from 0."""

    job: Job
    start: int
    stop: int


class Scored(NamedTuple):
    """A batch that was scored: the rows of its parts, one after the other.

    Attributes:
        parts: of jobs of one release.
        rows, features: of them, shapes (n_rows, n_columns) and (n_rows, n_features).
        predictions: of the rows.
        missing, sent: as a Table has them.
    """

    parts: list[Part]
    rows: Rows
    features: Rows
    predictions: np.ndarray
    missing: Missing
    sent: Missing | None = None

    def defaults(self) -> list[list[str]] | None:
        """Name the defaulted columns of each row; None if nothing was missing."""
        return by_row(self.missing, len(self.predictions))

    def sent_by_row(self) -> list[list[str]] | None:
        """Name the columns of each row that the caller sent though they are looked up."""
        return by_row(self.sent, len(self.predictions))


def score_parts(
    parts: list[Part], score: Score = score_release
) -> list[Scored | tuple[Part, BaseException]]:
    """Score parts of jobs for one release together; where that fails, each by itself.

    So a row on which the features, the model or a hook fail takes no other request with it.
    """
    try:
        return [_score(parts, score)]
    except source_import.FAULTS as error:
        if len(parts) == 1:
            return [(parts[0], error)]
    return [outcome for part in parts for outcome in score_parts([part], score)]


def _score(parts: list[Part], score: Score) -> Scored:
    first = parts[0].job
    served, lookup = first.served, first.served.lookup
    if first.table is not None:
        if lookup is not None and parts[0].start == 0:  # once for all parts, as for its answer
            first.table = lookup.fill(first.table)
        table = _cut(first.table, parts[0].start, parts[0].stop)
    else:
        given = [row for job, start, stop in parts for row in (job.rows or ())[start:stop]]
        # A hook and the reasons take frames.
        if score is score_release and first.explained is None and served.takes_values(len(given)):
            values, missing = served.reader.values(given)
            scored = served.release.score_values(values)
            if scored is not None:
                _hold(served, scored[1], values.height)
                return Scored(parts, values, *scored, missing)
        table = served.reader.table(given, lookup)
    rows, features, predictions = score(served.release, table.frame)
    _hold(served, predictions, table.frame.height)
    return Scored(parts, rows, features, predictions, table.missing, table.sent)


def _hold(served: LoadedRelease, predictions: np.ndarray, height: int) -> None:
    if not np.isfinite(predictions).all() or len(predictions) != height:
        raise ScoringError(f"{served.release.id} gave no number for a row")


def _cut(table: Table, start: int, stop: int) -> Table:
    if start == 0 and stop == table.frame.height:
        return table
    frame = table.frame.slice(start, stop - start)
    missing = _between(table.missing, start, stop)
    return Table(frame, missing, table.sent and _between(table.sent, start, stop))


def _between(by_column: dict[str, list[int]], start: int, stop: int) -> dict[str, list[int]]:
    cut = {
        column: [row - start for row in rows[bisect_left(rows, start) : bisect_left(rows, stop)]]
        for column, rows in by_column.items()
    }
    return {column: rows for column, rows in cut.items() if rows}
