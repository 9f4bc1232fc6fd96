"""Time a climb: `rung climb --no-verify` against `copier update`, on a small and a large project."""

import argparse
import datetime
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from page import publish

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(sys.executable).parent
TIMED = ("wall", "cpu", "megabytes")
LARGE = 100_000_000  # bytes of the one large file
FROM, TO = 1, 2


@dataclass
class Contender:
    """One way to climb, and its figures.

    Attributes:
        title: for the table.
        command: what is run in the project.
        cached: which renders Rung's cache holds before each run: both, that of the project as
            `rung new` leaves it, or none.
        figures: by project, seconds of wall and CPU time, and the peak memory of the process and
            of each it starts, MB.
    """

    title: str
    command: tuple[str, ...]
    cached: str = "both"
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def run(self, name: str, project: Path, environment: dict[str, str], *, timed: bool) -> None:
        """Climb once, in a copy of the project."""
        with tempfile.TemporaryDirectory(dir=project.parent) as scratch:
            copy = shutil.copytree(project, Path(scratch) / "project", symlinks=True)
            # A copied index names other inodes, and git would read every file again.
            _do("git", "-C", copy, "status", "--porcelain", environment=environment)
            cache = Path(environment["RUNG_CACHE_DIR"])
            if self.cached != "both":
                shutil.rmtree(cache, ignore_errors=True)
            if self.cached == "one":
                shutil.copytree(cache.with_name("new"), cache)
            log = Path(scratch) / "log"
            begin = time.perf_counter()
            with log.open("wb") as output:
                process = subprocess.Popen(
                    self.command, cwd=copy, env=environment, stdout=output, stderr=output
                )
                _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode or not (copy / "dvc.yaml").exists():
                sys.exit(f"{self.title} ended with {process.returncode}:\n{log.read_text()}")
        if timed:
            measured = (wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)
            own = self.figures.setdefault(name, {one: [] for one in TIMED})
            for one, value in zip(TIMED, measured, strict=True):
                own[one].append(value)

    def median(self, name: str, what: str) -> float:
        """Give the median of a figure."""
        return statistics.median(self.figures[name][what])


def contenders(template: Path) -> list[Contender]:
    """Return the commands; Rung's with both renders in its cache, with one, and with neither."""
    climb = (str(SCRIPTS / "rung"), "climb", "--no-verify", "--to", str(TO))
    climb += ("--template", str(template))
    update = (str(SCRIPTS / "copier"), "update", "--defaults", "--quiet")
    update += ("--vcs-ref=:current:", "--data", f"level={TO}")
    return [
        Contender("`rung climb --no-verify`", climb),
        Contender("the same, after `rung new`", climb, cached="one"),
        Contender("the same, nothing cached", climb, cached="none"),
        Contender("`copier update`", update),
    ]


def projects(folder: Path, environment: dict[str, str]) -> dict[str, Path]:
    """Make projects of 60 and 1,000 files on the lower rung, and one with a large file."""
    template = folder / "template"
    _do("git", "clone", "--quiet", ROOT, template, environment=environment)
    born = folder / "born"
    words = ("--defaults", "-dproject_name=Late flights", "--level", str(FROM))
    words += ("--template", template)
    _do(SCRIPTS / "rung", "new", born, *words, environment=environment)
    cache = Path(environment["RUNG_CACHE_DIR"])
    shutil.copytree(cache, cache.with_name("new"))  # as the first climb of a project finds it
    there = len(_do("git", "-C", born, "ls-files", environment=environment).splitlines())
    made = {}
    for name, files, large in (
        ("60 files", 60, False),
        ("1,000 files", 1000, False),
        ("60 files, one of 100 MB", 60, True),
    ):
        made[name] = shutil.copytree(born, folder / name.replace(" ", "-"), symlinks=True)
        for number in range(there + large, files):
            module = made[name] / f"src/late_flights/part_{number // 50}/module_{number}.py"
            module.parent.mkdir(exist_ok=True)
            module.write_text("".join(f"A{line} = {number}\n" for line in range(100)))
        if large:
            with (made[name] / "large.bin").open("wb") as file:
                file.truncate(LARGE)
        for words in (["add", "--all"], ["commit", "--quiet", "--no-verify", "-m", "Ours"]):
            _do("git", "-C", made[name], *words, environment=environment)
    return made


def table(chosen: list[Contender], names: list[str]) -> str:
    """Return medians as a Markdown table; ratios are to `copier update` on the same project."""
    lines = ["|Project|Command|Wall s|CPU s|CPU, relative|Peak MB|", "|-|-|-:|-:|-:|-:|"]
    for name in names:
        copier = chosen[-1].median(name, "cpu")
        for one in chosen:
            cells = [
                name,
                one.title,
                f"{one.median(name, 'wall'):.2f}",
                f"{one.median(name, 'cpu'):.2f}",
                f"{one.median(name, 'cpu') / copier:.2f}",
                f"{one.median(name, 'megabytes'):.0f}",
            ]
            lines.append(f"|{'|'.join(cells)}|")
    return "\n".join(lines)


def section(options: argparse.Namespace, load: float, made: str) -> str:
    """Return the section of docs/benchmarks.md, with all that is needed to make it again."""
    command = f"uv run python benchmarks/climb.py --rounds {options.rounds}"
    command += " --small" if options.small else ""
    command += " --write docs/benchmarks.md" if options.write else ""
    git = _do("git", "--version", environment=dict(os.environ)).split()[2]
    return f"""<!-- climb -->
## Climbing

From rung {FROM} to rung {TO}, no edits. Medians of {options.rounds} interleaved rounds. {datetime.date.today():%d %B %Y},
{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start; Python
{platform.python_version()}, rung {version("rung")}, copier {version("copier")}, git {git}.

{made}

Made by `{command}`.
<!-- /climb -->
"""


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--small", action="store_true", help="only the project of 60 files")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="climb-") as name:
        folder = Path(name)
        environment = os.environ | {"RUNG_CACHE_DIR": str(folder / "cache")}
        places = projects(folder, environment)
        if options.small:
            places = {"60 files": places["60 files"]}
        chosen = contenders(folder / "template")
        for turn in range(options.rounds + 1):
            for project, place in places.items():  # each climb leaves both renders in the cache
                first = turn % len(chosen)
                for one in chosen[first:] + chosen[:first]:
                    one.run(project, place, environment, timed=turn > 0)
            print(
                f"round {turn} of {options.rounds} done" if turn else "warmed up", file=sys.stderr
            )
    made = section(options, load, table(chosen, list(places)))
    publish(made, "climb", options.write)


def _do(*command: str | Path, environment: dict[str, str]) -> str:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout


if __name__ == "__main__":
    main()
