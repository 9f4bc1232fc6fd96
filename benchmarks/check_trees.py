"""Time `rung check` on repositories on this machine, and the reading of all their bytes."""

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

from check import RUNG, Contender, in_turn
from page import publish

HEAD = "|Repository|Files|MB|Command|Wall s|CPU s|Peak MB|\n|-|-:|-:|-|-:|-:|-:|\n"
PAGE = """<!-- check-trees -->
## Checking real files

{day}, {machine}, load {load}
at the start; Python {python}.

{rows}

Made by `uv run python benchmarks/check_trees.py --rounds {rounds} --write docs/benchmarks.md FOLDER ...`.
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


def one_tree(folder: Path, rounds: int) -> list[str]:
    """Time what checks and what reads a repository; return rows of the table."""
    options = ["check", str(folder), "--seconds", "600", "--format", "json"]
    check = Contender("`rung check`", [RUNG, *options])
    read = Contender("only reading its bytes", [sys.executable, "-c", READ, folder])
    in_turn([check, read], rounds)
    count, size = map(int, read.output.split())
    cells = (folder.name, f"{count:,}", f"{size / 1e6:,.0f}")
    return [one.row(*cells, one.title) for one in (check, read)]


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = [row for folder in options.folders for row in one_tree(folder, options.rounds)]
    made = PAGE.format(
        rounds=options.rounds,
        day=datetime.date.today().strftime("%d %B %Y"),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        load=f"{load:.1f}",
        python=platform.python_version(),
        rows=HEAD + "\n".join(rows),
    )
    publish(made, "check-trees", options.write)


if __name__ == "__main__":
    main()
