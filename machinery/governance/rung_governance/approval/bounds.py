"""The bounds of the change control plan: what a version may change, reach, and differ by group."""

import fnmatch
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from rung_governance.approval.plan import CHANGES, Bounds
from rung_ops.statistics.intervals import finite
from rung_ops.system.printable import counted

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
