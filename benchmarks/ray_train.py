"""Time fit_on_ray() with 1 and 2 workers against the same fit() in one process."""

import argparse
import contextlib
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from page import publish

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, TREES = 20, 100
MARK = "RUNG_MEASURED"  # a variable that Ray's processes inherit
CONTENDERS = {"fit() of a frame": 0, "Ray, 1 worker": 1, "Ray, 2 workers": 2}
# What runs in a project: its rows and features are replaced by drawn ones.
FIT = f"""
import pathlib, sys, time
import numpy as np, polars as pl, polars.selectors as cs
from lightgbm import LGBMClassifier
from rung_ops import contract
from rung_ops.stages import fit_on_ray, read_parts, truth
height, workers, file = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
if not file.exists():
    draw = np.random.default_rng(0)
    drawn = draw.standard_normal((height, {COLUMNS}), dtype=np.float32)
    happened = drawn[:, :5].sum(axis=1) + draw.normal(size=height) > 0
    rows = pl.DataFrame(drawn, [f"x{{n}}" for n in range({COLUMNS})])
    rows.with_columns(pl.Series(contract.TARGET, happened)).write_parquet(file)
    sys.exit()
contract.FEATURES = [cs.starts_with("x")]
parts = read_parts(file)
model = LGBMClassifier(n_estimators={TREES}, n_jobs=1, random_state=0, verbosity=-1)
begin = time.perf_counter()
if workers:
    model = fit_on_ray(model, parts, workers, checkpoint_rounds={TREES // 5})
else:
    model.fit(parts[:], truth(parts.rows))
seconds = time.perf_counter() - begin
wrong = np.mean(model.predict(parts[:100_000]) != truth(parts.rows[:100_000]))
print(seconds, float(wrong))
"""


def project_in(folder: Path) -> Path:
    """Make a project of the last commit, with LightGBM."""
    project = folder / "project"
    answers = ("--defaults", "--level", "2", "--use-case", "velocity", "--data", "compute=ray")
    template = ("--template", str(ROOT), "--template-version", "HEAD")
    subprocess.run(["rung", "new", project, *answers, *template], check=True)
    subprocess.run(["uv", "add", "--quiet", "lightgbm"], cwd=project, check=True)
    return project


def run(project: Path, height: int, workers: int, rows: Path) -> tuple[float, float, float]:
    """Return seconds of wall time for fit(), of CPU for all processes, and the share of errors."""
    mark = f"{MARK}={os.getpid()}-{time.monotonic_ns()}"
    name, _, value = mark.partition("=")
    settings = os.environ | {name: value, "RAY_ADDRESS": "", "OMP_WAIT_POLICY": "passive"}
    process = subprocess.Popen(
        [project / ".venv/bin/python", "-c", FIT, str(height), str(workers), rows],
        cwd=project,
        env=settings,
        stdout=subprocess.PIPE,
        text=True,
    )
    spent: dict[str, float] = {}
    while process.poll() is None:
        spent |= cpu(mark.encode())
        time.sleep(0.2)
    assert process.stdout
    printed = process.stdout.read().split()
    if process.returncode:
        sys.exit(f"{workers} workers: exit code {process.returncode}")
    seconds, wrong = map(float, printed[-2:] or ("0", "0"))
    return seconds, sum(spent.values()), wrong


def cpu(mark: bytes) -> dict[str, float]:
    """Return the CPU seconds so far of the running processes that have the mark, by process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes():
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                ticks = int(fields[11]) + int(fields[12])
                found[folder.name] = ticks / os.sysconf("SC_CLK_TCK")
    return found


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--project", type=Path, help="with compute=ray and LightGBM, not a new one")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CONTENDERS}
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="ray-") as name:
        project = (options.project or project_in(Path(name))).resolve()
        rows = Path(name) / "rows.parquet"
        run(project, options.rows, 0, rows)
        for turn in range(options.rounds):
            for contender, workers in CONTENDERS.items():
                figures[contender].append(run(project, options.rows, workers, rows))
                load.append(os.getloadavg()[0])
                print(turn, contender, figures[contender][-1], load[-1], file=sys.stderr)
    lines = ["|Where|Wall, s|CPU, s|Errors, %|", "|-|-:|-:|-:|"]
    for contender, measured in figures.items():
        wall, spent, wrong = (statistics.median(values) for values in zip(*measured, strict=True))
        lines.append(f"|{contender}|{wall:.1f}|{spent:.1f}|{100 * wrong:.2f}|")
    command = (
        f"uv run python benchmarks/ray_train.py --rounds {options.rounds} --rows {options.rows}"
    )
    table = "\n".join(lines)
    section = f"""<!-- ray-train -->
## Training on Ray

{options.rows:,} rows of {COLUMNS} columns, {TREES} trees, five checkpoints; each worker has one \
thread. Medians of {options.rounds} interleaved rounds.
Wall time of the fit, with the start of Ray on this machine; CPU of all processes, with imports. \
{datetime.date.today():%d %B %Y},
{os.cpu_count()} cores, load {min(load):.0f} to {max(load):.0f}; Python {platform.python_version()}.

{table}

Made by `{command}{" --write docs/benchmarks.md" if options.write else ""}`.
<!-- /ray-train -->
"""
    publish(section, "ray-train", options.write)


if __name__ == "__main__":
    main()
