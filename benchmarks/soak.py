"""Soak a service: a steady load for half an hour, with swaps, a full disk and a canary.

`uv run python benchmarks/soak.py --minutes 30 --write docs/benchmarks.md`, as root: its log lies on a small
tmpfs. Meanwhile the log's files fill and are merged. At the end each answer is looked up in the log.
"""

import argparse
import asyncio
import datetime
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from page import publish
from pipeline import new_project
from serve.client import cores, wait
from serve.processes import Server

SHOWN = (1, 10, 20, 30)  # minutes
RENEWED = 1_000  # requests after which a connection is closed, and opened again
DISK = "size=400m"
ANYWAY = ("--without-gate", "a measurement")
IDENTITY = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@localhost")
BODIES = """
import sys, polars as pl
rows = pl.read_parquet("data/test.parquet").drop("late").tail(2000)
print("\\n".join(rows.write_ndjson().splitlines()))
"""
# What was answered against what was logged; the shadow's rows have the ids of what it shadows.
JUDGE = """
import json, sys, polars as pl
from rung_ops import prediction_log
answered = pl.read_ndjson(sys.argv[1])
log = prediction_log.read(prediction_log.folder("production")).select("id", "release", "arm").collect()
shadow, log = log.filter(pl.col("arm") == "shadow"), log.filter(pl.col("arm") != "shadow")
both = answered.join(log, on="id", how="inner")
print(json.dumps({
    "logged": log.height,
    "shadowed": shadow.height,
    "twice": log.height - log["id"].n_unique() + shadow.height - shadow["id"].n_unique(),
    "lost": answered.join(log, on="id", how="anti").height,
    "unanswered": log.join(answered, on="id", how="anti").height,
    "of_another": both.filter(pl.col("release") != pl.col("release_right")).height,
}))
"""
PAGE = """<!-- soak -->
## A soak of the service

{minutes:g} minutes, {rate:g} requests a second of one row, {connections} connections, each renewed after {renewed} requests.
{date}, {machine}, load {load:.1f} at the start and {after:.1f} at the end.

|Minute|RSS MB|Descriptors|Threads|Requests|Errors|p50 / p99 ms of the last minute|
|-:|-:|-:|-:|-:|-:|-:|
{rows}

Meanwhile: {events}.

|Answers|Count|
|-|-:|
|requests answered with 200|{answered:,}|
|other answers, broken connections|{errors:,}|
|answers that the log lacks|{lost:,}|
|of these, counted as dropped in `/metrics`|{dropped:,}|
|ids that it has twice|{twice:,}|
|with another release in the log than in the answer|{of_another:,}|
|rows in the log without an answer|{unanswered:,}|

Made by `uv run python benchmarks/soak.py --minutes {minutes:g} --write docs/benchmarks.md`.
<!-- /soak -->
"""


class Load:
    """Requests at a steady rate, whether or not earlier ones are answered, and what came back."""

    def __init__(self, port: int, bodies: list[bytes], rate: float, record: Path) -> None:
        self._port, self._bodies, self._rate = port, bodies, rate
        self._record = record.open("w")
        self._begin = time.monotonic()
        self._next = 0
        self.ending = False
        self.answered = 0
        self.errors: Counter[str] = Counter()
        self.milliseconds: list[float] = []  # since they were taken

    async def connection(self) -> None:
        """Send on one connection until the load ends."""
        while not self.ending:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    for _ in range(RENEWED):
                        number, self._next = self._next, self._next + 1
                        due = self._begin + number / self._rate
                        await asyncio.sleep(due - time.monotonic())
                        if self.ending:
                            return
                        body = self._bodies[number % len(self._bodies)]
                        async with asyncio.timeout(60):
                            await self._ask(reader, writer, body)
                        self.milliseconds.append((time.monotonic() - due) * 1e3)
                finally:
                    writer.close()
            except (OSError, EOFError, TimeoutError) as error:
                self.errors[type(error).__name__] += 1

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        head = f"POST /predict HTTP/1.1\r\nhost: service\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = re.search(r"content-length: (\d+)", lines)
        assert length, lines
        answer = await reader.readexactly(int(length[1]))
        if " 200 " not in lines.partition("\r\n")[0]:
            self.errors[lines.split()[1]] += 1
            return
        self.answered += 1
        self._record.write(answer.decode() + "\n")

    def close(self) -> None:
        """End the record of the answers."""
        self._record.close()


