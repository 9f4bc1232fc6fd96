"""Time the pipeline of a new project on rung 2, and with --verbs what commands cost on rung 4."""

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from page import publish

ROOT = Path(__file__).resolve().parents[1]
MADE = [
    ".dvc/cache",
    ".dvc/tmp",
    "dvc.lock",
    "mlflow.db",
    "mlruns",
    "data/ingested",
    "model",
    "reports",
]
ALL = ["dvc", "repro", "--all-pipelines"]
WAYS = {"one process for all stages": ["rung-ops", *ALL], "a process for each stage": ALL}
PAGE = """<!-- pipeline -->
## The seconds of a pipeline

The pipeline of a new project on rung 2, 50,004 flights, nothing cached, bytecode compiled. Seconds. {date}, {machine}, load {load:.1f} at the start;
Python {python}.

|`dvc repro`|CPU|Wall|
|-|-:|-:|
{ways}

In one process the stages take, on the clock: {stages}.

|Target, CPU|Required|Reached||
|-|-:|-:|-:|
|pipeline|at most 15 s|{reached:.1f} s|{verdict}|

Made by `uv run python benchmarks/pipeline.py --rounds {rounds} --write docs/benchmarks.md`.
<!-- /pipeline -->
"""

# Commands on rung 4; those of rung-ops are also asked for --help, which imports what they need.
VERBS = {
    "gate": ["rung-ops", "gate"],
    "monitor": ["rung-ops", "monitor", "--if-deployed"],
    "predict": ["rung-ops", "predict", "data/test.parquet"],
    "releases": ["rung-ops", "releases"],
    "secrets": ["rung-ops", "secrets"],
    "policies": ["rung-ops", "policies"],
    "pytest": ["pytest"],
    "poe check": ["poe", "check"],
}
SERVED = (
    ["poe", "keys"],
    ["git", "add", "--all"],
    ["git", "commit", "--quiet", "--no-verify", "--message=Keys"],
    ["poe", "pipeline"],
    ["poe", "release"],
    ["poe", "deploy", "production", "--at-once", "--without-gate", "measured"],
)
VERBS_PAGE = """<!-- verbs -->
### The seconds of verbs

CPU seconds of commands in a project on rung 4, 50,004 flights, one release in production, bytecode compiled; `--help` is what
is imported before the work. {rounds} interleaved rounds, medians. {date}, {machine}, load {load:.1f} at the start; Python {python}.

|Command|`--help`, before|`--help`|Whole, before|Whole|
|-|-:|-:|-:|-:|
{lines}

Made by `uv run python benchmarks/pipeline.py --verbs --before CHECKOUT --rounds {rounds} --write docs/benchmarks.md`, where
CHECKOUT is one of an earlier commit.
<!-- /verbs -->
"""


def new_project(folder: Path, rung: int) -> Path:
    """Make a project of the last commit's template in a folder, and install what it needs."""
    project = folder / "project"
    answers = ("--defaults", "--level", str(rung), "--use-case", "velocity")
    template = ("--template", str(ROOT), "--template-version", "HEAD")
    home = os.environ | {"HOME": str(folder)}  # rung notes there which templates are trusted
    subprocess.run(["rung", "new", project, *answers, *template], check=True, env=home)
    subprocess.run(["uv", "sync", "--quiet", "--compile-bytecode"], cwd=project, check=True)
    return project


def timed(
    project: Path, words: list[str], library: Path | None = None, is_checked: bool = True
) -> tuple[float, float]:
    """Run a command in the project's environment; return its CPU and wall seconds.

    `library` is a folder with another rung_ops than the one that the project has installed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    path = f"{project / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    if library:
        kept["PYTHONPATH"] = str(library)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        words,
        cwd=project,
        env=kept | {"PATH": path},
        check=is_checked,
        stdout=subprocess.DEVNULL,
        stderr=None if is_checked else subprocess.DEVNULL,
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def clean(project: Path) -> None:
    """Remove what the pipeline made."""
    for path in [*(project / name for name in MADE), *project.glob("data/*.parquet")]:
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)


def verbs(project: Path, before: Path, rounds: int) -> str:
    """Time VERBS with the library of a checkout and with this one; return the lines of the table."""
    libraries = [before / "machinery", ROOT / "machinery"]
    asked = {(name, False): words for name, words in VERBS.items()}
    asked |= {(name, True): [*w, "--help"] for name, w in VERBS.items() if w[0] == "rung-ops"}
    figures: dict[tuple[str, bool], list[list[float]]] = {key: [[], []] for key in asked}
    for turn in range(rounds + 1):
        for key, words in asked.items():
            for which in (0, 1) if turn % 2 else (1, 0):
                # A gate that refuses, and a check that fails, cost what others do.
                cpu, _ = timed(project, words, libraries[which], is_checked=False)
                if turn:  # the first round compiles
                    figures[key][which].append(cpu)
        print(f"round {turn} of {rounds} done", file=sys.stderr)
    lines = []
    for name in VERBS:
        pairs = figures.get((name, True), [[], []]) + figures[name, False]
        cells = [f"{statistics.median(column):.2f}" if column else "-" for column in pairs]
        lines.append(f"|`{name}`|{'|'.join(cells)}|")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    parser.add_argument("--verbs", action="store_true", help="time commands on rung 4 instead")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="with an earlier library")
    parser.add_argument("--project", type=Path, help="with a release in production, for --verbs")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    facts = {
        "rounds": options.rounds,
        "date": f"{datetime.date.today():%d %B %Y}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load": load,
        "python": platform.python_version(),
    }
    if options.verbs:
        with tempfile.TemporaryDirectory(prefix="pipeline-") as folder:
            if not (project := options.project):
                project = new_project(Path(folder), 4)
                for words in SERVED:
                    timed(project, words)
            lines = verbs(project, options.before or ROOT, options.rounds)
        publish(VERBS_PAGE.format(lines=lines, **facts), "verbs", options.write)
        return
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    stages: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="pipeline-") as folder:
        project = new_project(Path(folder), 2)
        for turn in range(options.rounds + 1):
            for name in list(WAYS)[:: 1 if turn % 2 else -1]:
                clean(project)
                figure = timed(project, WAYS[name])
                if turn:
                    figures[name].append(figure)
            if turn:  # of the first way, as plain DVC notes none
                noted = json.loads((project / ".cache/stage_seconds.json").read_bytes())
                for stage, seconds in noted.items():
                    stages.setdefault(stage, []).append(seconds)
            print(f"round {turn} of {options.rounds} done", file=sys.stderr)
    medians = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)]
        for name, rows in figures.items()
    }
    reached = next(iter(medians.values()))[0]
    page = PAGE.format(
        ways="\n".join(f"|{name}|{cpu:.1f}|{wall:.1f}|" for name, (cpu, wall) in medians.items()),
        stages=", ".join(
            f"{name} {statistics.median(all_):.1f} s" for name, all_ in stages.items()
        ),
        reached=reached,
        verdict="yes" if reached <= 15 else "no",
        **facts,
    )
    publish(page, "pipeline", options.write)


if __name__ == "__main__":
    main()
