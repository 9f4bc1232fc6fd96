"""Test the service under load, and compare its figures with the SLO in ops/service.toml: `poe load`.

A running service, or one that the test starts: with a copy of an environment's serving release and
with temporary folders, so the test does not affect prediction logs or a rollout. Requests are sent over
kept-alive connections, as fast as they are answered or at a given rate.
"""

import asyncio
import contextlib
import itertools
import math
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from itertools import cycle, islice
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import urlopen

import click
import httptools
import msgspec
import numpy as np
import polars as pl

from rung_ops.command import OK, REFUSED, verb
from rung_ops.errors import OpsError, SettingsError
from rung_ops.features.store import store_file
from rung_ops.model import bundle
from rung_ops.model import released as released
from rung_ops.model.columns import dtype_of
from rung_ops.prediction_log import LOAD_TEST
from rung_ops.project import current, paths, service_settings
from rung_ops.project.paths import shown
from rung_ops.project.service_settings import SLO, limits
from rung_ops.release import state
from rung_ops.serving import access
from rung_ops.system import processes
from rung_ops.system.processes import free_port

HOST = "127.0.0.1"
READY_SECONDS = 60.0
OWN_TOKEN = secrets.token_urlsafe()  # of a service that the test starts
SHOWN = 15  # lines of output of a service that did not start


@dataclass(frozen=True)
class Target:
    """A running service."""

    url: str  # its address, without a trailing slash
    release: str  # id of the serving release
    contract: dict[str, Any]  # of the release
    token: str | None = None  # that requests carry; None if there is none


@contextlib.contextmanager
def running(url: str) -> Iterator[Target]:
    """Read what a running service serves."""
    url = url.rstrip("/")
    try:
        with urlopen(access.authorized_request(f"{url}/model"), timeout=10) as answer:
            model = msgspec.json.decode(answer.read())
        token = access.token_for(url)
        target = Target(url, model["release"]["id"], model["contract"], token)
    except HTTPError as error:
        if error.code == 401:
            raise OpsError(
                f"{url} asks who calls: set {access.VARIABLE} to a token of its {access.PREDICT}."
            ) from error
        text = error.read(500).decode(errors="replace")
        raise OpsError(f"{url} does not serve: status {error.code}, {text}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise OpsError(
            f"Nothing answers at {url} ({reason}). `uv run poe serve` starts the service."
        ) from error
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise OpsError(f"{url} is not a prediction service: see {url}/model.") from error
    yield target


@contextlib.contextmanager
def own(environment: str) -> Iterator[Target]:
    """Start a service with the serving release of an environment, and stop it at the end."""
    folder = paths.environment(environment)
    release = state.read(folder).serving
    if release is None:
        raise OpsError(
            f"{environment} serves no release that could be tested: run "
            f"`uv run poe deploy {environment}`."
        )
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        temporary = Path(name)
        model = current().root.relative_to(current().repository)
        copy = temporary / "releases" / model / environment
        try:
            copied = paths.bundle(copy, release)
            shutil.copytree(paths.bundle(folder, release), copied, symlinks=True)
            state.serve(copy, release, paths.person())
            if store_file().is_file():  # a store on a server is that of the environment
                shutil.copy(store_file(), copy.with_name(store_file().name))
            # Raises at once if the release is invalid; the service would wait for another one.
            loaded = released.load(copied, paths.public_key().read_bytes(), limits())
        except OSError as error:
            raise OpsError(f"{release} of {environment} cannot be copied: {error}") from error
        with _started(temporary, environment) as url:
            yield Target(url, loaded.id, loaded.contract, OWN_TOKEN)


@contextlib.contextmanager
def _started(folder: Path, environment: str) -> Iterator[str]:
    port = free_port()
    settings = {
        **{"RELEASES": str(folder / "releases"), "LOGS": str(folder / "logs")},
        "RELEASE_KEY": str(paths.public_key().resolve()),
        # It asks as the real one does, which belongs to what is measured.
        access.PREDICT: f"load test:{OWN_TOKEN}",
    }
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "rung_ops", "serve", "--environment", environment]
            + ["--host", HOST, "--port", str(port)],
            cwd=current().root,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://{HOST}:{port}"
    try:
        if not _ready(url, process):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            listed = "".join(f"\n  {line}" for line in lines[-SHOWN:])
            raise OpsError(f"The service did not become ready. Its output:{listed}")
        yield url
    finally:
        processes.stop(process, 10)


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, HTTPException):
            with urlopen(f"{url}/health/ready", timeout=5):
                return True
        time.sleep(0.05)
    return False


BROKEN = 0  # status of a request whose connection broke
TIMEOUT = 30.0  # seconds
PAUSE = 0.1  # seconds after a connection broke


