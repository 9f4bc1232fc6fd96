"""The bounds of the change control plan: what a version may change, reach, and differ by group.

CI runs `rung-ops fairness-check` after training, so that a version that the plan forbids by its differences
between groups fails there, and not only in the gate. The threshold is compared before the training, too, as
it needs no model.
"""

import fnmatch
import json
import math
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import polars as pl
import yaml

from rung_governance.approval import plan
from rung_governance.approval.plan import CHANGES, Bounds
from rung_ops import contract
from rung_ops.command import verb
from rung_ops.errors import SettingsError
from rung_ops.model import target
from rung_ops.model.target import MULTICLASS
from rung_ops.project import current
from rung_ops.project.parameters import FairnessSettings
from rung_ops.project.paths import params, shown
from rung_ops.statistics.intervals import finite
from rung_ops.system.printable import counted, printable

UNMEASURED = "may_be_unmeasured"  # of a bound: classes that may have too few rows
Bound = Mapping[str, Any]  # group, figure, greatest_difference; also class and UNMEASURED


def group_violations(bounds: Sequence[Bound], report: Mapping[str, Any]) -> Iterator[str]:
    """List what the plan forbids, and what it bounds and nothing is known of."""
    for bound in bounds:
        group, most = bound["group"], bound["greatest_difference"]
        yield from _unknown_classes(bound, report)
        lacking: dict[str, str | None] = {}
        for name, what, value in _judged(bound, report):
            difference = finite(value)
            if difference is not None:
                if not difference <= most:
                    differs = f"differs by {difference:.3f} by {group}"
                    yield f"fairness: {what} {differs}; {most:g} is allowed"
            elif what not in _not_measured(report, group):
                yield f"fairness: nothing is known of {what} by {group}, which the plan bounds"
            elif not _may_be_unmeasured(bound, name, report):
                lacking[what] = name
        if lacking:
            named = "; ".join(_named(what, group, report) for what in lacking)
            yield f"fairness: {named}. {_remedy(bound, list(lacking.values()), report)}"


