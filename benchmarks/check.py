"""Time `rung check` on repositories of 1,000 to 200,000 files beside peers, and `rung fleet` on 200."""

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
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from page import publish

ROOT = Path(__file__).resolve().parents[1]
SIZES = (1_000, 10_000, 100_000, 200_000)
LARGE = 100_000  # from here on, the usual time limit is measured, too
PEERS_READ = 10_000  # files; more would take the peers minutes
RUNG = Path(sys.executable).with_name("rung")
# In so many files of 20, roughly the mix of the repositories of docs/check.md.
PYTHON, YAML, MARKDOWN = 9, 2, 2
PAGE = """<!-- check -->
## Checking a repository

Generated repositories, nine files of twenty Python modules of 50 lines, the rest YAML, Markdown and
binaries. {day}, {machine}, load {load}
at the start; {versions}.

|Files|Command|Wall s|CPU s|Peak MB|
|-:|-|-:|-:|-:|
{rows}

The peers, run on up to {most} files, do different work: ml-project-doctor has its own checks;
sp-repo-review checks a few files by name.

A fleet of generated projects of rung 2, half of each use case:

|Repositories|Command|Wall s|CPU s|Peak MB|
|-:|-|-:|-:|-:|
{many}

Made by `{command}`.
<!-- /check -->
"""
MODULE = '''"""Module {number}."""

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from pkg{near} import module_{near}


def features_{number}(rows: pd.DataFrame) -> pd.DataFrame:
    """Make the features of part {number}."""
    # A comment that says why, as comments do.
    scaled = (rows - rows.mean()) / rows.std()
    return scaled.assign(part={number}, word="text in a string")


class Part{number}:
    """A part."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.model = Ridge(alpha=alpha)

    def learn(self, rows: pd.DataFrame, truth: np.ndarray) -> "Part{number}":
        self.model.fit(features_{number}(rows), truth)
        return self
'''


def plant(folder: Path, files: int) -> None:
    """Write a repository of so many files, 100 in each folder."""
    for number in range(files):
        kind = number % 20
        below = folder / f"pkg{number // 100}"
        below.mkdir(exist_ok=True)
        if kind < PYTHON:
            text = MODULE.format(number=number, near=number % 7) * 2
            (below / f"module_{number}.py").write_text(text)
        elif kind < PYTHON + YAML:
            (below / f"settings_{number}.yml").write_text("name: a\nvalues: [1, 2, 3]\n" * 20)
        elif kind < PYTHON + YAML + MARKDOWN:
            (below / f"page_{number}.md").write_text(f"# Page {number}\n\nWords of it.\n" * 10)
        else:
            (below / f"rows_{number}.bin").write_bytes(bytes(500))
    (folder / "requirements.txt").write_text("scikit-learn==1.7\n")


@dataclass
class Contender:
    """A command over one repository or a fleet, and its figures."""

    title: str
    command: Sequence[str | Path]
    codes: tuple[int, ...] = (0,)  # exit codes of an answer
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: float = 0.0
    output: bytes = b""

    def run(self, *, timed: bool) -> None:
        """Run once; note seconds of wall and of processor time, and the peak in megabytes."""
        with tempfile.TemporaryFile() as output:
            begin = time.perf_counter()
            process = subprocess.Popen(
                self.command, stdout=output, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
            )
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            self.output = output.read()
        if process.returncode not in self.codes or not self.output:
            sys.exit(f"{self.command} ended with exit code {process.returncode}")
        if timed:
            self.wall.append(wall)
            self.cpu.append(used.ru_utime + used.ru_stime)
            self.peak = max(self.peak, used.ru_maxrss / 1000)

    def row(self, *cells: str) -> str:
        """Return a row of a table: cells, then medians and the peak."""
        wall, cpu = (statistics.median(column) for column in (self.wall, self.cpu))
        return f"|{'|'.join(cells)}|{wall:.2f}|{cpu:.2f}|{self.peak:.0f}|"


