"""Traces and metrics by OTLP over HTTP, with the extra `otel`; imported only where they are on.

Nothing here is on the way of a request: spans are made after the answer, and threads send them. What
a collector does not take is dropped.
"""

import logging
import os
import threading
import time
from collections.abc import Container, Iterator
from itertools import groupby

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from rung_ops import __version__
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.request_log import OTHER_PATH, Request

LOG = logging.getLogger("service")

SCOPE = "rung_ops.serving"
TRACES, METRICS = "TRACES", "METRICS"
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
DAY = 86_400_000  # milliseconds
# Below an error they quote what a caller sends in tracestate, and the headers for the collector.
QUOTING = ("opentelemetry.trace", "opentelemetry.util.re")
CUMULATIVE = export.AggregationTemporality.CUMULATIVE
CLOSE = 1.0  # seconds for what is not sent yet, when the service ends
QUIET = 60.0  # seconds between two lines of one exporter about a collector that does not answer


class Telemetry:
    """Sends a span for each request, and the figures of /metrics at intervals."""

    def __init__(
        self,
        name: str,
        environment: str,
        metrics: Metrics,
        worker: int | None = None,
        signals: Container[str] = (TRACES, METRICS),
    ) -> None:
        """Start to send.

        Args:
            name: of the service, unless OTEL_SERVICE_NAME is set.
            environment: of the service.
            metrics: what the process counts.
            worker: number of the process, where several answer.
            signals: what is sent.

        Raises:
            ValueError: a variable of OpenTelemetry has no valid value.
        """
        self._seconds = _interval()
        for quoting in QUOTING:
            logging.getLogger(quoting).setLevel(logging.ERROR)
        # What the variables say counts; the SDK adds an instance's id.
        resource = Resource.create()
        own = {"deployment.environment.name": environment}
        if worker is not None:  # all have the same variables, and count each for itself
            own[SERVICE_INSTANCE_ID] = f"{resource.attributes[SERVICE_INSTANCE_ID]!s}-{worker}"
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            own[SERVICE_NAME] = name
        self._resource = resource.merge(Resource(own))
        self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._traces = TRACES in signals
        if self._traces:
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(SCOPE, __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._metrics, self._exporter = metrics, OTLPMetricExporter()
        self._began = time.time_ns()
        self._closing = threading.Event()
        self._seldom = _Seldom()
        for exporter in (OTLPSpanExporter, OTLPMetricExporter):
            logging.getLogger(exporter.__module__).addFilter(_Seldom())
        self._sender = threading.Thread(target=self._send, name="otlp-metrics", daemon=True)
        if METRICS in signals:
            self._sender.start()

    def __call__(self, request: Request) -> None:
        """Make the spans of a request that was answered; its trace is noted in it."""
        if not self._traces:
            return
        is_route = request.path != OTHER_PATH
        parent = self._propagator.extract(request.headers, Context())
        span = self._tracer.start_span(
            f"{request.method} {request.path}" if is_route else request.method,
            parent,
            SpanKind.SERVER,
            start_time=request.arrived,
        )
        request.trace = format_trace_id(span.get_span_context().trace_id)
        if not span.is_recording():
            return

        def moment(seconds: float) -> int:
            return request.arrived + int((seconds - request.began) * 1e9)

        failed = request.level >= logging.ERROR
        span.set_attribute("http.request.method", request.method)
        span.set_attribute("rung.request_id", request.identity)
        if request.status is not None:
            span.set_attribute("http.response.status_code", request.status)
        if is_route:
            span.set_attribute("http.route", request.path)
        if request.submitted:
            child = self._tracer.start_span(
                "predict", set_span_in_context(span), start_time=moment(request.submitted)
            )
            child.set_attribute("rung.release", request.release)
            child.set_attribute("rung.arm", request.arm)
            child.set_attribute("rung.rows", request.rows or 0)
            if failed:
                child.set_status(StatusCode.ERROR)
            child.end(moment(request.scored or request.answered))
        if failed:
            span.set_attribute("error.type", str(request.status))
            span.set_status(StatusCode.ERROR)
        span.end(moment(request.answered))

    def close(self) -> None:
        """Send what remains, for at most a second."""
        self._closing.set()
        # The provider waits 30 s for a collector that does not answer.
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        until = time.monotonic() + CLOSE
        for thread in (ending, self._sender):
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    def _send(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._closing.wait(self._seconds)
            try:
                self._exporter.export(self._figures())
            except Exception:  # such as a file of the monitor that is none; it may be one later
                if self._seldom.is_due():
                    LOG.exception("Metrics could not be sent")

    def _figures(self) -> export.MetricsData:
        found = list(converted(self._metrics, self._began, time.time_ns()))
        scope = export.ScopeMetrics(InstrumentationScope(SCOPE, __version__), found, "")
        return export.MetricsData([export.ResourceMetrics(self._resource, [scope], "")])


class _Seldom(logging.Filter):
    """Lets a line pass where none has for some time."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR and self.is_due()

    def is_due(self) -> bool:
        """Return whether a line may be written now; the next has to wait then."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + QUIET
        return True


def _interval() -> float:
    """Return the seconds between two exports of metrics."""
    given = os.environ.get(INTERVAL) or "60000"
    milliseconds = float(given)
    if not 0 < milliseconds < DAY:
        raise ValueError(f"{INTERVAL} is {given}, not more than 0 and less than {DAY} milliseconds")
    return milliseconds / 1000


def converted(metrics: Metrics, began: int, now: int) -> Iterator[export.Metric]:
    """Make metrics of OTLP from those of Prometheus, with the same names.

    Args:
        metrics: what the process counts.
        began: since when counters count, in nanoseconds since 1970.
        now: when they were read.
    """
    for family in metrics.families():
        data: export.Sum | export.Gauge | export.Histogram
        if family.type == "histogram":
            data = export.Histogram(_histograms(family, began, now), CUMULATIVE)
        else:
            points = [
                export.NumberDataPoint(sample.labels, began, now, sample.value)
                for sample in family.samples
            ]
            is_counter = family.type == "counter"
            data = export.Sum(points, CUMULATIVE, True) if is_counter else export.Gauge(points)
        if data.data_points:
            yield export.Metric(family.name, family.documentation, "", data)


def _histograms(family: Metric, began: int, now: int) -> list[export.HistogramDataPoint]:
    """Make a point for each set of labels; their samples follow each other."""

    def labels(sample: Sample) -> dict[str, str]:
        return {name: value for name, value in sample.labels.items() if name != "le"}

    points = []
    for named, samples in groupby(family.samples, labels):
        bounds, rising, total = [], [0], 0.0
        for sample in samples:
            if sample.name.endswith("_bucket"):
                bounds.append(float(sample.labels["le"]))
                rising.append(int(sample.value))
            elif sample.name.endswith("_sum"):
                total = sample.value
        counts = [later - earlier for earlier, later in zip(rising, rising[1:], strict=False)]
        point = export.HistogramDataPoint(
            attributes=named,
            start_time_unix_nano=began,
            time_unix_nano=now,
            count=rising[-1],
            sum=total,
            bucket_counts=counts,
            explicit_bounds=bounds[:-1],  # the last is infinite
            min=None,  # type: ignore[arg-type]  # not known, and left out
            max=None,  # type: ignore[arg-type]
        )
        points.append(point)
    return points
