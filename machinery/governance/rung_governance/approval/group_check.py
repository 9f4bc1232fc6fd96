"""The check of differences between groups against the change control plan: `rung-ops fairness-check`.

CI runs it after training, so that a version that the plan forbids fails there, and not only in the
gate, which does the same. The threshold is compared before the training, too, as it needs no model.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import polars as pl

from rung_governance.approval import bounds, plan
from rung_governance.approval.plan import Bounds
from rung_ops import contract
from rung_ops.command import verb
from rung_ops.errors import SettingsError
from rung_ops.model import target
from rung_ops.model.target import MULTICLASS
from rung_ops.project import current
from rung_ops.project.parameters import FairnessSettings
from rung_ops.project.paths import params, shown
from rung_ops.system.printable import counted, printable


def fairness_file() -> Path:
    """Return the path of the comparison; its module brings fairlearn, which `poe records` spares."""
    return current().reports / "fairness.json"


def at_threshold(limits: Bounds, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of params.toml with the threshold that the plan decides by."""
    if limits.decision_threshold is None:
        return dict(settings)
    chosen = settings.get("fairness", {}) | {"threshold": limits.decision_threshold}
    return {**settings, "fairness": chosen}


def threshold_problems(
    limits: Bounds, settings: Mapping[str, Any], report: Mapping[str, Any]
) -> Iterator[str]:
    """Say how the threshold at which groups are compared is not the one of the plan."""
    yield from threshold_settings(limits, settings, str(report.get("task")))
    threshold = limits.decision_threshold
    if report.get("task") == "classification" and threshold is not None:
        if report["threshold"] != threshold:
            yield (
                f"{shown(fairness_file())} compares groups at {report['threshold']:g}, and the plan "
                f"decides at {threshold:g}: train again"
            )


def threshold_settings(limits: Bounds, settings: Mapping[str, Any], task: str) -> Iterator[str]:
    """Say how params.toml and the plan decide at two thresholds; it takes no model."""
    if task == MULTICLASS:
        yield from _thresholds_of_classes(limits, settings)
    if task != "classification":
        return
    if limits.decision_threshold is None:
        if limits.fairness:
            yield (
                "it names no `decision_threshold` under `protocol`, the probability from which on "
                "the positive class counts as predicted, at which groups are compared"
            )
        return
    here = settings.get("fairness", {}).get("threshold", FairnessSettings().threshold)
    if here != limits.decision_threshold:
        yield (
            f"params.toml decides at {here:g} (threshold under [fairness]), and the plan at "
            f"{limits.decision_threshold:g} (decision_threshold)"
        )


def _thresholds_of_classes(limits: Bounds, settings: Mapping[str, Any]) -> Iterator[str]:
    answered = "and of several classes the most probable one is predicted, without a threshold"
    if limits.decision_threshold is not None:
        yield f"it names a `decision_threshold` under `protocol`, {answered}: remove it"
    if "threshold" in settings.get("fairness", {}):
        yield f"params.toml has a threshold under [fairness], {answered}: remove it"


def unjudged(report: Mapping[str, Any], limits: Bounds | None = None) -> list[str]:
    """Name the groups that are too small to judge, and the figures without a difference."""
    least, unknown = report.get("smallest_group"), report.get("not_measured") or {}
    small = [
        f"fairness: {column} {name} ({counted(rows, 'row')}) is not judged: fewer "
        f"than {least} rows, smallest_group under [fairness]"
        for column, few in report.get("too_small", {}).items()
        for name, rows in few.items()
        if not any(name.endswith(f", {figure}") for figure in unknown.get(column, ()))
    ]
    allowed, unbounded = bounds.unmeasured(limits.fairness if limits else (), report)
    return [*small, *allowed, *unbounded]


def before_training() -> list[str]:
    """Say how params.toml and the plan decide at two thresholds, where there is a plan that holds."""
    if not plan.path().is_file():
        return []
    try:
        limits = plan.bounds()
    except SettingsError:
        return []  # `poe records` and the gate say so; another model may be tried meanwhile
    return list(threshold_settings(limits, params(), _task()))


def _task() -> str:
    """Tell what the project predicts, as far as Row says so without rows."""
    column = contract.Row.to_schema().columns[contract.TARGET]
    if target.kind_of(contract.TARGET, column, contract.QUANTILES).classes:
        return MULTICLASS
    return "classification" if column.dtype.type == pl.Boolean else ""


@verb("rung-ops fairness-check")
@click.option(
    *("--before-training", "is_before"),
    is_flag=True,
    help="compare the threshold in params.toml alone, which takes no model",
)
def main(is_before: bool) -> int:
    """Compare the differences between groups with the change control plan."""
    if is_before:
        problems = before_training()
        for problem in problems:
            print(f"outside of the change control plan: {problem}", file=sys.stderr)
        return 1 if problems else 0
    if not fairness_file().is_file():
        missing = f"{shown(fairness_file())} is missing: `uv run poe pipeline` makes it."
        print(missing, file=sys.stderr)
        return 1
    report = json.loads(fairness_file().read_text(encoding="utf-8"))
    if not plan.path().is_file():
        _print_notes(unjudged(report))
        print(f"{shown(plan.path())} comes with rung 3: nothing bounds the differences yet.")
        return 0
    try:
        limits = plan.bounds()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    _print_notes(unjudged(report, limits))
    problems = [
        *threshold_problems(limits, params(), report),
        *bounds.group_violations(limits.fairness, report),
    ]
    for problem in problems:
        print(f"outside of the change control plan: {printable(problem)}", file=sys.stderr)
    if not problems:
        print("The differences between groups are within the change control plan.")
    return 1 if problems else 0


def _print_notes(notes: list[str]) -> None:
    for note in notes:
        print(f"note: {printable(note)}")
