"""Compare a version with the bounds of the change control plan."""

import fnmatch
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rung_governance import group_bounds
from rung_governance.plan import Bounds
from rung_ops.statistics.intervals import finite

NEEDS_A_PLAN = "that needs another plan, approved, before the version"


@dataclass(frozen=True)
class Facts:
    """What is known of a version.

    Attributes:
        parameters: what params.toml held, by `table.name`, as text.
        features: names of its features.
        columns: columns that its features read.
    """

    parameters: Mapping[str, str]
    features: frozenset[str]
    columns: frozenset[str]


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
        *group_bounds.violations(bounds.fairness, fairness),
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
    if least is not None and number < least:
        return f"and the least that the plan allows is {least:g}"
    if most is not None and number > most:
        return f"and the most that the plan allows is {most:g}"
    return ""


def of_features(bounds: Bounds, challenger: Facts) -> Iterator[str]:
    """Say which features of a version, and which columns that they read, the plan does not allow."""
    for name in sorted(challenger.features - bounds.approved - bounds.may_be_added):
        yield f"feature {name} was not approved: {NEEDS_A_PLAN}"
    for name in sorted(bounds.approved - challenger.features - bounds.may_be_left_out):
        yield f"feature {name} is missing, and may not be left out: {NEEDS_A_PLAN}"
    for name in sorted(challenger.columns & bounds.never_read):
        yield f"a feature reads {name}, which the plan forbids"
    if not challenger.features:
        yield "the version has no features, or they could not be read"


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
            elif sign * (challenger - champion) > _most(bound[change], champion):
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
