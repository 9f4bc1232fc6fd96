"""The verb `rung demo`: a project on real data climbs the ladder."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from rung.errors import NotDoneError, RungError

ANSWERS = {"project_name": "Late flights", "use_case": "velocity", "team_size": "one"}
LAST = 4
REPORT = "reports/report.html"
ENDS = ("failure", "error", "skipped")  # of a test that did not pass, in JUnit's record
TIMELINE = "reports/replay/timeline.html"
# The first four of the months that `poe replay` can show: features drift, the release gets too old, a
# version is trained and takes over.
FROM, MONTHS = "2013-03", 4

# The tasks that are run on a rung after `check`, as the project's README names them.
TASKS = {
    0: ["train", "evaluate"],
    1: [],  # neither code nor data of the model has changed
    2: ["pipeline"],
    3: ["keys", "pipeline", "gate", "release", "deploy production"],
    4: ["pipeline"],
}


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=Path, help="Where to make it (./rung-demo)."),
    ] = None,
    upto: Annotated[int, typer.Option(metavar="N", help="The last rung.")] = 4,
) -> int:
    """Make a project on real data; climb to the top."""
    from rung.core import template_source
    from rung.core.creation import create
    from rung.system import git, process, shortage

    if not 0 <= upto <= LAST:
        raise RungError(f"There is no rung {upto} to show. Choose --upto 0 to {LAST}.")
    uv = process.uv()
    if uv is None:
        raise RungError(
            "uv is not on PATH. Install it, or run `make demo`, which brings its own. "
            + shortage.DOCTOR
        )
    project = (keep or _free(Path("rung-demo"))).absolute()
    chosen = template_source.choose(None, None)
    print(f"The project: {project}", f"The template: {chosen.address} at {chosen.ref}", sep="\n")
    rows, replayed = [("rung", "files", "tests passed", "score", "seconds")], ""
    for rung in range(upto + 1):
        started = time.monotonic()
        if rung == 0:
            created = create(project, chosen, ANSWERS | {"level": 0}, defaults=True, with_git=True)
            print(f"\nRung 0: {len(created.files)} files")
            print(*(f"  + {path}" for path in created.files), sep="\n")
        else:
            _show_climb(project, rung)
        tests = _use(uv, project, rung)
        if rung == LAST:
            command = [uv, "run", "poe", "replay", "--from", FROM, "--months", str(MONTHS)]
            replayed = _replay(command, project)
        seconds = f"{time.monotonic() - started:.0f}"
        files = len(git.run(project, "ls-files").splitlines())
        rows.append((str(rung), str(files), str(tests), _score(project), seconds))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    print(*("  ".join(map(str.rjust, row, widths)) for row in rows), sep="\n")
    if replayed:
        print(f"\n{MONTHS} months, replayed on rung {LAST}:\n{replayed}")
    print("\nWhere to look:")
    for where, what in _results(project, upto).items():
        print(f"  {where}\n      {what}")
    return 0


def _results(project: Path, rung: int) -> dict[str, str]:
    """Return descriptions of the results, by the path or the command that shows them."""
    folder = shlex.quote(str(project))
    places = {
        str(project / REPORT): "the report of the last model, for a browser",
        str(project / "RUNG.md"): "what this rung offers, and what the next one brings",
        f"git -C {folder} log --stat": "what each climb changed",
    }
    if rung == LAST:
        what = "these months with and without the autopilot, for a browser"
        places[str(project / TIMELINE)] = what
    if rung >= 3:
        places[f"cd {folder} && uv run poe serve"] = "the prediction service"
    if rung >= 2:
        places[f"cd {folder} && uv run poe runs"] = "every training run, in MLflow"
    return places


def _free(wanted: Path) -> Path:
    number, path = 1, wanted
    while os.path.lexists(path):
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return path


def _show_climb(project: Path, rung: int) -> None:
    from rung.core.climbing import apply, messages, planner
    from rung.core.climbing.plans import ChangeRequest

    with planner.prepare(project, ChangeRequest({"level": rung})) as prepared:
        plan = prepared.plan
        if plan.conflicts:
            paths = ", ".join(conflict.path for conflict in plan.conflicts)
            raise NotDoneError(f"The climb to rung {rung} has conflicts in {paths}.")
        apply.climb(prepared, messages.message(plan), verify=False)
    print(
        f"\nRung {rung}. Files: {len(plan.added)} added, {len(plan.changed)} changed, "
        f"{len(plan.retired)} retired"
    )
    signs = (("+", plan.added), ("~", plan.changed), ("-", plan.retired))
    print(*(f"  {sign} {path}" for sign, paths in signs for path in paths), sep="\n")


def _use(uv: str, project: Path, rung: int) -> int:
    """Install, check and train as the project's README says; return how many tests passed."""
    from rung.system import git, process

    process.run("install", [uv, "sync"], project)
    if git.run(project, "status", "--porcelain"):
        git.commit_all(project, f"Lock the packages of rung {rung}")
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        record = Path(scratch) / "tests.xml"
        options = {"PYTEST_ADDOPTS": f"--junitxml={shlex.quote(str(record))}"}
        process.run("check", [uv, "run", "poe", "check"], project, options)
        tests = _passed(record)
    for task in TASKS[rung]:
        process.run(task, [uv, "run", "poe", *task.split()], project)
        # A release names a commit, so results are committed after every task.
        if git.run(project, "status", "--porcelain"):
            git.commit_all(project, f"{task.split()[0].capitalize()} on rung {rung}")
    return tests


def _replay(command: list[str], project: Path) -> str:
    """Run the replay, pass on its output, and return its last lines."""
    from rung.system import process

    started = time.monotonic()
    print("  replay:", flush=True)
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=project,
        env=process.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as child:
        for line in child.stdout or ():
            if lines or not line.strip():  # the summary begins after an empty line
                lines.append(line)
            else:
                print(f"    {line}", end="", flush=True)
    if child.returncode:
        print("".join(lines), file=sys.stderr)
        raise NotDoneError(
            f"`{' '.join(command)}` failed in {project} with exit code {child.returncode}; "
            "its output is above."
        )
    print(f"  replay: {time.monotonic() - started:.1f} s", flush=True)
    return "".join(lines).strip("\n")


def _passed(record: Path) -> int:
    from xml.etree import ElementTree

    if not record.is_file():
        raise NotDoneError("The project's checks ran no tests.")
    cases = ElementTree.parse(record).getroot().iter("testcase")
    return sum(all(case.find(kind) is None for kind in ENDS) for case in cases)


def _score(project: Path) -> str:
    metric = tomllib.loads((project / "params.toml").read_text("utf-8"))["score"]["metric"]
    metrics = json.loads((project / "reports/metrics.json").read_text("utf-8"))
    return f"{metric} {metrics[metric]:.3f}"
