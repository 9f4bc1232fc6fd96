"""The simulated year of benchmarks/recovery.py beside a real one: the same rows, through `poe replay`.

`uv run --group machinery python benchmarks/recovery_service.py FOLDER [--streams abrupt] [--seeds 1]`
writes each stream to a file, makes a project of it on rung 4 (`rung new --from-file`) whose model is that of
the simulation, and replays the twelve months that the simulation serves, with HTTP, files and processes. It
prints both, month by month; `--write docs/benchmarks.md` puts the table there. FOLDER keeps the projects.

The months differ by hours: a replay serves calendar months, the simulation twelfths of a year.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import polars as pl
from page import publish
from recovery.simulation import Year, settings, simulate
from recovery.streams import CHANGE, CONCEPTS, KINDS, MONTHS, NUMBERS, START, World

REPOSITORY = Path(__file__).resolve().parents[1]
KIND = KINDS["binary"]
RATE = 27
COLUMNS = [*NUMBERS, "a", "b", "c", "d"]  # "e" is that of the new category
FEATURES = f"""\
import polars as pl

FEATURES: list[pl.Expr] = [pl.col(name) for name in {COLUMNS!r}]
"""
MODEL = """\
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

TRUSTED: list[str] = []


def build(params: Mapping[str, Any]) -> LogisticRegression:
    return LogisticRegression()


def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {"auc": float(roc_auc_score(truth, predicted))}
"""


def run(folder: Path, *words: str) -> None:
    """Run a command in a folder, and show what it prints if it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}:\n{done.stdout}{done.stderr}")


def replayed(folder: Path, stream: str, seed: int) -> dict[str, Any]:
    """Make the project, replay its year, and return the timeline."""
    project = folder / f"{stream.replace(' ', '_')}_{seed}"
    timeline = project / "reports/replay/timeline.json"
    if not timeline.exists():
        rows = World(KIND, stream, RATE, seed).all_rows()
        rows = rows.filter(pl.col("time").dt.year() < START.year + 1)  # a replay cuts into months
        file = folder / f"{project.name}.csv"
        rows.select(
            pl.int_range(pl.len()).alias("id"), "time", *COLUMNS, outcome=pl.col("y") == 1
        ).write_csv(file)
        new = ("new", str(project), "--from-file", str(file), "--target", "outcome", "--defaults")
        run(
            REPOSITORY,
            *("uv", "run", "rung"),
            *(*new, "--level", "4", "--use-case", "velocity"),
        )
        package = project / "src" / project.name
        (package / "features.py").write_text(FEATURES)
        (package / "model.py").write_text(MODEL)
        params = (project / "params.toml").read_text()
        head, _, rest = params.partition("[model]")
        (project / "params.toml").write_text(f"{head}[model]\n\n[score]{rest.split('[score]')[1]}")
        run(project, "uv", "sync", "--quiet")
        run(
            project, "git", "commit", "--quiet", "--all", "--message", "The model of the simulation"
        )
        run(
            project,
            *("uv", "run", "poe", "replay"),
            *("--from", f"{START:%Y-%m}", "--months", str(MONTHS)),
        )
    content: dict[str, Any] = json.loads(timeline.read_text())
    return content


def _decided(sentence: str) -> str:
    """Shorten what a month's pass of the autopilot decided."""
    if "rolled back" in sentence or ": roll back" in sentence:
        return "rolls back"
    if "trained version" not in sentence and ": retrain:" not in sentence:
        return "-"
    return "trains; the gate refuses" if "refused" in sentence else "trains; on trial"


def compared(stream: str, seed: int, year: Year, timeline: dict[str, Any]) -> list[str]:
    """List both years, month by month."""
    lines = [
        f"{stream}, seed {seed}:",
        "",
        "|Month|Oracle|Frozen: replay|simulated|Served: replay|simulated|End of month: replay|simulated|",
        "|-|-:|-:|-:|-:|-:|-|-|",
    ]
    gains = []
    for month, period in enumerate(timeline["periods"]):
        frozen, served, oracle = year.figures[month]
        real = [period[side]["figure"] for side in ("without", "with")]
        figures = (oracle, real[0], frozen, real[1], served)
        decided = year.decisions[month] if month < len(year.decisions) else ""
        lines.append(
            f"|{period['name']}|{'|'.join(f'{figure:.3f}' for figure in figures)}"
            f"|{_decided(period['headline'])}|{_decided(decided)}|"
        )
        if month > CHANGE:
            gains.append((real[1] - real[0], served - frozen))
    replay, simulated = (fmean(side) for side in zip(*gains, strict=True))
    return [
        *lines,
        "",
        f"Mean gain over the frozen release since the change: {replay:+.3f}, simulated {simulated:+.3f}.",
        "",
    ]


def main() -> None:
    """Compare the years."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--streams", nargs="+", default=["abrupt"], choices=CONCEPTS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "<!-- recovery-service -->",
        "## Recovery, simulated and served",
        "",
        (
            f"AUC of the binary target at {RATE} rows a day: the same rows by `poe replay`, with HTTP, files and "
            "processes, and by the simulation above. The months differ by hours, so their figures do too."
        ),
        "",
    ]
    for stream in options.streams:
        for seed in range(options.seeds):
            timeline = replayed(folder, stream, seed)
            year = simulate(KIND, stream, RATE, seed, settings())
            lines += compared(stream, seed, year, timeline)
            print("\n".join(lines[-20:]), flush=True)
    lines += [
        (
            "Made by `uv run --group machinery python benchmarks/recovery_service.py FOLDER "
            f"--seeds {options.seeds} --write docs/benchmarks.md`."
        ),
        "<!-- /recovery-service -->",
    ]
    publish("\n".join(lines) + "\n", "recovery-service", options.write)


if __name__ == "__main__":
    main()
