"""The metrics of the service, for Prometheus."""

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import asdict
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from rung_ops.prediction_log import AUTOPILOT_PROM
from rung_ops.project.service_settings import SLO
from rung_ops.release.history import State
from rung_ops.serving.log_writer import PredictionLog
from rung_ops.serving.shadow import Shadow
from rung_ops.serving.workers import Worker
from rung_ops.system import files
from rung_ops.system.files import read_regular

MAX_MONITOR_BYTES = 16_000_000  # of the monitor's figures, which are some kilobytes
ARMS = ("serving", "canary")
# Of a request's answer: `invalid` is the caller's mistake, `refused` was shed or stopped, `failed`
# is ours.
OUTCOMES = ("answered", "invalid", "refused", "failed")
# Why the service ended a connection by itself.
ENDED = ("connections", "head_size", "head_time", "body_time", "write_time")
# An answer takes about a millisecond; the objective in ops/service.toml is some tens of them.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)

disable_created_metrics()  # the time of each counter's start: as many lines again, never used


class Metrics:
    """Counts; all but exposition() are called on the event loop, once a batch or less."""

    def __init__(
        self, monitor: Path | None = None, slo: SLO | None = None, worker: Worker | None = None
    ) -> None:
        self.registry = CollectorRegistry()
        self._worker = worker
        # Figures that the monitor writes, in Prometheus' format; beside them are the autopilot's.
        self._monitor = monitor
        self._log: PredictionLog | None = None
        self._shadow: Shadow | None = None
        self._lookups: Callable[[], Iterator[Metric]] | None = None
        self._queued: Callable[[], int] | None = None
        self._releases: dict[str, str] = {}
        self._seconds = {arm: Histogram(SECONDS) for arm in ARMS}
        self._batches = {arm: Histogram(BATCH_ROWS) for arm in ARMS}
        requests = self._counter(
            "service_requests",
            "Requests by the arm that answered (none: before one was chosen) and the outcome.",
            ["arm", "outcome"],
        )
        self._requests = {
            (arm, outcome): requests.labels(arm, outcome)
            for arm in (*ARMS, "none")
            for outcome in OUTCOMES
            if (arm == "none") == (outcome in ("invalid", "refused")) or outcome == "failed"
        }
        self._defaults = self._counter(
            "service_defaults_used",
            "Rows in which the contract's default replaced a missing value, by column.",
            ["column"],
        )
        self._swaps = self._counter(
            "service_swaps",
            "Changes of the loaded release: loaded, or refused with the last good one kept.",
            ["outcome"],
            ("loaded", "refused"),
        )
        self._trials = self._counter(
            "service_trials",
            "Trials of a release, in shadow and canary, that ended: promoted or not_promoted.",
            ["outcome"],
            ("promoted", "not_promoted"),
        )
        self._rollbacks = self._counter(
            "service_rollbacks", "Returns from the serving release to the one before it."
        )
        self._ended = self._counter(
            "service_connections_ended",
            "Connections that the service ended: too many, or one sent too much or too slowly.",
            ["reason"],
            ENDED,
        )
        self._ready = self._gauge("service_ready", "1 while the service answers predictions.")
        self._stopped = self._gauge("service_stopped", "1 while a person has stopped the model.")
        if slo is not None:  # which the alert rules compare with
            what = "What [slo] in ops/service.toml promises, by setting."
            objectives = self._gauge("service_slo", what, ["setting"])
            for setting, value in asdict(slo).items():
                objectives.labels(setting).set(value)
        self.registry.register(self)
        PlatformCollector(self.registry)
        ProcessCollector(registry=self.registry)

    def _counter(
        self, name: str, text: str, labels: Sequence[str] = (), values: Sequence[str] = ()
    ) -> Counter:
        """Make a counter; those of `values`, of its only label, are exported before they count."""
        counter = Counter(name, text, labels, registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def observe_batch(
        self,
        arm: str,
        seconds: Sequence[float],
        rows: int,
        defaults: Sequence[Sequence[str]] | None = None,
    ) -> None:
        """Count a batch that was answered."""
        self._requests[arm, "answered"].inc(len(seconds))
        self._seconds[arm].observe(seconds)
        self._batches[arm].observe((rows,))
        if defaults:
            for names in defaults:
                for name in names:
                    self._defaults.labels(name).inc()

    def count_ended(self, reason: str) -> None:
        """Count a connection that the service ended by itself."""
        self._ended.labels(reason).inc()

    def count(self, outcome: str, arm: str = "none", requests: int = 1) -> None:
        """Count requests that were not answered: invalid, refused or failed."""
        self._requests[arm, outcome].inc(requests)

    def swap(self, outcome: str) -> None:
        """Count a change of release: loaded or refused."""
        self._swaps.labels(outcome).inc()

    def follow_state(self, before: State, state: State) -> None:
        """Count what happened from one state of the environment to the next."""
        for release in set(before.on_trial) - set(state.on_trial):
            outcome = "promoted" if release == state.serving else "not_promoted"
            self._trials.labels(outcome).inc()
        if before.previous and before.serving != state.serving == before.previous[0]:
            self._rollbacks.inc()

    def set_status(self, releases: Mapping[str, str], ready: bool, stopped: bool) -> None:
        """Set what is loaded, by arm (serving, canary, shadow), and whether it answers."""
        self._releases = dict(releases)
        self._ready.set(ready)
        self._stopped.set(stopped)

    def follow(
        self,
        log: PredictionLog | None = None,
        shadow: Shadow | None = None,
        queued: Callable[[], int] | None = None,
        lookups: Callable[[], Iterator[Metric]] | None = None,
    ) -> None:
        """Export figures of other objects when scraped; `queued` counts waiting rows."""
        self._log = log or self._log
        self._shadow = shadow or self._shadow
        self._queued = queued or self._queued
        self._lookups = lookups or self._lookups

    def exposition(self) -> bytes:
        """Return all figures in Prometheus' format, and those of monitor and autopilot if any.

        Those of a worker come with the ones of all others, each with its number.
        """
        text = generate_latest(self.registry if self._worker is None else self._of_all_workers())
        return text + self._of_the_monitor()

    def families(self) -> Iterator[Metric]:
        """Return the figures of this process; those of the monitor come from one worker alone."""
        yield from self.registry.collect()
        if self._worker is None or self._worker.number == 1:
            yield from text_string_to_metric_families(self._of_the_monitor().decode())

    def _of_the_monitor(self) -> bytes:
        text = b""
        if self._monitor is not None:
            for path in (self._monitor, self._monitor.with_name(AUTOPILOT_PROM)):
                with contextlib.suppress(OSError):
                    text += read_regular(path, MAX_MONITOR_BYTES)
        return text

    def publish(self) -> None:
        """Write the figures of a worker for the others."""
        assert self._worker is not None
        path = self._worker.figures
        draft = files.draft_of(path)
        draft.write_bytes(generate_latest(self.registry))
        draft.replace(path)

    def _of_all_workers(self) -> Collector:
        assert self._worker is not None
        # Its own come from memory: it answers where its file cannot be written, or was removed.
        texts = {self._worker.figures.stem: generate_latest(self.registry)}
        for path in self._worker.folder.glob("*.prom"):
            with contextlib.suppress(OSError):
                texts.setdefault(path.stem, path.read_bytes())
        families: dict[str, Metric] = {}
        for number, text in sorted(texts.items()):
            for read in text_string_to_metric_families(text.decode()):
                new = Metric(read.name, read.documentation, read.type)
                family = families.setdefault(read.name, new)
                for sample in read.samples:
                    family.add_sample(sample.name, sample.labels | {"worker": number}, sample.value)
        return _Families(families.values())

    def collect(self) -> Iterator[Metric]:
        """Return what is counted elsewhere or by batch, as prometheus_client asks for it."""
        for name, text, histograms in (
            ("service_request_seconds", "Time from arrival to answer, by arm.", self._seconds),
            ("service_batch_rows", "Rows that were scored together, by arm.", self._batches),
        ):
            family = HistogramMetricFamily(name, text, labels=["arm"])
            for arm, histogram in histograms.items():
                family.add_metric([arm], histogram.buckets(), histogram.total)
            yield family
        loaded = GaugeMetricFamily(
            "service_release_info", "The release that an arm has loaded.", labels=["arm", "release"]
        )
        for arm, release in self._releases.items():
            loaded.add_metric([arm, release], 1)
        yield loaded
        if self._queued is not None:
            yield GaugeMetricFamily(
                "service_queue_rows", "Rows that wait to be scored.", value=self._queued()
            )
        if (log := self._log) is not None:
            rows = {"written": log.written, "dropped": log.dropped}
            text = "Rows of the prediction log: written, or dropped."
            yield counted("prediction_log_rows", text, ["outcome"], rows)
            text = "Attempts to write it that failed."
            yield CounterMetricFamily("prediction_log_failures", text, value=log.failures)
            text = "Times that its writer was found dead."
            yield CounterMetricFamily("prediction_log_restarts", text, value=log.restarts)
            text = "Rows that wait in memory to be written."
            yield GaugeMetricFamily("prediction_log_waiting_rows", text, value=log.waiting)
        if self._shadow is not None:
            compared = self._shadow.comparison
            rows = {"compared": compared.compared, "dropped": self._shadow.dropped}
            text = "Rows offered to the shadow release, by what became of them."
            rows |= {"failed": compared.failed}
            yield counted("shadow_rows", text, ["outcome"], rows)
            text = "Sum over compared rows of the distance between both releases' predictions."
            yield CounterMetricFamily("shadow_difference", text, value=compared.difference)
        if self._lookups is not None:
            yield from self._lookups()


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def counted(name: str, text: str, labels: list[str], counts: Mapping[Any, float]) -> Metric:
    """Make a family of counters from numbers by the value of its label, or by those of its labels."""
    family = CounterMetricFamily(name, text, labels=labels)
    for values, number in counts.items():
        family.add_metric([values] if isinstance(values, str) else values, number)
    return family


class Histogram:
    """Counts values by upper bound, a whole batch at once; used by one thread, read by any.

    prometheus_client's takes one value at a time and locks for each: 1 microsecond a request, which
    at 64 connections is a fiftieth of what a request costs in all.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = list(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, values: Iterable[float]) -> None:
        """Count values."""
        counts, bounds = self.counts, self.bounds
        total = 0.0
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            total += value
        self.total += total

    def buckets(self) -> list[tuple[str, float]]:
        """Return pairs of upper bound and how many values are at most as large."""
        rising = 0
        pairs = []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], list(self.counts), strict=True):
            rising += count
            pairs.append((bound, float(rising)))
        return pairs
