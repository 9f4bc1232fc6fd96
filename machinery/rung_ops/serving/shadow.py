"""Scoring a share of the traffic with a release that never answers, and comparing."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from rung_ops.model import source_import
from rung_ops.model.rows import Rows, frame_of
from rung_ops.model.target import Kind
from rung_ops.prediction_log import Batch, now
from rung_ops.release.rollout import Comparison
from rung_ops.serving.hooks import NO_HOOKS
from rung_ops.serving.log_writer import PredictionLog

LOG = logging.getLogger("service")

# Seconds in which offers gather, to be scored as one batch: the larger, the cheaper by the row.
GATHER = 0.05
# Rows that may wait; more are dropped, so that the shadow never takes over the machine.
LIMIT = 4_096
# Requests of each gathering that are scored by themselves, as their callers sent them: a model may fail
# on a single row that it scores among others. The rest is one batch, which is cheaper by the row.
ALONE = 5


Adjust = Callable[[pl.DataFrame, np.ndarray], np.ndarray]
Complete = Callable[[pl.DataFrame], pl.DataFrame]


class ScoringRelease(Protocol):
    """A release as the shadow needs it: in this process, or in a separate one."""

    @property
    def id(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    def score(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]: ...


class Offer(NamedTuple):
    """Rows that the serving release has answered; all of equal length, but `heights`."""

    ids: Sequence[str]
    rows: Rows
    predictions: np.ndarray
    heights: Sequence[int]  # rows of each of its requests, in their order
    defaults: Sequence[Sequence[str]] | None = None
    sent: Sequence[Sequence[str]] | None = None

    def requests(self) -> Iterator["Offer"]:
        """Yield each of its requests as an offer."""
        if len(self.heights) == 1:
            yield self
            return
        start = 0
        for height in self.heights:
            yield self.cut(start, start + height, [height])
            start += height

    def cut(self, start: int, stop: int, heights: Sequence[int]) -> "Offer":
        """Return some of its rows, counted from 0, of requests of these heights."""
        rows, part = self.rows, slice(start, stop)
        return Offer(
            self.ids[part],
            rows[part] if isinstance(rows, pl.DataFrame) else rows._replace(rows=rows.rows[part]),
            self.predictions[part],
            heights,
            self.defaults and self.defaults[part],
            self.sent and self.sent[part],
        )


class Shadow:
    """Scores what is offered with another release, in a separate thread."""

    def __init__(
        self,
        release: ScoringRelease,
        share: float,
        log: PredictionLog | None = None,
        adjust: Adjust = NO_HOOKS.adjust,
        ended: Callable[[], None] = lambda: None,
        complete: Complete | None = None,
    ) -> None:
        self._ended = ended
        self._complete = complete
        self._adjust = adjust
        self.release = release  # that is on trial
        self.comparison = Comparison(release.kind)  # what it said beside the release that answers
        self.dropped = 0  # rows not scored, because too many waited
        self._share = share
        self._log = log
        self._offers: deque[Offer] = deque()
        self._waiting = 0
        self._draw = random.Random(0).random
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._warned = False
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, offer: Offer) -> None:
        """Keep references to a batch that was answered; never waits, never raises."""
        if self._draw() >= self._share:
            return
        rows = len(offer.ids)
        with self._lock:
            full = self._waiting + rows > LIMIT
            if full:
                self.dropped += rows
            else:
                self._offers.append(offer)
                self._waiting += rows
        if not full:
            self._wake.set()

    def close(self, seconds: float = 2.0) -> None:
        """Stop; what waits is not scored any more."""
        self._closed = True
        self._wake.set()
        self._ended()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if self._closed:
                return
            time.sleep(GATHER)
            self._wake.clear()
            with self._lock:
                offers = list(self._offers)
                self._offers.clear()
            for together in as_sent(offers):
                self._compare(together)
            with self._lock:  # what is being scored waits too, or a slow release piles up
                self._waiting -= sum(len(offer.ids) for offer in offers)

    def _compare(self, offers: list[Offer]) -> None:
        """Score offers together; where that fails, each request by itself, as the service does."""
        alone = sum(len(offer.heights) for offer in offers) == 1
        try:
            rows = frame_of([offer.rows for offer in offers])
            rows = rows if self._complete is None else self._complete(rows)
            features, predictions = self.release.score(rows)
            predictions = self._adjust(rows, predictions)
            served = np.concatenate([offer.predictions for offer in offers])
            self.comparison.observe(served, predictions, alone)
        except source_import.FAULTS as error:  # whatever fails here, the service continues
            if not alone:
                for request in (each for offer in offers for each in offer.requests()):
                    self._compare([request])
                return
            self.comparison.fail(len(offers[0].ids), alone)
            if not self._warned:
                LOG.error("The shadow %s cannot score: %s", self.release.id, error)
            self._warned = True
            return
        self._keep(offers, rows, features, predictions)

    def _keep(
        self,
        offers: list[Offer],
        rows: pl.DataFrame,
        features: pl.DataFrame,
        predictions: np.ndarray,
    ) -> None:
        if self._log is None:
            return
        start = 0
        for offer in offers:
            end = start + len(offer.ids)
            self._log.add(
                Batch(
                    time=now(),
                    ids=offer.ids,
                    release=self.release.id,
                    arm="shadow",
                    rows=rows[start:end],
                    features=features[start:end],
                    predictions=predictions[start:end],
                    defaults=offer.defaults,
                    kind=self.release.kind,
                    sent=offer.sent,
                )
            )
            start = end


def as_sent(offers: Sequence[Offer]) -> Iterator[list[Offer]]:
    """Yield what is scored together: each of the first requests by itself, then all others."""
    left, together = ALONE, []
    for offer in offers:
        first = offer.heights[:left]
        left -= len(first)
        if len(first) == len(offer.heights):
            yield from ([request] for request in offer.requests())
            continue
        start = sum(first)
        yield from ([request] for request in offer.cut(0, start, first).requests() if first)
        together.append(offer.cut(start, len(offer.ids), offer.heights[len(first) :]))
    if together:
        yield together
