"""Time the monitor's judgement of drift against Evidently's preset, and compare the verdicts."""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from page import publish

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "benchmarks/drift"
# pandas 3 lacks a name that this Evidently imports.
PACKAGES = {
    "rung": ["numpy", "polars", "scipy"],
    "evidently": ["evidently==0.7.23", "pandas<3", "pyarrow"],
}
TIMED = ("wall", "cpu", "check", "megabytes")


@dataclass
class Contender:
    """One way to judge drift, in a separate process, and its figures.

    Attributes:
        title: for the table.
        room: whose environment it runs in.
        command: a script of benchmarks/drift, and what follows the folder.
        figures: seconds of wall and CPU time, CPU seconds without the imports, peak memory.
        drifted: the columns that it says have changed.
    """

    title: str
    room: str
    command: tuple[str, ...]
    figures: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in TIMED})
    drifted: list[str] = field(default_factory=list)

    def run(self, folder: Path, rooms: Path, *, timed: bool) -> None:
        """Judge once."""
        script, *rest = self.command
        begin = time.perf_counter()
        process = subprocess.Popen(
            [rooms / self.room / "bin/python", SCRIPTS / script, folder, *rest],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT / "machinery"), "DO_NOT_TRACK": "1"},
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{self.title} ended with exit code {process.returncode}")
        result: dict[str, Any] = json.loads(output.splitlines()[-1])
        self.drifted = result["drifted"]
        if timed:
            cpu = used.ru_utime + used.ru_stime
            measured = (wall, cpu, result["check"], used.ru_maxrss / 1000)
            for name, value in zip(TIMED, measured, strict=True):
                self.figures[name].append(value)

    def median(self, name: str) -> float:
        """Give the median of a figure."""
        return statistics.median(self.figures[name])


CONTENDERS = [
    Contender("`poe monitor`'s drift", "rung", ("with_rung.py",)),
    Contender("Evidently's preset", "evidently", ("with_evidently.py", "preset")),
    Contender("Evidently's preset, its KS test", "evidently", ("with_evidently.py", "ks")),
]


def install(rooms: Path) -> dict[str, str]:
    """Install both into environments of their own, on the same Python; return the versions."""
    versions = {}
    for room, packages in PACKAGES.items():
        python = rooms / room / "bin/python"
        _do("uv", "venv", "--quiet", "--python", sys.executable, rooms / room)
        _do("uv", "pip", "install", "--quiet", "--python", python, *packages)
        names = [re.split(r"[=<>]", package)[0] for package in packages]
        ask = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
        versions |= dict(zip(names, _do(python, "-c", ask, *names).split(), strict=True))
    return versions


def measure(folder: Path, rooms: Path, rounds: int) -> None:
    """Run all once to warm up, then in turn, beginning with another one each round."""
    for turn in range(rounds + 1):
        first = turn % len(CONTENDERS)
        for one in CONTENDERS[first:] + CONTENDERS[:first]:
            one.run(folder, rooms, timed=turn > 0)
        print(f"round {turn} of {rounds} done" if turn else "warmed up", file=sys.stderr)


def table(changed: Sequence[str]) -> str:
    """Return medians as a Markdown table; ratios are to the first contender."""
    lines = [
        "|Tool|Check, CPU s|relative|Process, CPU s|relative|Wall s|Peak MB|Found|",
        "|-|-:|-:|-:|-:|-:|-:|-|",
    ]
    ours = CONTENDERS[0]
    for one in CONTENDERS:
        right = set(one.drifted) == set(changed)
        wrong = sorted(set(one.drifted) ^ set(changed))
        cells = [
            one.title,
            f"{one.median('check'):.2f}",
            f"{one.median('check') / ours.median('check'):.1f}",
            f"{one.median('cpu'):.2f}",
            f"{one.median('cpu') / ours.median('cpu'):.1f}",
            f"{one.median('wall'):.2f}",
            f"{one.median('megabytes'):.0f}",
            f"the {len(changed)} that changed" if right else f"not so: {', '.join(wrong)}",
        ]
        lines.append(f"|{'|'.join(cells)}|")
    return "\n".join(lines)


def section(options: argparse.Namespace, load: float, versions: dict[str, str], made: str) -> str:
    """Return the section of docs/benchmarks.md, with all that is needed to make it again."""
    command = f"uv run python benchmarks/monitor.py --rounds {options.rounds}"
    command += " --write docs/benchmarks.md" if options.write else ""
    used = {"Python": platform.python_version()} | versions
    return f"""<!-- monitor -->
## Judging drift

{options.rows:,} rows against {options.rows:,}, 14 columns of numbers and 6 of texts, from Parquet to
verdicts. {datetime.date.today():%d %B %Y}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores,
load {load:.1f} at the start;
{", ".join(f"{name} {number}" for name, number in used.items())}.

{made}

Made by `{command}`.
<!-- /monitor -->
"""


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed")
    parser.add_argument("--rows", type=int, default=50_000, help="of either side")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="monitor-") as name:
        folder = Path(name)
        versions = install(folder)
        _do(folder / "rung/bin/python", SCRIPTS / "rows.py", folder, str(options.rows))
        changed = json.loads((folder / "changed.json").read_text("utf-8"))
        measure(folder, folder, options.rounds)
    made = section(options, load, versions, table(changed))
    publish(made, "monitor", options.write)


def _do(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
