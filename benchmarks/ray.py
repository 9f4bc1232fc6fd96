"""Time tuning and scoring on Ray with 1, 2 and 4 workers against the same project without Ray."""

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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from page import publish

ROOT = Path(__file__).resolve().parents[1]
ROWS = ROOT / "tests/assets/ray_rows.py"
WORKERS = (1, 2, 4)


@dataclass
class Contender:
    """One way to tune and to score.

    Attributes:
        title: for the table.
        workers: of Ray; 0 for no Ray.
        figures: seconds of wall time, by what was done.
    """

    title: str
    workers: int
    figures: dict[str, list[float]] = field(default_factory=dict)

    def run(self, project: Path, rows: dict[str, Path], trials: int, *, timed: bool) -> None:
        """Score few rows and many, and tune, once each."""
        settings = project / "ops/ray.toml"
        text = settings.read_text("utf-8")
        settings.write_text(re.sub(r"(?m)^workers = \d+", f"workers = {self.workers or 1}", text))
        on = ["--backend", "ray"] if self.workers else []
        todo = {
            name: ["rung_ops", "predict", *on, str(file), "reports/scored.parquet"]
            for name, file in rows.items()
        }
        tune = ["ray", "tune"] if self.workers else ["tune"]
        todo["tune"] = ["rung_ops", *tune, "--trials", str(trials)]
        todo["tune"] += [] if self.workers else ["--together", "4"]
        for name, words in todo.items():
            begin = time.perf_counter()
            _do(project / ".venv/bin/python", "-m", *words, cwd=project)
            if timed:
                self.figures.setdefault(name, []).append(time.perf_counter() - begin)

    def median(self, name: str) -> float:
        """Give the median of a figure."""
        return statistics.median(self.figures[name])


CONTENDERS = [Contender("without Ray", 0)] + [
    Contender(f"Ray, {workers} worker{'s' if workers > 1 else ''}", workers) for workers in WORKERS
]


def project_in(folder: Path) -> Path:
    """Make a project of the last commit, install it and train."""
    project = folder / "project"
    answers = ("--defaults", "--level", "2", "--use-case", "velocity", "--data", "compute=ray")
    _do("rung", "new", project, *answers, "--template", ROOT, "--template-version", "HEAD")
    _do("uv", "sync", "--quiet", cwd=project)
    _do("uv", "run", "poe", "train", cwd=project)
    return project


def table(names: Sequence[str]) -> str:
    """Return medians as a Markdown table; ratios are to the run without Ray."""
    lines = ["|Where|Few rows, s|Many rows, s|relative|Tuning, s|relative|", "|-|-:|-:|-:|-:|-:|"]
    plain = CONTENDERS[0]
    for one in CONTENDERS:
        few, many, tune = map(one.median, names)
        cells = [one.title, f"{few:.1f}", f"{many:.1f}", f"{many / plain.median(names[1]):.2f}"]
        cells += [f"{tune:.1f}", f"{tune / plain.median(names[2]):.2f}"]
        lines.append(f"|{'|'.join(cells)}|")
    return "\n".join(lines)


def section(options: argparse.Namespace, load: tuple[float, float], ray: str, made: str) -> str:
    """Return the section of docs/benchmarks.md, with all that is needed to make it again."""
    command = f"uv run python benchmarks/ray.py --rounds {options.rounds} --times {options.times}"
    command += f" --trials {options.trials}" + (
        " --write docs/benchmarks.md" if options.write else ""
    )
    _, two, four = (CONTENDERS[1].median("many") / one.median("many") for one in CONTENDERS[1:])
    return f"""<!-- ray -->
## Tuning and scoring on Ray

Scoring 12,501 rows (few) and {options.times * 12_501:,} (many), and tuning with {options.trials} \
trials in rounds of 4, each with
the start of Python and of Ray on this machine, wall time. \
{datetime.date.today():%d %B %Y}, {platform.system()} \
{platform.machine()}, {os.cpu_count()} cores, load {load[0]:.1f} at the start
and {load[1]:.1f} at the end; Python {platform.python_version()}, Ray {ray}.

{made}

On many rows 2 workers were {two:.2f} times and 4 workers {four:.2f} times as fast as 1 \
worker: they share two cores.

Made by `{command}`.
<!-- /ray -->
"""


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--times", type=int, default=64, help="how many times 12,501 rows")
    parser.add_argument("--trials", type=int, default=12, help="of a search")
    parser.add_argument("--project", type=Path, help="a trained project, in place of a new one")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="ray-") as name:
        folder = Path(name)
        project = (options.project or project_in(folder)).resolve()
        python = project / ".venv/bin/python"
        rows = {"few": project / "data/test.parquet", "many": folder / "many.parquet"}
        _do(python, ROWS, rows["few"], str(options.times), rows["many"])
        for turn in range(options.rounds == 1, options.rounds + 1):
            first = turn % len(CONTENDERS)
            for one in CONTENDERS[first:] + CONTENDERS[:first]:
                one.run(project, rows, options.trials, timed=turn > 0)
            print(f"round {turn} of {options.rounds} done", file=sys.stderr)
        ray = _do(python, "-c", "import ray; print(ray.__version__)").strip()
    made = section(options, (load, os.getloadavg()[0]), ray, table(("few", "many", "tune")))
    publish(made, "ray", options.write)


def _do(*command: str | Path, cwd: Path = ROOT) -> str:
    settings = os.environ | {"OMP_WAIT_POLICY": "passive", "RAY_ADDRESS": ""}
    settings.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        command, cwd=cwd, env=settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{command} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
