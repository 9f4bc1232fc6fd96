"""The check of differences between groups against the change control plan: `poe fairness-check`.

CI runs it after training, so that a version that the plan forbids fails there, and not only in the
gate, which does the same.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rung_governance.approval import bounds, plan
from rung_governance.approval.plan import Bounds, PlanError
from rung_ops.model.target import MULTICLASS
from rung_ops.project.paths import params, shown
from rung_ops.system.printable import counted, printable
from rung_ops.training.fairness import THRESHOLD, fairness_file


def at_threshold(limits: Bounds, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of params.toml with the threshold that the plan decides by."""
    if limits.decision_threshold is None:
        return dict(settings)
    chosen = settings.get("fairness", {}) | {"threshold": limits.decision_threshold}
    return {**settings, "fairness": chosen}


def threshold_problems(
    limits: Bounds, settings: Mapping[str, Any], report: Mapping[str, Any]
) -> Iterator[str]:
    """Say how the threshold at which groups are compared is not the one of the plan.

    Args:
        limits: of the plan.
        settings: content of params.toml.
        report: as reports/fairness.json.
    """
    if report.get("task") == MULTICLASS:
        yield from _thresholds_of_classes(limits, settings)
    if report.get("task") != "classification":
        return
    if limits.decision_threshold is None:
        if limits.fairness:
            yield (
                "it names no `decision_threshold` under `protocol`, the probability from which on "
                "the positive class counts as predicted, at which groups are compared"
            )
        return
    here = settings.get("fairness", {}).get("threshold", THRESHOLD)
    if here != limits.decision_threshold:
        yield (
            f"params.toml decides at {here:g} (threshold under [fairness]), and the plan at "
            f"{limits.decision_threshold:g} (decision_threshold)"
        )
    if report["threshold"] != limits.decision_threshold:
        yield (
            f"{shown(fairness_file())} compares groups at {report['threshold']:g}, and the plan decides at "
            f"{limits.decision_threshold:g}: train again"
        )


def _thresholds_of_classes(limits: Bounds, settings: Mapping[str, Any]) -> Iterator[str]:
    answered = "and of several classes the most probable one is predicted, without a threshold"
    if limits.decision_threshold is not None:
        yield f"it names a `decision_threshold` under `protocol`, {answered}: remove it"
    if "threshold" in settings.get("fairness", {}):
        yield f"params.toml has a threshold under [fairness], {answered}: remove it"


def unjudged(report: Mapping[str, Any], limits: Bounds | None = None) -> list[str]:
    """Name the groups that are too small to judge, and the figures without a difference.

    Args:
        report: as reports/fairness.json.
        limits: of the plan; None if there is none.
    """
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


def main() -> int:
    """Compare reports/fairness.json with the plan; return the exit code."""
    if not fairness_file().is_file():
        print(
            f"{shown(fairness_file())} is missing: `uv run poe pipeline` makes it.", file=sys.stderr
        )
        return 1
    report = json.loads(fairness_file().read_text(encoding="utf-8"))
    if not plan.path().is_file():
        _print_notes(unjudged(report))
        print(f"{shown(plan.path())} comes with rung 3: nothing bounds the differences yet.")
        return 0
    try:
        limits = plan.bounds()
    except PlanError as error:
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