@dataclass
class Answers:
    """The answers to the requests of a test."""

    # Latency of each answer, by status; at a given rate, since the request was due.
    seconds: dict[int, list[float]] = field(default_factory=dict)
    unmade: int = 0  # requests that were due and not sent, because no connection was free
    elapsed: float = 0.0  # seconds of the whole test
    # Share of that time in which this program was computing; near 1, the test measured this program
    busy: float = 0.0
    # First body that is not a prediction, by status.
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, status: int, seconds: float, body: bytes) -> None:
        """Add an answer."""
        self.seconds.setdefault(status, []).append(seconds)
        if status != 200 and status not in self.failures:
            self.failures[status] = body[:500].decode(errors="replace")


class Connection(asyncio.Protocol):
    """A connection that sends one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    @property
    def open(self) -> bool:
        """Whether it can send a request."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body, or BROKEN if the connection broke."""
        self._answer = asyncio.get_running_loop().create_future()
        self._body = b""
        if self._transport is None:
            return BROKEN, b""
        self._transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._done(BROKEN, str(exc or "the connection was closed").encode())

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._done(BROKEN, f"the answer is not HTTP: {error}".encode())
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        keep = self._parser.should_keep_alive()
        self._done(self._parser.get_status_code(), self._body)
        if not keep:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _done(self, status: int, body: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))


class Load:
    """A load test of one address with prepared requests."""

    def __init__(
        self, url: str, bodies: Sequence[bytes], rate: float | None = None, token: str | None = None
    ) -> None:
        self._url = urlsplit(url)
        self._requests = [_request(self._url, body, token) for body in bodies]
        self._rate = rate
        # Prefix of the request ids, also in the service's log.
        self.name = f"{LOAD_TEST}{secrets.token_hex(4)}"
        self._numbers = itertools.count()

    async def run(self, connections: int, seconds: float) -> Answers:
        """Send requests for some seconds, one at a time on each connection."""
        answers = Answers()
        started, computed = time.perf_counter(), time.process_time()
        await asyncio.gather(
            *(self._work(answers, started, started + seconds) for _ in range(connections))
        )
        answers.elapsed = time.perf_counter() - started
        if self._rate:
            answers.unmade = max(0, math.ceil(self._rate * seconds) - next(self._numbers))
        answers.busy = (time.process_time() - computed) / answers.elapsed
        return answers

    async def _work(self, answers: Answers, started: float, end: float) -> None:
        connection, name = None, self.name.encode()
        while time.perf_counter() < end:
            number = next(self._numbers)
            due = started + number / self._rate if self._rate else time.perf_counter()
            if due >= end:
                break
            # If late because no connection was free, the latency counts from `due`. If early, it
            # counts from the end of the sleep, which may be longer than requested.
            early = due - time.perf_counter()
            if early > 0:
                await asyncio.sleep(early)
                due = time.perf_counter()
            if connection is None or not connection.open:
                connection = await self._connected()
            if connection is None:
                answers.add(BROKEN, time.perf_counter() - due, b"no connection could be made")
                await asyncio.sleep(PAUSE)
                continue
            head, body = self._requests[number % len(self._requests)]
            request = b"%bX-Request-Id: %b-%d\r\n\r\n%b" % (head, name, number, body)
            try:
                status, answer = await asyncio.wait_for(connection.ask(request), TIMEOUT)
            except TimeoutError:
                status, answer = BROKEN, f"no answer within {TIMEOUT:g} seconds".encode()
                connection.close()
            answers.add(status, time.perf_counter() - due, answer)
            if status == BROKEN:
                await asyncio.sleep(PAUSE)
        if connection is not None:
            connection.close()

    async def _connected(self) -> Connection | None:
        loop = asyncio.get_running_loop()
        secure = True if self._url.scheme == "https" else None
        port = self._url.port or (443 if secure else 80)
        try:
            _, connection = await loop.create_connection(
                Connection, self._url.hostname or "", port, ssl=secure
            )
        except OSError:
            return None
        return connection


def _request(url: SplitResult, body: bytes, token: str | None) -> tuple[bytes, bytes]:
    """Return the parts of a request before and after its id."""
    path = f"{url.path.rstrip('/')}/predict"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
    )
    return head.encode(), body


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
    environments = map(paths.environment, paths.ENVIRONMENTS)
    folders = [paths.bundle(environment, release) for environment in environments]
    return [*folders, paths.candidates() / release]


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
    default=paths.STAGING,
    type=click.Choice(paths.ENVIRONMENTS),
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
        raise OpsError(f"Nothing was tested: {error}") from error
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
