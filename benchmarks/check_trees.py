"""Time `rung check` on repositories that are there, beside an older Rung and the reading of all bytes."""

import argparse
import datetime
import io
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from check import ROOT, RUNG, Contender, in_turn
from page import publish

HEAD = "|Repository|Files|MB|Command|Wall s|CPU s|Peak MB|\n|-|-:|-:|-|-:|-:|-:|\n"
PAGE = """<!-- check-trees -->
## Checking real files

{day}, {machine}, load {load}
at the start; Python {python}. Medians of {rounds} runs of each, interleaved,
after one warm-up run. The whole command, its start included. *Before* is commit `{before}`.

{rows}

The last row of each is the least that any reader of all files does, compiled ones included, which
`rung check` does not open.

Made by `uv run python benchmarks/check_trees.py --rounds {rounds} --before {before} --write docs/benchmarks.md FOLDER ...`.
[What the folders hold](https://github.com/rung-ml/rung/blob/main/benchmarks/README.md).
<!-- /check-trees -->
"""
# The least that any reader of all files does.
READ = """import os, sys
size = count = 0
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            size += len(file.read())
            count += 1
print(count, size)
"""


def older(commit: str, room: Path) -> list[str]:
    """Write Rung as it was at a commit into a folder; return the command that runs it."""
    wanted = ["generator", "levels", "templates", "copier.yml"]
    packed = subprocess.run(
        ["git", "-C", ROOT, "archive", commit, *wanted], check=True, stdout=subprocess.PIPE
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(room, filter="data")
    return ["env", f"PYTHONPATH={room / 'generator'}", sys.executable, "-m", "rung"]


def one_tree(folder: Path, before: list[str], rounds: int) -> list[str]:
    """Time what checks and what reads a repository; return rows of the table."""
    options = ["check", str(folder), "--seconds", "600", "--format", "json"]
    contenders = [Contender("`rung check`", [RUNG, *options])]
    if before:
        contenders.append(Contender("the same, before", [*before, *options]))
    read = Contender("only reading its bytes", [sys.executable, "-c", READ, folder])
    in_turn([*contenders, read], rounds)
    if len({one.output for one in contenders}) > 1:
        print(f"{folder.name}: the report is another one than before", file=sys.stderr)
    count, size = map(int, read.output.split())
    cells = (folder.name, f"{count:,}", f"{size / 1e6:,.0f}")
    return [one.row(*cells, one.title) for one in (*contenders, read)]


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--before", metavar="COMMIT", help="time Rung at this commit beside it")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="check-trees-") as room:
        before = older(options.before, Path(room)) if options.before else []
        rows = [
            row for folder in options.folders for row in one_tree(folder, before, options.rounds)
        ]
    made = PAGE.format(
        rounds=options.rounds,
        day=datetime.date.today().strftime("%d %B %Y"),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        load=f"{load:.1f}",
        python=platform.python_version(),
        before=options.before,
        rows=HEAD + "\n".join(rows),
    )
    publish(made, "check-trees", options.write)


if __name__ == "__main__":
    main()
