"""Which rows a model learns from: all, those of the last months, or all with less weight by age.

A month is 365.25 / 12 days here, in which a window may also be given as 1.5 months. A row is as old
as its outcome: of a forecast, its age is counted from when the outcome was known, not from when it
was predicted.
"""

import inspect
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract.forecast import known_at
from rung_ops.errors import StageError

MONTH = timedelta(days=365.25 / 12)
TEXT = re.compile(r"(half-life )?(\d+(?:\.\d+)?) months?")
FORMS = '`"all"`, `"N months"` or `"half-life N months"`'
TIMELESS = "dataset.py has no TIME that is a date or a time, so no row is older than another."


@dataclass(frozen=True)
class Window:
    """The rows to learn from.

    Attributes:
        months: how far back, or the half-life of a row's weight; None takes all rows alike.
        half_life: whether `months` is a half-life: all rows, weighted by 0.5 ** (age / months).
    """

    months: float | None = None
    half_life: bool = False

    @classmethod
    def parse(cls, text: object) -> "Window":
        """Read a window: `all`, `6 months` or `half-life 6 months`.

        Raises:
            StageError: it is none of these.
        """
        if text == "all":
            return cls()
        found = TEXT.fullmatch(text) if isinstance(text, str) else None
        if found is None or not float(found[2]):
            raise StageError(f"A window is {FORMS}; got {text!r}.")
        return cls(float(found[2]), half_life=bool(found[1]))

    def __str__(self) -> str:
        """Write the window as parse() reads it."""
        if self.months is None:
            return "all"
        months = f"{self.months:.10g} month{'' if self.months == 1 else 's'}"
        return f"half-life {months}" if self.half_life else months

    def select(self, rows: pl.DataFrame, until: date | None = None) -> pl.DataFrame:
        """Return the rows of the window that ends at a moment, in their order.

        Args:
            rows: rows of Row, shape (n_rows, n_columns).
            until: a date or datetime like TIME: only rows whose outcome was known before it; None
                ends the window with the newest outcome.

        Raises:
            StageError: a moment or a number of months needs TIME.
        """
        if not rows.height or (until is None and (self.months is None or self.half_life)):
            return rows
        age = ages(rows, until)
        kept = age > timedelta(0) if until is not None else age >= timedelta(0)
        if self.months is not None and not self.half_life:
            kept &= age <= self.months * MONTH
        return rows.filter(kept)

    def weights(self, rows: pl.DataFrame, until: date | None = None) -> np.ndarray | None:
        """Weigh rows: 1 at the end of the window, half a half-life before; None if all count alike.

        Args:
            rows: what select() returned, shape (n_rows, n_columns).
            until: as there.

        Returns:
            Shape (n_rows,), in (0, 1].

        Raises:
            StageError: a half-life needs TIME.
        """
        if self.months is None or not self.half_life or not rows.height:
            return None
        half_lives = ages(rows, until) / (self.months * MONTH)
        return np.asarray(0.5 ** np.maximum(half_lives.to_numpy(), 0.0))


def ages(rows: pl.DataFrame, until: date | None = None) -> pl.Series:
    """Return how long before a moment each row's outcome was known, a Duration, shape (n_rows,).

    Args:
        rows: rows of Row.
        until: the moment; None for the newest outcome of the rows.

    Raises:
        StageError: dataset.py has no TIME.
    """
    time = contract.TIME
    if time is None or rows.schema[time].base_type() not in (pl.Date, pl.Datetime):
        raise StageError(TIMELESS, 'Name the column as TIME, or write `window = "all"`.')
    known = known_at(rows)
    end = pl.lit(known.max() if until is None else until)
    return rows.select(end.cast(known.dtype) - known)[:, 0]


def fit_arguments(model: Any, weights: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the arguments of fit() that weigh the rows; none if all rows count alike.

    Args:
        model: from build(), not fitted. Of a Pipeline, the last step gets the weights.
        weights: of the rows that it is fitted to, shape (n_rows,).

    Raises:
        StageError: its fit() takes no `sample_weight`.
    """
    if weights is None:
        return {}
    names, step = [], model
    while steps := getattr(step, "steps", None):
        name, step = steps[-1]
        names.append(name)
    if "sample_weight" not in inspect.signature(step.fit).parameters:
        raise StageError(
            f"{type(step).__name__} takes no `sample_weight` in fit(), so it cannot weigh rows by "
            'their age: use `window = "all"` or `"N months"` under [split] in params.toml.'
        )
    return {"__".join([*names, "sample_weight"]): weights}
