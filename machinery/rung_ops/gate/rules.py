"""The rules of the gate, read from ops/gate.toml, and what a threshold in them means.

How far a figure may be worse is in points, or a share of the figure where that has a unit. 0.02 of an
AUC is two points. 0.02 of a mean absolute error of 43.7 bikes would be nothing, and of 0.001 tonnes
everything: there the same number means 2 % of the figure. The gate, the monitor and the autopilot all
take their thresholds from here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from rung_ops import settings
from rung_ops.errors import SettingsError
from rung_ops.project import current
from rung_ops.project.paths import policy_file, shown
from rung_ops.system.printable import four_digits


@dataclass(frozen=True)
class Threshold:
    """How far a figure may be worse than another."""

    amount: float  # in the unit of the figure, 0 or more
    share: float  # as it is in the policy file
    figure: float  # size of the figure that it is a share of; 1 if it is in points

    def __str__(self) -> str:
        if self.figure == 1:
            return four_digits(self.amount)
        return f"{four_digits(self.amount)} ({four_digits(100 * self.share)} % of {four_digits(self.figure)})"


def allowed_loss(share: float, figure: float, higher_is_better: bool) -> Threshold:
    """Return the threshold that `share` means for a figure.

    Where lower is better (an error, a loss), it is a share of the figure. Where higher is better,
    it is in points up to a figure of 1 (an AUC, an accuracy, R2), and a share of what is larger (a
    profit, a negative error), so that nothing jumps at 1.
    """
    size = max(1.0, abs(figure)) if higher_is_better else abs(figure)
    return Threshold(share * size, share, size)


def rules_file() -> Path:
    """Return the path of ops/gate.toml."""
    return policy_file("gate.toml")


def verdict_file() -> Path:
    """Return the path of the gate's verdict."""
    return current().reports / "gate.json"


def verdict_folder() -> Path:
    """Return the path of the folder with the last verdict on each version."""
    return verdict_file().with_suffix("")


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The figure that a slice must reach: a minimum, or a maximum if lower is better."""

    column: str
    value: str
    bound: float


class SliceRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[gate.slices]; ops/gate.toml explains each value."""

    max_drop: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.05
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.05
    min_rows: Annotated[int, msgspec.Meta(ge=2)] = 50
    ignore: tuple[str, ...] = ()
    bounds: tuple[Bound, ...] = ()

    def judges(self, column: str, value: str) -> bool:
        """Return whether a slice is judged."""
        return column not in self.ignore and f"{column}={value}" not in self.ignore


NOT_WORSE, PROBABLY_BETTER = "not-worse", "probably-better"


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[gate]; ops/gate.toml explains each value. How much worse a figure may be: allowed_loss()."""

    rule: Literal["not-worse", "probably-better"] = "not-worse"
    probability: Annotated[float, msgspec.Meta(ge=0.5, lt=1)] = 0.95
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.003
    margin: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.0075
    min_rows: Annotated[int, msgspec.Meta(ge=1)] = 200
    slices: SliceRules = SliceRules()

    @property
    def enough_probability(self) -> float | None:
        """Probability of being better that is enough to pass; None if none is."""
        return self.probability if self.rule == PROBABLY_BETTER else None


def read(path: Path | None = None) -> Rules:
    """Read the rules of the gate; SettingsError where the file is missing or wrong."""
    path = rules_file() if path is None else path
    if not path.is_file():
        raise SettingsError(f"{shown(path)} is missing: it holds the rules of the gate.")
    return settings.read(path, Rules, "gate")
