"""A project with releases to serve, made once for all suites, and its service as a process."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.product import variants
from tests.product.conftest import environment, made_once, run
from tests.product.processes import start_process
from tests.product.traffic import Request, request

MAKER = ROOT / "tests/assets/served_releases.py"
READY_SECONDS = 300  # for a release to load on a machine that does much else
ENDED = "deploy ended with"
# Deploys the releases that are named to it, line by line.
DEPLOYER = f"""
import sys
from rung_ops.release.deploy import main
for line in sys.stdin:
    options = ["--at-once", "--without-gate", "made for a test"]
    print("{ENDED}", main(["production", line.strip(), *options]), flush=True)
"""


@dataclass
class Served:
    """A project whose releases/candidates holds four releases, and their answers to some rows."""

    folder: Path
    rows: list[dict[str, Any]]
    names: dict[str, str]  # good, other, alike, slow: the ids of the releases
    expected: dict[str, list[float]]  # by id, the predictions of the rows

    def copy(self, directory: Path) -> "Served":
        """Give a separate project with the same environment, in which nothing is deployed."""
        shutil.copytree(
            self.folder,
            directory,
            symlinks=True,
            ignore=shutil.ignore_patterns(".venv", "logs", ".dvc", "mlruns", "production"),
        )
        (directory / ".venv").symlink_to(self.folder / ".venv")
        return Served(directory, self.rows, self.names, self.expected)

    def python(self, *arguments: str | Path, settings: Mapping[str, str] | None = None) -> str:
        python = self.folder / ".venv/bin/python"
        variables: dict[str, Any] = dict(settings or {})
        return run(python, *arguments, cwd=self.folder, **variables).stdout

    def deploy(self, name: str, *options: str) -> str:
        """Bring a release to production, by its short name; no gate has judged it."""
        chosen = (self.names.get(name, name), "--without-gate", "made for a test", *options)
        return self.python("-m", "rung_ops", "deploy", "production", *chosen)

    @contextlib.contextmanager
    def deploying(self) -> Iterator[Callable[[str], None]]:
        """Give a function that deploys at once, by one process: to start it takes the longest."""
        with subprocess.Popen(
            [self.folder / ".venv/bin/python", "-c", DEPLOYER],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            requested, output = process.stdin, process.stdout
            assert requested and output

            def deploy(name: str) -> None:
                requested.write(self.names.get(name, name) + "\n")
                requested.flush()
                messages: list[str] = []
                for line in output:
                    messages.append(line)
                    if line.startswith(ENDED):
                        break
                assert messages and messages[-1] == f"{ENDED} 0\n", "".join(messages)

            yield deploy
            requested.close()

    def state(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(
            (self.folder / "releases/production/state.json").read_text()
        )
        return result

    def set(self, file: str, table: str, **values: Any) -> None:
        """Set values of a table of a settings file, which are there already or not."""
        path = self.folder / file
        lines = path.read_text().splitlines()
        start = lines.index(f"[{table}]")
        rest = next(
            (at for at in range(start + 1, len(lines)) if lines[at].startswith("[")), len(lines)
        )
        kept = [
            line for line in lines[start + 1 : rest] if line.partition("=")[0].strip() not in values
        ]
        written = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        path.write_text("\n".join([*lines[: start + 1], *written, *kept, *lines[rest:]]) + "\n")


@dataclass
class Service:
    """A running service."""

    served: Served
    port: int
    process: subprocess.Popen[bytes]  # without a shell or uv around it
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """Ask for a page; return status and text."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def predict(self, row: Any, **headers: str) -> tuple[int, Any]:
        """Ask for one prediction; return status and answer."""
        requested = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/predict",
            json.dumps(row).encode(),
            {"content-type": "application/json"} | headers,
        )
        try:
            with urllib.request.urlopen(requested, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def metric(self, name: str, **labels: str) -> float:
        """Read a figure of /metrics: the sum over the series that have these labels."""
        total = 0.0
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        for line in self.get("/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(pair in series for pair in wanted):
                total += float(value)
        return total

    def bodies(self) -> list[Request]:
        """Write a request of one row for each of the rows."""
        return [request("/predict", row) for row in self.served.rows]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=30)


def eventually(holds: Any, seconds: float = 20.0) -> bool:
    """Wait until something holds; tell whether it ever did."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.05)
    return bool(holds())


def free_port() -> int:
    with contextlib.closing(socket.socket()) as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@contextlib.contextmanager
def serving(served: Served, settings: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Start the service of a project, wait until it is ready, and end it afterwards."""
    port = free_port()
    log = served.folder / f"service-{port}.log"
    python = str(served.folder / ".venv/bin/python")
    command = [python, "-m", "rung_ops", "serve", "--host", "127.0.0.1", "--port", str(port)]
    process = start_process(command, served.folder, log, environment(**(settings or {})))
    service = Service(served, port, process, log)
    try:
        assert eventually(lambda: _is_ready(service), READY_SECONDS), log.read_text()
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _is_ready(service: Service) -> bool:
    assert service.process.poll() is None, service.log.read_text()
    try:
        return service.get("/health/ready")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="session")
def released(copier_template: Path) -> Served:
    """Make the project, or find the one that was made from the same template."""
    folder = made_once("served", partial(_make, copier_template), MAKER, Path(__file__))
    answers = {
        name: json.loads((folder / f"answers/{name}.json").read_text())
        for name in ("rows", "names", "expected")
    }
    return Served(folder / "project", **answers)


@pytest.fixture
def own(released: Served, tmp_path: Path) -> Served:
    """Give each test a project of its own, in which nothing is deployed."""
    served = released.copy(tmp_path / "project")
    served.set("ops/service.toml", "service", max_load_seconds=READY_SECONDS)
    return served


def _make(template: Path, folder: Path) -> None:
    project = variants.start(template, folder / "project", use_case="velocity", level=4)
    project.run("uv run poe keys")
    project.commit("Make keys")
    project.run("uv run poe pipeline")
    project.commit("Record the run")
    project.run("uv run poe release")
    project.run(f".venv/bin/python {MAKER} {folder / 'answers'}")
