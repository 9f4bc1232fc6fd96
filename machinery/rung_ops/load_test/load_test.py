"""Test the service under load, and compare its figures with the SLO in ops/service.toml: `poe load`."""

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec
import numpy as np
import polars as pl

from rung_ops.command import OK, REFUSED, verb
from rung_ops.errors import OpsError, SettingsError
from rung_ops.load_test.client import BROKEN, Answers, Load, LoadTestError, Target, own, running
from rung_ops.model import bundle
from rung_ops.model.columns import dtype_of
from rung_ops.project import current, release_folders, service_settings
from rung_ops.project.paths import shown
from rung_ops.project.service_settings import SLO

MAX_BODIES = 1_000  # as many as a release has parity rows
MAX_ROWS = 50_000  # of all bodies, to limit memory


def bodies(rows: list[dict[str, Any]], size: int) -> list[bytes]:
    """Build request bodies of `size` rows each, using the rows in turn: an object, or an array."""
    number = max(1, min(MAX_BODIES, MAX_ROWS // size, len(rows)))
    if size == 1:
        return [msgspec.json.encode(row) for row in rows[:number]]
    endless = cycle(rows)
    return [msgspec.json.encode(list(islice(endless, size))) for _ in range(number)]


def rows_of(release: str, contract: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows for a release: the parity rows of a local bundle, or else the example row."""
    for folder in _folders(release):
        try:
            held_out = pl.read_parquet(folder / bundle.PARITY)
            rows = held_out.select(
                pl.col(column["name"]).cast(dtype_of(column["polars"]))
                for column in contract["columns"]
            )
        except (OSError, pl.exceptions.PolarsError):
            continue  # the service reports what is wrong with it
        # A forecast's row is looked up as of its own time, which the store no longer has.
        views = contract.get("entity_features", ())
        looked_up = [feature for view in views for feature in view["features"]]
        rows = rows.drop_nulls([feature["name"] for feature in looked_up if feature.get("at")])
        if origin := contract.get("origin"):  # drawn column by column, so some are after TIME
            rows = rows.filter(pl.col(origin) <= pl.col(contract["time"]))
        if rows.height:
            return rows.to_dicts()
    return [contract["example"]]


def _folders(release: str) -> list[Path]:
    environments = map(release_folders.environment, release_folders.ENVIRONMENTS)
    folders = [release_folders.bundle(environment, release) for environment in environments]
    return [*folders, release_folders.candidates() / release]


BUSY = 0.9  # above this CPU share of the client, the figures may be those of the client
UNAVAILABLE = 503
CUT_OFF = 0.01  # share of the requests that the end of the test may cut off
MIN_OVERLOAD = 1.05  # a rate below this multiple of the SLO's rate cannot show that it is missed


@dataclass(frozen=True)
class Figures:
    """The figures of a load test."""

    answered: int  # with status 200
    refused: int  # with status 503
    failed: int  # all others
    unmade: int  # requests that could not be sent at the given rate
    # Latencies of answered requests in milliseconds, by name; NaN without any.
    percentiles: dict[str, float]
    refusals_p99: float  # 99th percentile of the latency of refusals, in milliseconds
    a_second: float  # answered requests per second
    rows_a_second: float  # rows of answered requests per second
    busy: float  # share of the time in which the client was computing, in [0, 1]
    failures: tuple[str, ...]  # number and first response of each kind of failure

    @property
    def requests(self) -> int:
        """Number of requests sent."""
        return self.answered + self.refused + self.failed


def figures(answers: Answers, rows: int) -> Figures:
    """Compute the figures of answers to requests of `rows` rows each."""
    milliseconds = {status: 1000 * np.array(each) for status, each in answers.seconds.items()}
    good = milliseconds.get(200, np.array([]))
    refusals = milliseconds.get(UNAVAILABLE, np.array([]))
    percents = {"p50": 50, "p95": 95, "p99": 99, "slowest": 100}
    failures = {
        status: len(each)
        for status, each in answers.seconds.items()
        if status not in (200, UNAVAILABLE)
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


def missed_parts(measured: Figures, slo: SLO, rate: float | None, rows: int = 1) -> list[str]:
    """Return the parts of the SLO that were missed, and by how much.

    Latency and rate are only checked for requests of one row.
    """
    if not measured.answered:
        return ["no request was answered"]
    faults = []
    for name, limit in (("p50", slo.p50_ms), ("p99", slo.p99_ms)):
        if rows == 1 and not measured.percentiles[name] <= limit:
            faults.append(
                f"{name} is {measured.percentiles[name]:.1f} ms; {name}_ms allows {limit:g} ms"
            )
    for name, what, count, most in (
        ("failed", "failed", measured.failed, slo.max_failed),
        ("refused", "were refused", measured.refused, slo.max_refused),
    ):
        if count > most * measured.requests:
            faults.append(
                f"{count:,} of {measured.requests:,} requests {what}; max_{name} allows {most:.2%}"
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


def report_file() -> Path:
    """Return the path of the figures of a load test."""
    return current().reports / "load.json"


@dataclass(frozen=True)
class Options:
    """The options of `poe load`."""

    url: str | None  # of a running service; None to start one
    environment: str  # whose release is tested without a URL
    seconds: float
    connections: int
    rows: int  # of each request
    rate: float | None  # requests per second; None for as many as are answered


class Url(click.ParamType):
    """The address of a service."""

    name = "URL"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Read an address of the command line."""
        try:
            parts = urlsplit(value)
            valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            valid = False
        if not valid:
            self.fail(f"got `{value}`; expected a URL such as http://127.0.0.1:8000")
        return str(value)


POSITIVE = click.FloatRange(0, 1e9, min_open=True)


@verb(
    "poe load",
    epilog="URL: of a running service, such as http://127.0.0.1:8000; its log gets the requests too. "
    "Exit code 1: the SLO was missed, or nothing could be tested.",
)
@click.argument("url", required=False, type=Url())
@click.option(
    "--environment",
    default=release_folders.STAGING,
    type=click.Choice(release_folders.ENVIRONMENTS),
    show_default=True,
    help="without a URL: the environment whose release is tested",
)
@click.option(
    "--seconds", type=POSITIVE, default=10.0, metavar="N", help="duration of the test (10)"
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    default=16,
    metavar="N",
    help="number of connections (16)",
)
@click.option(
    "--rows", type=click.IntRange(1), default=1, metavar="N", help="rows of each request (1)"
)
@click.option(
    "--rate",
    type=POSITIVE,
    metavar="N",
    help="requests per second, whether or not the service keeps up",
)
def main(**chosen: Any) -> int:
    """Test the service under load, and compare its figures with the SLO in ops/service.toml."""
    options = Options(**chosen)
    try:
        limits, most = service_settings.read_slo(), service_settings.limits().max_rows
        if options.rows > most:
            raise SettingsError(
                f"--rows: got {options.rows:,}; [service] max_rows in service.toml allows {most:,}"
            )
        with running(options.url) if options.url else own(options.environment) as target:
            measured = _test(target, options)
    except OpsError as error:
        raise LoadTestError(f"Nothing was tested: {error}") from error
    except KeyboardInterrupt:
        print("Interrupted; no report was written.", file=sys.stderr)
        return REFUSED
    missed = missed_parts(measured, limits, options.rate, options.rows)
    for line in lines(measured, limits, options.rows):
        print(line)
    _write(target, options, measured, limits, missed)
    if missed:
        print("\nThe SLO was missed:", *(f"- {fault}" for fault in missed), sep="\n")
        return REFUSED
    print("\nThe SLO in ops/service.toml was met.")
    return OK


def _test(target: Target, options: Options) -> Figures:
    rows = rows_of(target.release, target.contract)
    load = Load(target.url, bodies(rows, options.rows), options.rate, target.token)
    size = "one row" if options.rows == 1 else f"{options.rows:,} rows"
    rate = f"{options.rate:g} requests per second" if options.rate else "as fast as it answers"
    print(
        f"{target.release} at {target.url}: {options.seconds:g} s, {options.connections} "
        f"connections, {size} per request, {rate}"
    )
    if len(rows) == 1:
        print("There is no local bundle of it: each row is the example of its contract.")
    if options.url:
        print(f"The ids of these requests start with {load.name}, also in the service's log.")
    print()
    with contextlib.suppress(ImportError):  # uvloop does not support Windows
        import uvloop

        return figures(uvloop.run(load.run(options.connections, options.seconds)), options.rows)
    return figures(asyncio.run(load.run(options.connections, options.seconds)), options.rows)


def _write(
    target: Target, options: Options, measured: Figures, limits: SLO, missed: list[str]
) -> None:
    report = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "url": options.url,
        "environment": None if options.url else options.environment,
        "release": target.release,
        "seconds": options.seconds,
        "connections": options.connections,
        "rows": options.rows,
        "rate": options.rate,
        "found": measured,  # where no request was answered, NaN becomes null
        "promised": limits,
        "missed": missed,
    }
    written = msgspec.json.format(msgspec.json.encode(report), indent=2)
    report_file().parent.mkdir(parents=True, exist_ok=True)
    report_file().write_bytes(written + b"\n")
    print(f"\nWrote {shown(report_file())}.")
