"""Time the reads of entity features beside Feast's, on SQLite and on Redis, in turn."""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from page import publish

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SCRIPTS = ROOT / "benchmarks/features"
FEAST = "feast[redis]==0.67"
SIZES = (1, 10, 100)
PAGE = """<!-- features -->
## Looking up entity features

50 numbers for each entity, 5,000 entities, a client in the process; Redis {redis} on the same machine.
Milliseconds for a read. {date}, {machine},
load {load:.1f} at the start; Python {python}, {feast}.

|What reads|CPU: 1 entity|10|100|p50: 1 entity|10|100|
|-|-:|-:|-:|-:|-:|-:|
{lines}

*Values* are an array of numbers, with Feast lists by `to_dict()`; *columns* are what the features of a release read.

|Target, CPU|Required|Reached||
|-|-:|-:|-:|
{targets}

Made by `uv run --group machinery python benchmarks/features.py --rounds {rounds} --write docs/benchmarks.md`.
<!-- /features -->
"""


class Process:
    """A reader in a separate process.

    Attributes:
        figures: by name and number of entities, CPU and wall milliseconds of each round.
    """

    def __init__(self, python: str | Path, script: str, where: str) -> None:
        self.figures: dict[str, list[list[float]]] = {}
        self._process = subprocess.Popen(
            [python, "-W", "ignore", SCRIPTS / script, where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"DO_NOT_TRACK": "1", "FEAST_USAGE": "False"},
            text=True,
        )

    def wait(self) -> None:
        """Wait until it has filled its store."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == "ready\n":
                return
        sys.exit(f"{self._process.args} ended with exit code {self._process.wait()}")

    def round(self) -> None:
        """Read once more."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        for name, milliseconds in json.loads(self._process.stdout.readline()).items():
            self.figures.setdefault(name, []).append(milliseconds)

    def median(self, name: str, at: int) -> float:
        """Give the median of the CPU (0) or wall (1) milliseconds."""
        return statistics.median(times[at] for times in self.figures[name])

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextmanager
def feast() -> Iterator[Path]:
    """Install Feast into a throw-away environment; give its Python."""
    with tempfile.TemporaryDirectory() as room:
        subprocess.run(["uv", "venv", "--quiet", room], check=True)
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", room, FEAST], check=True)
        yield Path(room) / "bin/python"


def take_turns(rounds: int) -> dict[str, Process]:
    """Let all readers read in turn, so that other load on the machine meets each of them."""
    from machinery.tests.redis_server import PASSWORD, running

    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder)) as server,
        feast() as python,
    ):
        address = server.address()
        plain = f"{address.partition('@')[2].partition('/')[0]},password={PASSWORD}"
        processes = {
            "Rung, SQLite": Process(sys.executable, "with_rung.py", "sqlite"),
            "Rung, Redis": Process(sys.executable, "with_rung.py", address),
            "Feast, SQLite": Process(python, "with_feast.py", "sqlite"),
            "Feast, Redis": Process(python, "with_feast.py", plain),
        }
        try:
            for each in processes.values():
                each.wait()
            order = list(processes.values())
            for number in range(rounds):
                for each in order[number % 4 :] + order[: number % 4]:
                    each.round()
        finally:
            for each in processes.values():
                each.end()
    return processes


def lines_of(processes: Mapping[str, Process]) -> Iterator[str]:
    """Write what each reader took, a line for values and one for columns."""
    for title, each in processes.items():
        for name in ("values", "columns"):
            if f"{name} 1" in each.figures:
                times = [each.median(f"{name} {size}", at) for at in (0, 1) for size in SIZES]
                yield f"|{title}: {name}|" + "|".join(f"{time:.3f}" for time in times) + "|"


def targets_of(processes: Mapping[str, Process]) -> Iterator[str]:
    """Write each target beside what was reached."""

    def cpu(title: str, size: int, what: str = "columns") -> float:
        return processes[title].median(f"{what} {size}", 0)

    asked = [
        ("SQLite, 1 entity, values", 0.1, cpu("Rung, SQLite", 1, "values")),
        ("SQLite, 1 entity, columns", 0.1, cpu("Rung, SQLite", 1)),
        ("SQLite, 100 entities, columns", 1.0, cpu("Rung, SQLite", 100)),
    ] + [
        (
            f"Redis more than SQLite, {size}",
            0.2,
            cpu("Rung, Redis", size) - cpu("Rung, SQLite", size),
        )
        for size in SIZES
    ]
    for what, most, taken in asked:
        yield f"|{what}|at most {most} ms|{taken:.3f} ms|{'yes' if taken <= most else '**no**'}|"


def redis_version() -> str:
    """Ask the server for its version."""
    printed = subprocess.run(
        ["redis-server", "--version"], capture_output=True, check=True, text=True
    )
    return printed.stdout.partition("v=")[2].split()[0]


def measured(rounds: int) -> str:
    """Measure everything; return the section of the page."""
    load = os.getloadavg()[0]
    processes = take_turns(rounds)
    return PAGE.format(
        redis=redis_version(),
        rounds=rounds,
        date=f"{datetime.date.today():%-d %B %Y}",
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        load=load,
        python=platform.python_version(),
        feast=FEAST,
        lines="\n".join(lines_of(processes)),
        targets="\n".join(targets_of(processes)),
    )


def main() -> None:
    """Print the section, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", type=Path, help="a Markdown page; printed by default")
    options = parser.parse_args()
    if shutil.which("redis-server") is None:
        sys.exit("redis-server is missing: apt-get install redis-server")
    publish(measured(options.rounds), "features", (ROOT / options.write) if options.write else None)


if __name__ == "__main__":
    main()