def in_turn(contenders: Sequence[Contender], rounds: int) -> None:
    """Run all in turn, each round beginning with another one; one round before is not counted."""
    for number in range(rounds + 1):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            contender.run(timed=number > 0)


def install(room: Path) -> tuple[Path, str]:
    """Install the peers into an environment of their own; return its programs and their versions."""
    python = room / "bin/python"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, room], check=True)
    named = ["ml-project-doctor", "sp-repo-review[cli]"]
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, *named], check=True)
    ask = "import importlib.metadata as m, sys; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
    names = ["ml-project-doctor", "sp-repo-review"]
    version = subprocess.run(
        [python, "-c", ask, *names], check=True, stdout=subprocess.PIPE, text=True
    )
    return room / "bin", version.stdout.strip()


def one_size(folder: Path, size: int, peers: Path, rounds: int) -> list[str]:
    """Time all that can check a repository of so many files; return rows of the table."""
    whole = Contender("`rung check --seconds 600`", [RUNG, "check", folder, "--seconds", "600"])
    contenders = [whole]
    limited = Contender("`rung check`", [RUNG, "check", folder, "--format", "json"])
    if size >= LARGE:
        contenders.append(limited)
    if size <= PEERS_READ:
        contenders += [
            Contender("`ml-project-doctor`", [peers / "ml-project-doctor", folder], (0, 1)),
            Contender("`repo-review`", [peers / "repo-review", folder], (0, 1, 2, 3)),
        ]
    in_turn(contenders, rounds)
    if size >= LARGE:
        partial = json.loads(limited.output)["partial"]
        limited.title += ", said to be partial" if partial else ", not partial"
    return [one.row(f"{size:,}", one.title) for one in contenders]


def a_fleet(folder: Path, number: int, rounds: int) -> list[str]:
    """Time a fleet of generated projects of rung 2, half of each game; return rows of a table."""
    for game in ("velocity", "governance"):
        new = [RUNG, "new", folder / game, "--defaults", "--level", "2", "--use-case", game]
        cache = os.environ | {"RUNG_CACHE_DIR": str(folder / "cache")}
        subprocess.run([*new, "--no-git"], check=True, capture_output=True, env=cache)
        for copy in range(number // 2):
            shutil.copytree(folder / game, folder / f"fleet/{game}-{copy}")
    fleet = folder / "fleet"
    contenders = [
        Contender(f"`rung fleet --jobs {jobs}`", [RUNG, "fleet", fleet, "--jobs", str(jobs)])
        for jobs in (1, 2)
    ]
    in_turn(contenders, rounds)
    return [one.row(f"{number}", one.title) for one in contenders]


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="FILES")
    parser.add_argument("--fleet", type=int, default=200, metavar="REPOSITORIES")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory(prefix="check-") as name:
        peers, versions = install(Path(name) / "peers")
        for size in options.sizes:
            folder = Path(name) / str(size)
            folder.mkdir()
            plant(folder, size)
            rows += one_size(folder, size, peers, options.rounds)
            shutil.rmtree(folder)
        many = a_fleet(Path(name), options.fleet, options.rounds)
    sizes = " ".join(map(str, options.sizes))
    memory = f"TMPDIR={os.environ['TMPDIR']} " if "TMPDIR" in os.environ else ""
    command = f"{memory}uv run python benchmarks/check.py --rounds {options.rounds} --sizes {sizes}"
    command += f" --fleet {options.fleet}"
    command += f" --write {options.write}" if options.write else ""
    made = PAGE.format(
        rounds=options.rounds,
        day=datetime.date.today().strftime("%d %B %Y"),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        load=f"{load:.1f}",
        versions=f"Python {platform.python_version()}, {versions}",
        most=f"{PEERS_READ:,}",
        rows="\n".join(rows),
        many="\n".join(many),
        command=command,
    )
    publish(made, "check", options.write)


if __name__ == "__main__":
    main()
