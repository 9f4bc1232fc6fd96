"""The figures of a load test, compared with the SLO in ops/service.toml."""

from dataclasses import dataclass

import numpy as np

from rung_ops.load_test.client import BROKEN, Answers
from rung_ops.project.service_settings import SLO

BUSY = 0.9  # above this CPU share of the client, the figures may be those of the client
REFUSED = 503
CUT_OFF = 0.01  # share of the requests that the end of the test may cut off
MIN_OVERLOAD = 1.05  # a rate below this multiple of the SLO's rate cannot show that it is missed


@dataclass(frozen=True)
class Figures:
    """The figures of a load test.

    Attributes:
        answered, refused, failed: numbers of requests: status 200, status 503, all others.
        unmade: requests that could not be sent at the given rate.
        percentiles: latencies of answered requests in milliseconds, by name; NaN without any.
        refusals_p99: 99th percentile of the latency of refusals, in milliseconds.
        a_second: answered requests per second.
        rows_a_second: rows of answered requests per second.
        busy: share of the time in which the client was computing, in [0, 1].
        failures: number and first response of each kind of failure.
    """

    answered: int
    refused: int
    failed: int
    unmade: int
    percentiles: dict[str, float]
    refusals_p99: float
    a_second: float
    rows_a_second: float
    busy: float
    failures: tuple[str, ...]

    @property
    def requests(self) -> int:
        """Number of requests sent."""
        return self.answered + self.refused + self.failed


def figures(answers: Answers, rows: int) -> Figures:
    """Compute the figures of answers to requests of `rows` rows each."""
    milliseconds = {status: 1000 * np.array(each) for status, each in answers.seconds.items()}
    good = milliseconds.get(200, np.array([]))
    refusals = milliseconds.get(REFUSED, np.array([]))
    percents = {"p50": 50, "p95": 95, "p99": 99, "slowest": 100}
    failures = {
        status: len(each)
        for status, each in answers.seconds.items()
        if status not in (200, REFUSED)
    }
    return Figures(
        answered=len(good),
        refused=len(refusals),
        failed=sum(failures.values()),
        unmade=answers.unmade,
        percentiles={name: _percentile(good, each) for name, each in percents.items()},
        refusals_p99=_percentile(refusals, 99),
        a_second=len(good) / answers.elapsed,
        rows_a_second=rows * len(good) / answers.elapsed,
        busy=answers.busy,
        failures=tuple(
            f"{count:,} times {status if status != BROKEN else 'no answer'}: "
            f"{answers.failures.get(status, '')}"
            for status, count in sorted(failures.items())
        ),
    )


def missed(measured: Figures, slo: SLO, rate: float | None, rows: int = 1) -> list[str]:
    """Return the parts of the SLO that were missed, and by how much.

    Args:
        measured: figures of the test.
        slo: [slo] of ops/service.toml.
        rate: requests sent per second; None for as many as were answered.
        rows: rows of each request; latency and rate are only checked for 1.
    """
    if not measured.answered:
        return ["no request was answered"]
    faults = []
    for name, limit in (("p50", slo.p50_ms), ("p99", slo.p99_ms)):
        if rows == 1 and not measured.percentiles[name] <= limit:
            faults.append(
                f"{name} is {measured.percentiles[name]:.1f} ms; {name}_ms allows {limit:g} ms"
            )
    for name, verb, count, most in (
        ("failed", "failed", measured.failed, slo.max_failed),
        ("refused", "were refused", measured.refused, slo.max_refused),
    ):
        if count > most * measured.requests:
            faults.append(
                f"{count:,} of {measured.requests:,} requests {verb}; max_{name} allows {most:.2%}"
            )
    least = slo.min_requests_per_second
    is_loaded = rate is None or rate >= MIN_OVERLOAD * least
    if rows == 1 and is_loaded and measured.a_second < least:
        faults.append(
            f"{measured.a_second:,.0f} requests per second were answered; "
            f"min_requests_per_second requires {least:g}"
        )
    if measured.unmade > CUT_OFF * (measured.unmade + measured.requests):
        faults.append(
            f"{measured.unmade:,} requests could not be sent, because every connection was waiting: "
            "the service cannot keep this rate, or the test needs more --connections"
        )
    return faults


def lines(measured: Figures, slo: SLO, rows: int) -> list[str]:
    """Format the figures with their limits."""
    second = f"{measured.a_second:,.0f} per second"
    if rows > 1:
        second += f", {measured.rows_a_second:,.0f} rows per second"
    limits = {"p50": slo.p50_ms, "p99": slo.p99_ms}
    refusals = f"     p99 {measured.refusals_p99:.1f} ms" if measured.refused else ""
    formatted = [
        f"answered  {measured.answered:>10,}     {second}",
        f"refused   {measured.refused:>10,}{refusals}",
        f"failed    {measured.failed:>10,}",
    ]
    if measured.unmade:
        formatted.append(f"not sent  {measured.unmade:>10,}     every connection was waiting")
    formatted.append("")
    for name, value in measured.percentiles.items():
        limit = f"     at most {limits[name]:g} ms" if name in limits and rows == 1 else ""
        text = f"{value:,.1f} ms" if value == value else "-"
        formatted.append(f"{name:<10}{text:>10}{limit}")
    formatted += [f"  {failure}" for failure in measured.failures]
    if measured.busy > BUSY:
        formatted += ["", f"The test itself was busy {measured.busy:.0%} of the time: the service"]
        formatted += ["may be faster. Run it on another machine, or at a lower --rate."]
    return formatted


def _percentile(values: np.ndarray, which: float) -> float:
    return float(np.percentile(values, which)) if len(values) else float("nan")
