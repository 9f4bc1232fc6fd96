"""Time the pipeline of a new project on rung 2: its stages in one process, and each in its own."""

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


def new_project(folder: Path, rung: int) -> Path:
    """Make a project of the last commit's template in a folder, and install what it needs."""
    project = folder / "project"
    answers = ("--defaults", "--level", str(rung), "--use-case", "velocity")
    template = ("--template", str(ROOT), "--template-version", "HEAD")
    home = os.environ | {"HOME": str(folder)}  # rung notes there which templates are trusted
    subprocess.run(["rung", "new", project, *answers, *template], check=True, env=home)
    subprocess.run(["uv", "sync", "--quiet", "--compile-bytecode"], cwd=project, check=True)
    return project


def timed(project: Path, words: list[str]) -> tuple[float, float]:
    """Run a command in the project's environment; return its CPU and wall seconds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    path = f"{project / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        words, cwd=project, env=kept | {"PATH": path}, check=True, stdout=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def clean(project: Path) -> None:
    """Remove what the pipeline made."""
    for path in [*(project / name for name in MADE), *project.glob("data/*.parquet")]:
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
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
        rounds=options.rounds,
        date=f"{datetime.date.today():%d %B %Y}",
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        load=load,
        python=platform.python_version(),
        ways="\n".join(f"|{name}|{cpu:.1f}|{wall:.1f}|" for name, (cpu, wall) in medians.items()),
        stages=", ".join(
            f"{name} {statistics.median(all_):.1f} s" for name, all_ in stages.items()
        ),
        reached=reached,
        verdict="yes" if reached <= 15 else "no",
    )
    publish(page, "pipeline", options.write)


if __name__ == "__main__":
    main()
