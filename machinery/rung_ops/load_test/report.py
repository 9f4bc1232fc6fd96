"""Figures of a load test, and what they say about the promises in ops/service.toml."""

from dataclasses import dataclass

import numpy as np

from rung_ops.load_test.client import BROKEN, Answers
from rung_ops.serving.slo import SLO

BUSY = 0.9  # share of the time from which the figures may be those of the test itself
REFUSED = 503
SPARE = 0.01  # share of the requests that the end of the test may cut off
CLEARLY = 1.05  # times as many requests as are promised have to be made to miss some of them


@dataclass(frozen=True)
class Figures:
    """What a load test found.

    Attributes:
        answered, refused, failed: numbers of requests; failed are all but the other two.
        unmade: requests that could not be made at the rate that was asked for.
        percentiles: of the answered requests, in milliseconds, by name; NaN without any.
        refusals_p99: milliseconds in which 99 in 100 refusals came.
        a_second: answered requests.
        rows_a_second: rows of answered requests.
        busy: share of the time in which the test itself was computing.
        said: of each kind of failure, how often and what came back.
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
    said: tuple[str, ...]

    @property
    def requests(self) -> int:
        """All that were made."""
        return self.answered + self.refused + self.failed


def figures(answers: Answers, rows: int) -> Figures:
    """Sum up answers to requests of so many rows each."""
    milliseconds = {status: 1000 * np.array(each) for status, each in answers.seconds.items()}
    good = milliseconds.get(200, np.array([]))
    refusals = milliseconds.get(REFUSED, np.array([]))
    asked = {"p50": 50, "p95": 95, "p99": 99, "slowest": 100}
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
        percentiles={name: _percentile(good, each) for name, each in asked.items()},
        refusals_p99=_percentile(refusals, 99),
        a_second=len(good) / answers.elapsed,
        rows_a_second=rows * len(good) / answers.elapsed,
        busy=answers.busy,
        said=tuple(
            f"{count:,} times {status if status != BROKEN else 'no answer'}: "
            f"{answers.said.get(status, '')}"
            for status, count in sorted(failures.items())
        ),
    )


def missed(found: Figures, promise: SLO, rate: float | None, rows: int = 1) -> list[str]:
    """Say which promises were not kept, and by how much; empty when all were.

    Args:
        found: by the test.
        promise: [slo] of ops/service.toml.
        rate: requests a second that were made; None for as many as were answered.
        rows: in each request; time and number are promised for requests of one.
    """
    if not found.answered:
        return ["not a single request was answered"]
    faults = []
    for name, limit in (("p50", promise.p50_ms), ("p99", promise.p99_ms)):
        if rows == 1 and not found.percentiles[name] <= limit:
            faults.append(
                f"{name} is {found.percentiles[name]:.1f} ms, {name}_ms promises {limit:g} ms"
            )
    for name, verb, count, most in (
        ("failed", "failed", found.failed, promise.max_failed),
        ("refused", "were refused", found.refused, promise.max_refused),
    ):
        if count > most * found.requests:
            faults.append(
                f"{count:,} of {found.requests:,} requests {verb}, max_{name} allows {most:.2%}"
            )
    least = promise.min_requests_per_second
    asked = rate is None or rate >= CLEARLY * least
    if rows == 1 and asked and found.a_second < least:
        faults.append(
            f"{found.a_second:,.0f} requests a second were answered, "
            f"min_requests_per_second promises {least:g}"
        )
    if found.unmade > SPARE * (found.unmade + found.requests):
        faults.append(
            f"{found.unmade:,} requests could not be made, as every connection waited for an "
            "answer: the service cannot keep this rate, or it needs more --connections"
        )
    return faults


def lines(found: Figures, promise: SLO, rows: int) -> list[str]:
    """Write the figures for a person to read, limits beside them."""
    second = f"{found.a_second:,.0f} a second"
    if rows > 1:
        second += f", {found.rows_a_second:,.0f} rows a second"
    limits = {"p50": promise.p50_ms, "p99": promise.p99_ms}
    written = [
        f"answered  {found.answered:>10,}     {second}",
        f"refused   {found.refused:>10,}"
        + (f"     99 in 100 within {found.refusals_p99:.1f} ms" if found.refused else ""),
        f"failed    {found.failed:>10,}",
    ]
    if found.unmade:
        written.append(f"not made  {found.unmade:>10,}     every connection waited for an answer")
    written.append("")
    for name, value in found.percentiles.items():
        limit = f"     at most {limits[name]:g} ms" if name in limits and rows == 1 else ""
        shown = f"{value:,.1f} ms" if value == value else "-"
        written.append(f"{name:<10}{shown:>10}{limit}")
    written += [f"  {said}" for said in found.said]
    if found.busy > BUSY:
        written += ["", f"This test itself was busy {found.busy:.0%} of the time: the service may"]
        written += ["be faster than it says. Run it on another machine, or at a lower --rate."]
    return written


def _percentile(values: np.ndarray, which: float) -> float:
    return float(np.percentile(values, which)) if len(values) else float("nan")
