"""Compare the differences between groups with the bounds of the change control plan."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from rung_governance.plan import CHANGES
from rung_ops.statistics.intervals import finite
from rung_ops.system.printable import counted

UNMEASURED = "may_be_unmeasured"  # of a bound: classes that may have too few rows
Bound = Mapping[str, Any]  # group, figure, greatest_difference; also class and UNMEASURED


def violations(bounds: Sequence[Bound], report: Mapping[str, Any]) -> Iterator[str]:
    """List what the plan forbids, and what it bounds and nothing is known of.

    Args:
        bounds: `fairness` of the plan.
        report: as reports/fairness.json.
    """
    for bound in bounds:
        group, most = bound["group"], bound["greatest_difference"]
        yield from _unknown_classes(bound, report)
        lacking: dict[str, str | None] = {}
        for name, what, value in _judged(bound, report):
            difference = finite(value)
            if difference is not None:
                if difference > most:
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
