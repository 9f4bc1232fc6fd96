"""Look at what was predicted by the thresholds of the monitoring plan: `uv run poe monitor`.

As rung_ops.monitoring.run, with the limits of governance/monitoring_plan.yaml in place of monitor.toml's,
and with the officers' overrides: many say that the model is wrong, hardly any that nobody looks.
What is wrong goes into the audit log, when it begins, changes and ends.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from rung_ops.batch import prediction_log
from rung_ops.governance import audit, keys, plan
from rung_ops.governance.overrides import Overrides
from rung_ops.monitoring import run
from rung_ops.monitoring.result import Seen
from rung_ops.release import paths, state
from rung_ops.system import atomic

MONITORED = "monitored"
OVERRIDES = "overrides"  # the table of the plan's settings that is no part of monitor.toml
LEAST_ROWS = 500  # predictions from which on too few overrides say something


def overruled(folder: Path, seen: Seen, thresholds: Mapping[str, float]) -> Iterator[str]:
    """Say where people overrule too many predictions, or suspiciously few.

    Args:
        folder: the environment's.
        seen: what was predicted.
        thresholds: most_share and least_share, of the predictions; either may be left out.
    """
    if not seen.rows:
        return
    count = _overruled(folder, seen)
    share = count / seen.rows
    told = f"{count:,} of {seen.rows:,} predictions were overruled"
    most, least = thresholds.get("most_share"), thresholds.get("least_share")
    if most is not None and share > most:
        yield f"{told}, more than {most:.0%}. {_duty('most_share')}"
    if least is not None and seen.rows >= LEAST_ROWS and share < least:
        yield f"{told}, fewer than {least:.0%}. {_duty('least_share')}"


def _overruled(folder: Path, seen: Seen) -> int:
    """Count those of the predictions looked at that somebody overruled in the same time."""
    since, until = seen.since.isoformat(), seen.until.isoformat()
    found = [name for name, at in Overrides(folder).count(since).items() if at < until]
    log = prediction_log.read(prediction_log.folder(folder.name), seen.since, seen.until)
    theirs = log.filter(
        pl.col("id").is_in(found)
        & (pl.col("release") == seen.release.id)
        & (pl.col("arm") != "shadow")
    )
    return int(theirs.select(pl.col("id").n_unique()).collect().item()) if found else 0


def note(folder: Path, seen: Seen, by: str) -> list[str]:
    """Write what is wrong into the audit log, unless it says so already.

    Returns:
        Why it could not be, each a sentence. Without the key nothing is written: a line that
        nobody signs for would leave all that follow without a signature too.
    """
    said: list[str] = []
    for event in state.events(folder):
        if event["event"] == MONITORED:
            said = event["detail"]["kinds"]
    kinds = sorted({_kind(problem) for problem in seen.problems})
    if kinds == said:
        return []
    try:
        keys.private_key()
        return audit.record(
            folder, MONITORED, by, release=seen.release.id, kinds=kinds, problems=seen.problems
        )
    except (keys.NoKey, OSError, atomic.Busy, state.BadState) as error:
        return [f"What was found is not in the audit log: {error}"]


def _kind(problem: str) -> str:
    """Take the figures off a problem, which are others at each look."""
    return "".join(sign for sign in problem.partition(":")[0] if not sign.isdigit())


def _duty(setting: str) -> str:
    duty = plan.owners()[f"{OVERRIDES}.{setting}"]
    return f"{duty['owner']}: {duty['action']}"


def main(arguments: list[str] | None = None) -> int:
    """Look, and write down what is wrong; return the exit code of rung_ops.monitoring.run."""
    options = run.parsed(arguments)
    folder = paths.environment(options.environment)
    try:
        thresholds = plan.thresholds()
    except plan.BadPlan as error:
        print(error, file=sys.stderr)
        return 2
    limits = thresholds.pop(OVERRIDES, {})
    looked: list[Seen] = []

    def also(seen: Seen) -> list[str]:
        further = list(overruled(folder, seen, limits))
        looked.append(replace(seen, problems=[*seen.problems, *further]))
        return further

    code = run.main(arguments, thresholds, also)
    if code != run.COULD_NOT and not options.json:
        for problem in note(folder, looked[0], paths.person()):
            print(problem, file=sys.stderr)
    return code
