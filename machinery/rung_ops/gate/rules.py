"""The rules of the gate, read from ops/gate.toml."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung_ops.project.paths import policy_file, shown


def rules_file() -> Path:
    """Return the path of ops/gate.toml."""
    return policy_file("gate.toml")


class BadRules(Exception):
    """gate.toml is invalid; the message says where and why."""


@dataclass(frozen=True)
class Bound:
    """The figure that a slice must reach: a minimum, or a maximum if lower is better."""

    column: str
    value: str
    bound: float


@dataclass(frozen=True)
class Rules:
    """The rules of the gate; ops/gate.toml explains each value.

    Attributes:
        alpha: error rate of the test, in (0, 0.5).
        margin: largest loss that still counts as not worse, in (0, 1), as rung_ops.gate.threshold says.
        min_rows: required number of test rows.
        max_drop: how far a slice may fall below the champion's, in [0, 1], likewise.
        min_slice_rows: slices with fewer rows are not judged.
        ignore: `column` or `column=value` of slices that are not judged.
        bounds: of single slices.
    """

    alpha: float = 0.003
    margin: float = 0.0075
    min_rows: int = 200
    max_drop: float = 0.05
    min_slice_rows: int = 50
    ignore: tuple[str, ...] = ()
    bounds: tuple[Bound, ...] = ()

    def judges(self, column: str, value: str) -> bool:
        """Return whether a slice is judged."""
        return column not in self.ignore and f"{column}={value}" not in self.ignore


def read(path: Path | None = None) -> Rules:
    """Read the rules of the gate.

    Raises:
        BadRules: the file is missing or not valid TOML, or a value is out of its range.
    """
    path = rules_file() if path is None else path
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadRules(f"{shown(path)} cannot be read: {error}") from error
    gate = _table(table, "gate", {"alpha", "margin", "min_rows", "slices"})
    slices = _table(gate, "slices", {"max_drop", "min_rows", "ignore", "bounds"})
    number = Rules()
    return Rules(
        alpha=_number(gate, "alpha", number.alpha, lambda value: 0 < value < 0.5),
        margin=_number(gate, "margin", number.margin, lambda value: 0 < value < 1),
        min_rows=int(_number(gate, "min_rows", number.min_rows, lambda value: value >= 1)),
        max_drop=_number(slices, "max_drop", number.max_drop, lambda value: 0 <= value <= 1),
        min_slice_rows=int(
            _number(slices, "min_rows", number.min_slice_rows, lambda value: value >= 2)
        ),
        ignore=tuple(str(each) for each in slices.get("ignore", [])),
        bounds=tuple(_bound(each) for each in slices.get("bounds", [])),
    )


def _table(above: dict[str, Any], name: str, known: set[str]) -> dict[str, Any]:
    table = above.get(name, {})
    if not isinstance(table, dict):
        raise BadRules(f"gate.toml: `{name}` is not a table")
    for unknown in sorted(table.keys() - known):
        listed = ", ".join(sorted(known))
        raise BadRules(f"gate.toml: [{name}] has an unknown key `{unknown}`; expected {listed}")
    return table


def _number(
    table: dict[str, Any], name: str, default: float, in_range: Callable[[float], bool]
) -> float:
    value = table.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not in_range(value):
        raise BadRules(f"gate.toml: `{name} = {value}` is out of range; the default is {default}")
    return value


def _bound(entry: Any) -> Bound:
    try:
        return Bound(str(entry["column"]), str(entry["value"]), float(entry["bound"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadRules(
            "gate.toml: each entry of [[gate.slices.bounds]] needs column, value and bound"
        ) from error