def unmeasured(bounds: Sequence[Bound], report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Name each figure without a difference that violations() lets pass, a sentence each.

    Returns:
        Those that the plan allows to be unmeasured, and those that it does not bound.
    """
    bounded = {
        (bound["group"], what): _may_be_unmeasured(bound, name, report)
        for bound in bounds
        for name, what, _ in _judged(bound, report)
    }
    figures = [
        (column, what)
        for column, of_column in (report.get("not_measured") or {}).items()
        for what in of_column
    ]
    return [
        f"fairness: {_named(what, column, report)}, as the plan allows"
        for column, what in figures
        if bounded.get((column, what))
    ], [
        f"fairness: {_named(what, column, report)}, and no plan bounds it"
        for column, what in figures
        if (column, what) not in bounded
    ]


def _unknown_classes(bound: Bound, report: Mapping[str, Any]) -> Iterator[str]:
    classes = report.get("classes") or ()
    is_ = f"the classes are {', '.join(classes)}" if classes else "there are no classes"
    for key, names in (("class", [bound.get("class")]), (UNMEASURED, bound.get(UNMEASURED, ()))):
        if unknown := [name for name in names if name is not None and name not in classes]:
            yield f"fairness: {key} of the plan names {', '.join(unknown)}, and {is_}"


def _judged(bound: Bound, report: Mapping[str, Any]) -> Iterator[tuple[str | None, str, Any]]:
    """Yield class, figure and difference: of several classes each, so that the worst decides."""
    figure, only = bound["figure"], bound.get("class")
    differences = _of_group(report, bound["group"]).get("differences") or {}
    by_class = {name: each for name, each in differences.items() if isinstance(each, Mapping)}
    if only is not None:
        by_class = {only: by_class.get(only, {})}
    if not by_class:
        yield None, figure, differences.get(figure)
    for name, each in by_class.items():
        yield name, f"{figure} of {name}", each.get(figure)


def _may_be_unmeasured(bound: Bound, name: str | None, report: Mapping[str, Any]) -> bool:
    """Return whether the plan allows it; never of groups that are too small whatever the class."""
    return name in bound.get(UNMEASURED, ()) and _groups_left(bound["group"], report) > 1


def _groups_left(group: str, report: Mapping[str, Any]) -> int:
    small = (report.get("too_small") or {}).get(group, {})
    return sum(each not in small for each in _of_group(report, group).get("values", ()))


def _of_group(report: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    return (report.get("groups") or {}).get(group) or {}


def _not_measured(report: Mapping[str, Any], group: str) -> Mapping[str, Mapping[str, int]]:
    return (report.get("not_measured") or {}).get(group, {})


def _named(what: str, group: str, report: Mapping[str, Any]) -> str:
    rows = _not_measured(report, group)[what]
    few = ", ".join(f"{counted(number, 'row')} of {name}" for name, number in rows.items())
    return f"{what} by {group} is not measured: {few}"


def _remedy(bound: Bound, lacking: Sequence[str | None], report: Mapping[str, Any]) -> str:
    """Say what to do, with the line of the plan as it is or as it has to be."""
    group, least = bound["group"], report.get("smallest_group")
    wanted = f"Two groups need {least} rows (smallest_group under [fairness]): bring more test rows"
    plan = f"governance/{CHANGES}.yaml"
    if None in lacking or _groups_left(group, report) < 2:
        return (
            f"{wanted}, cut {group} into fewer groups under [fairness.groups] in params.toml, or "
            f"remove this bound from {plan}: `{_line(bound)}`"
        )
    named = [*bound.get(UNMEASURED, ()), *(name for name in lacking if name)]
    line = _line({**bound, UNMEASURED: named})
    return f"{wanted}, or say in {plan} that it may be so, by this line for the bound: `{line}`"


def _line(bound: Bound) -> str:
    text = yaml.safe_dump(
        dict(bound), default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    )
    return f"- {text.strip()}"


NEEDS_A_PLAN = "that needs another plan, approved, before the version"


@dataclass(frozen=True)
class Facts:
    """What is known of a version."""

    parameters: Mapping[str, str]  # what params.toml held, by `table.name`, as text
    features: frozenset[str]  # names of its features
    columns: frozenset[str]  # columns that its features read


def violations(
    bounds: Bounds,
    challenger: Facts,
    champion: Facts | None,
    figures: Mapping[str, tuple[Any, Any]],
    fairness: Mapping[str, Any],
) -> list[str]:
    """List every way in which a version leaves the plan, or cannot be compared with it.

    Args:
        bounds: of the plan.
        challenger: the version to compare.
        champion: the version that it would replace, if any.
        figures: by name, what challenger and champion reach on the same rows, higher or lower as
            the figure has it; the champion's is None if there is no champion.
        fairness: as reports/fairness.json, of the challenger.
    """
    return [
        *_of_parameters(bounds, challenger, champion),
        *of_features(bounds, challenger),
        *_of_figures(bounds, figures, champion is not None),
        *group_violations(bounds.fairness, fairness),
    ]


def _of_parameters(bounds: Bounds, challenger: Facts, champion: Facts | None) -> Iterator[str]:
    for name, bound in bounds.parameters.items():
        value = challenger.parameters.get(name)
        if value is None:
            yield f"parameter {name} is bounded by the plan, and the version does not tell it"
        elif wrong := _outside(value, bound):
            yield f"parameter {name} is {value}, {wrong}: {NEEDS_A_PLAN}"
    if champion is None:
        return
    before, now = champion.parameters, challenger.parameters
    for name in sorted(before.keys() | now.keys()):
        free = any(fnmatch.fnmatchcase(name, pattern) for pattern in bounds.unrestricted)
        if name in bounds.parameters or free or before.get(name) == now.get(name):
            continue
        was, became = before.get(name, "not set"), now.get(name, "not set")
        yield f"parameter {name} was {was} and is {became}, which the plan does not foresee"


def _outside(value: str, bound: Mapping[str, Any]) -> str:
    """Say how a value breaks its bound; empty if it does not."""
    if "one_of" in bound:
        allowed = [str(each) for each in bound["one_of"]]
        return "" if value in allowed else f"and the plan allows {', '.join(allowed)}"
    try:
        number = float(value)
    except ValueError:
        return "which is not a number"
    return _beyond(number, bound.get("least"), bound.get("most"))


def _beyond(number: float, least: float | None, most: float | None) -> str:
    if not math.isfinite(number):
        return "which is not a finite number"
    if least is not None and not number >= least:
        return f"and the least that the plan allows is {least:g}"
    if most is not None and not number <= most:
        return f"and the most that the plan allows is {most:g}"
    return ""


def of_features(bounds: Bounds, challenger: Facts) -> Iterator[str]:
    """Say which features of a version, and which columns that they read, the plan does not allow."""
    if added := challenger.features - bounds.approved - bounds.may_be_added:
        was = _features(added, "was", "were")
        yield f"{was} not approved: {NEEDS_A_PLAN}"
    if missing := bounds.approved - challenger.features - bounds.may_be_left_out:
        is_ = _features(missing, "is", "are")
        yield f"{is_} missing, and may not be left out: {NEEDS_A_PLAN}"
    for name in sorted(challenger.columns & bounds.never_read):
        yield f"a feature reads {name}, which the plan forbids"
    if not challenger.features:
        yield "the version has no features, or they could not be read"


def _features(names: Collection[str], of_one: str, of_many: str) -> str:
    many = len(names) > 1
    return f"{'features' if many else 'feature'} {', '.join(sorted(names))} {of_many if many else of_one}"


def _of_figures(
    bounds: Bounds, figures: Mapping[str, tuple[Any, Any]], compared: bool
) -> Iterator[str]:
    for bound in bounds.performance:
        name = bound["figure"]
        challenger, champion = map(finite, figures.get(name, (None, None)))
        if challenger is None:
            yield f"{name} is missing or not a number, and the plan bounds it"
            continue
        if wrong := _beyond(challenger, bound.get("least"), bound.get("most")):
            yield f"{name} is {challenger:.4f}, {wrong}"
        changes = {"greatest_fall": -1, "greatest_rise": 1}
        for change, sign in changes.items():
            if change not in bound or not compared:
                continue
            if champion is None:
                yield f"{name} of the champion is missing or not a number, so {change} is not known"
            elif not sign * (challenger - champion) <= _most(bound[change], champion):
                verb = change.removeprefix("greatest_")
                yield (
                    f"{name} is {challenger:.4f} and the champion's is {champion:.4f}: the plan "
                    f"allows it to {verb} by {bound[change]}"
                )


def _most(change: float | str, champion: float) -> float:
    """Return a change in the unit of the figure; a text such as `2 %` is a share of it."""
    if isinstance(change, str):
        return float(change.removesuffix("%")) / 100 * abs(champion)
    return change


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
    allowed, unbounded = unmeasured(limits.fairness if limits else (), report)
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
        *group_violations(limits.fairness, report),
    ]
    for problem in problems:
        print(f"outside of the change control plan: {printable(problem)}", file=sys.stderr)
    if not problems:
        print("The differences between groups are within the change control plan.")
    return 1 if problems else 0


def _print_notes(notes: list[str]) -> None:
    for note in notes:
        print(f"note: {printable(note)}")