class Soak:
    """What is done to the service, and what is seen of it."""

    def __init__(self, project: Path, server: Server, load: Load, minutes: float) -> None:
        self._project, self._server, self._load = project, server, load
        self._begin, self._seconds = time.monotonic(), minutes * 60
        self.rows: list[str] = []
        self.events: list[str] = []

    async def run(self, releases: list[str]) -> None:
        """Do and watch all of it, then end the load."""
        watching = asyncio.create_task(self._watch())
        await self._happen(releases)
        await watching
        self._load.ending = True

    async def _until(self, part: float) -> None:
        await asyncio.sleep(self._begin + part * self._seconds - time.monotonic())

    async def _happen(self, releases: list[str]) -> None:
        swaps = 0
        for step in range(1, 7):  # to 30 % of the time
            await self._until(step / 20)
            back = step % 2 == 0
            at_once = ("deploy", "production", releases[1], "--at-once", *ANYWAY)
            await self._do(*(("rollback", "production") if back else at_once))
            swaps += 1
        self.events.append(f"{swaps} swaps, each second one a rollback")
        await self._until(0.36)
        with full(self._project.parent / "logs"):
            seconds = min(60.0, self._seconds / 10)
            await asyncio.sleep(seconds)
        self.events.append(f"the disk of the log full for {seconds:.0f} s")
        await self._until(0.45)
        begun = time.monotonic()
        await self._do("deploy", "production", releases[1], *ANYWAY)
        while time.monotonic() < self._begin + 0.97 * self._seconds:
            state = json.loads((self._project / "releases/production/state.json").read_bytes())
            if not state["canary"] and not state["shadow"]:
                break
            await asyncio.sleep(1)
        served = "which then served all" if state["serving"] == releases[1] else "not at its end"
        took = (time.monotonic() - begun) / 60
        self.events.append(f"a release in shadow and canary for {took:.1f} minutes, {served}")

    async def _do(self, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *(self._project / ".venv/bin/rung-ops", *words),
            cwd=self._project,
            env=environment(self._project),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise SystemExit(f"{' '.join(words)}:\n{said.decode()}")
        say(said.decode().strip().splitlines()[0])

    async def _watch(self) -> None:
        for minute in range(1, int(self._seconds // 60) + 1):
            await self._until(minute * 60 / self._seconds)
            times, self._load.milliseconds = sorted(self._load.milliseconds), []
            processes = [Path(f"/proc/{number}") for number in self._server.tree()]
            descriptors = sum(len(list((path / "fd").iterdir())) for path in processes)
            threads = sum(len(list((path / "task").iterdir())) for path in processes)
            row = (
                f"|{minute}|{self._server.memory()[0]:.0f}|{descriptors}|{threads}"
                f"|{self._load.answered:,}|{self._load.errors.total():,}"
                f"|{times[len(times) // 2]:.1f} / {times[len(times) * 99 // 100]:.1f}|"
            )
            say(row)
            if minute in SHOWN:
                self.rows.append(row)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Let nothing fit on the disk of a folder."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb") as file:
            while True:
                file.write(b"0" * 4096)
                file.flush()
    except OSError:
        pass
    try:
        yield
    finally:
        ballast.unlink()


def prepared(folder: Path) -> tuple[Path, list[str]]:
    """Make a project of rung 3 with two releases, of which the first is in production."""
    project = new_project(folder, 3)
    run(project, "rung-ops", "keys")
    for change in ("seed = 7", "seed = 8"):
        params = project / "params.toml"
        params.write_text(params.read_text().replace("seed = 7", change))
        run(project, "git", "add", "--all")
        run(project, "git", *IDENTITY, "commit", "--quiet", "--allow-empty", "--message", change)
        run(project, "rung-ops", "dvc", "repro", "--all-pipelines")
        run(project, "git", "add", "--all")
        run(project, "git", *IDENTITY, "commit", "--quiet", "--message", "Record the run")
        run(project, "rung-ops", "release")
    releases = sorted(path.name for path in (project / "releases/candidates").glob("v*"))
    run(project, "rung-ops", "deploy", "production", releases[0], "--at-once", *ANYWAY)
    return project, releases


def run(project: Path, *words: str | Path) -> str:
    """Run a command in the project's environment; stop with its own words where it fails."""
    done = subprocess.run(
        words, cwd=project, env=environment(project), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}:\n{done.stdout}{done.stderr}")
    return done.stdout


def environment(project: Path) -> dict[str, str]:
    """Return the variables of a command of the project."""
    path = f"{project / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PATH": path, "LOGS": str(project.parent / "logs")}


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def soaked(project: Path, releases: list[str], options: argparse.Namespace) -> str:
    """Soak the service of a project whose logs are on a small disk; return the section."""
    before, (core, client) = os.getloadavg()[0], cores()
    os.sched_setaffinity(0, {client})
    bodies = run(project, "python", "-c", BODIES).encode().splitlines()
    record = project.parent / "answers.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = ["rung-ops", "serve", f"--port={port}"]
    log = project.parent / "service.log"
    server = Server(command, project, environment(project), [core], log)
    try:
        wait(f"{address}/predict", bodies[0], "application/json", 60)
        load = Load(port, bodies, options.rate, record)
        soak = Soak(project, server, load, options.minutes)

        async def all_of_it() -> None:
            callers = [load.connection() for _ in range(options.connections)]
            await asyncio.gather(soak.run(releases), *callers)

        asyncio.run(all_of_it())
        metrics = urllib.request.urlopen(f"{address}/metrics").read().decode()
    finally:
        server.stop()
    load.close()
    say(log.read_text())
    dropped = re.search(r'prediction_log_rows_total{outcome="dropped"} (\S+)', metrics)
    assert dropped, metrics
    judged = json.loads(run(project, "python", "-c", JUDGE, record))
    judged["unanswered"] -= 1  # that of wait()
    return PAGE.format(
        **judged,
        **vars(options),
        renewed=RENEWED,
        date=f"{datetime.date.today():%d %B %Y}",
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        load=before,
        after=os.getloadavg()[0],
        rows="\n".join(soak.rows),
        events="; ".join(soak.events),
        answered=load.answered,
        errors=load.errors.total(),
        dropped=int(float(dropped[1])),
    )


def main() -> None:
    """Soak, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        logs = Path(name) / "logs"
        logs.mkdir()
        project, releases = prepared(Path(name))
        subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", logs], check=True)
        try:
            page = soaked(project, releases, options)
        finally:
            subprocess.run(["umount", "--lazy", logs], check=True)
    publish(page, "soak", options.write)


if __name__ == "__main__":
    main()
