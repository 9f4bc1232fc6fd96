"""Time `rung check` on repositories of 1,000, 10,000 and 100,000 files."""

import argparse
import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECTION = re.compile(r"<!-- check -->\n.*?<!-- /check -->\n", re.DOTALL)
SIZES = (1_000, 10_000, 100_000)
# In so many files of 20, roughly the mix of the repositories of docs/check.md.
PYTHON, YAML, MARKDOWN = 9, 2, 2
MODULE = '''"""Module {number}."""

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from pkg{near} import module_{near}


def features_{number}(rows: pd.DataFrame) -> pd.DataFrame:
    """Make the features of part {number}."""
    # A comment that says why, as comments do.
    scaled = (rows - rows.mean()) / rows.std()
    return scaled.assign(part={number}, word="text that stands in a string")


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


def measure(folder: Path) -> tuple[float, float, float]:
    """Check once; return seconds of wall and of processor time, and peak megabytes."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("rung"), "check", folder, "--seconds", "600"],
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"`rung check` ended with exit code {process.returncode}")
    wall = time.perf_counter() - begin
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="FILES")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="check-") as name:
            plant(Path(name), size)
            measured = [measure(Path(name)) for _ in range(options.rounds + 1)][1:]
        wall, cpu, peak = (statistics.median(column) for column in zip(*measured, strict=True))
        rows.append(f"|{size:,}|{wall:.2f}|{cpu:.2f}|{size / cpu:,.0f}|{peak:.0f}|")
        print(rows[-1], file=sys.stderr)
    table = "\n".join(rows)
    sizes = " ".join(map(str, options.sizes))
    command = f"uv run python benchmarks/check.py --rounds {options.rounds} --sizes {sizes}"
    command += f" --write {options.write}" if options.write else ""
    made = f"""<!-- check -->
## Checking a repository

Generated repositories, nine files of twenty Python modules of 50 lines, the rest YAML, Markdown and
binaries. Medians; rounds: {options.rounds}; one before them was not counted. The whole command, its
start included. {datetime.date.today():%d %B %Y}, {platform.system()} {platform.machine()}, \
{os.cpu_count()} cores, load {load:.1f} at the start; Python {platform.python_version()}.

|Files|Wall s|CPU s|Files per CPU s|Peak MB|
|-:|-:|-:|-:|-:|
{table}

Made by `{command}`.
[How it measures](../benchmarks/README.md).
<!-- /check -->
"""
    if not options.write:
        print(made, end="")
        return
    page = options.write.read_text("utf-8")
    replaced = SECTION.sub(lambda _: made, page)
    if not SECTION.search(page):
        replaced = f"{page.rstrip()}\n\n{made}"
    options.write.write_text(replaced, "utf-8")


if __name__ == "__main__":
    main()
