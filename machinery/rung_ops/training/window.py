"""Which rows a model learns from, as [split] of params.toml says: all, the last months, less by age.

A month is 365.25 / 12 days here, in which a window may also be given as 1.5 months. A row is as old
as its outcome: of a forecast, its age is counted from when the outcome was known, not from when it
was predicted. `Parts` are rows of a file that need not fit into memory.
"""

import inspect
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract.forecast import has_time, known_at, made_at
from rung_ops.data import blocks
from rung_ops.errors import StageError
from rung_ops.project.parameters import SplitSettings
from rung_ops.project.paths import parameters
from rung_ops.system.printable import counted
from rung_ops.training import estimator, judged_rows
from rung_ops.training.estimator import features

PRIME = 2**31 - 1  # squares of what is below it fit into 64 bits
FACTORS = (48_271, 69_621)  # multipliers of Lehmer's generator modulo PRIME
MONTH = timedelta(days=365.25 / 12)
TEXT = re.compile(r"(half-life )?(\d+(?:\.\d+)?) months?")
FORMS = '`"all"`, `"N months"` or `"half-life N months"`'
TIMELESS = "dataset.py has no TIME that is a date or a time, so no row is older than another."


@dataclass(frozen=True)
class Window:
    """The rows to learn from."""

    # How far back, or the half-life of a row's weight; None takes all rows alike.
    months: float | None = None
    # Whether `months` is a half-life: all rows, weighted by 0.5 ** (age / months).
    half_life: bool = False

    @classmethod
    def parse(cls, text: object) -> "Window":
        """Read a window: `all`, `6 months` or `half-life 6 months`."""
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
            rows: of Row.
            until: a date or datetime like TIME: only rows whose outcome was known before it; None
                ends the window with the newest outcome.
        """
        if not rows.height or (until is None and (self.months is None or self.half_life)):
            return rows
        age = ages(rows, until)
        kept = age > timedelta(0) if until is not None else age >= timedelta(0)
        if self.months is not None and not self.half_life:
            kept &= age <= self.months * MONTH
        return rows.filter(kept)

    def weights(self, rows: pl.DataFrame, until: date | None = None) -> np.ndarray | None:
        """Weigh rows of select(): 1 at the end of the window, half a half-life before.

        Returns:
            Shape (n_rows,), in (0, 1]; None if all count alike.
        """
        if self.months is None or not self.half_life or not rows.height:
            return None
        half_lives = ages(rows, until) / (self.months * MONTH)
        return np.asarray(0.5 ** np.maximum(half_lives.to_numpy(), 0.0))


def ages(rows: pl.DataFrame, until: date | None = None) -> pl.Series:
    """Return how long before a moment each row's outcome was known, a Duration, shape (n_rows,)."""
    if not has_time(rows):
        raise StageError(TIMELESS, 'Name the column as TIME, or write `window = "all"`.')
    known = known_at(rows)
    end = pl.lit(known.max() if until is None else until)
    return rows.select(end.cast(known.dtype) - known)[:, 0]


def fit_arguments(model: Any, weights: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the arguments of fit() that weigh rows: in a Pipeline, those of its last step."""
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


def settings() -> SplitSettings:
    """Read [split] of params.toml, and check it against dataset.py."""
    found = parameters().split
    found.first_moment()
    needing = [f"begins = {found.begins}"] if found.begins is not None else []
    if Window.parse(found.window).months is not None:
        needing.append(f'window = "{found.window}"')
    if needing and contract.TIME is None:
        raise StageError(
            f"params.toml: [split] {' and '.join(needing)}: dataset.py has no TIME, so no row is "
            "older than another.",
            "Name the column with the time of a row as TIME, or remove the line.",
        )
    return found


def in_use(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out the rows from before `begins` of [split] in params.toml, and say how many.

    Of a forecast, the time at which a row is predicted counts.
    """
    used = settings()
    kept = since(rows, used)
    _say_left_out(rows.height - kept.height, f"before begins = {used.begins}")
    return kept


def since(rows: pl.DataFrame, used: SplitSettings) -> pl.DataFrame:
    """Leave out the rows from before `begins`."""
    begins = used.first_moment()
    if begins is None:
        return rows
    made = made_at(rows)
    first = pl.lit(begins)
    if begins.tzinfo is None and (zone := getattr(made.dtype, "time_zone", None)):
        first = first.dt.replace_time_zone(zone)
    return rows.filter(pl.lit(made) >= first.cast(made.dtype))


def in_window(train: pl.DataFrame, test: pl.DataFrame) -> pl.DataFrame:
    """Leave out training rows by `window` and `train_rows` of [split], and say how many.

    The window ends when the first of the test rows is predicted. See sampled() for `train_rows`.
    """
    used = settings()
    kept = reached(train, test, used)
    _say_left_out(train.height - kept.height, f"outside of the window of {used.window}")
    taught = sampled(kept, used.train_rows)
    _say_left_out(kept.height - taught.height, f"above train_rows = {used.train_rows}")
    return taught


def all_rows(train: pl.DataFrame, test: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that the model is fitted to again: of the window that ends now, `train_rows`."""
    used = settings()
    rows = pl.concat([train, test.select(train.columns)])
    return sampled(Window.parse(used.window).select(rows), used.train_rows)


def sampled(train: pl.DataFrame, most: int | None) -> pl.DataFrame:
    """Take at most so many rows, in their order: of each class its share, evenly over all its rows.

    Where rows are in order of time, as those of a split are, the sample has each time's share, too.
    Of neighbours chance decides by `seed` of params.toml, as every tenth row of ten shops is one shop's.
    """
    if most is None or train.height <= most:
        return train
    if estimator.is_classification(None) and contract.TARGET in train.columns:
        by_class = train.select(pl.arg_sort_by(contract.TARGET, maintain_order=True)).to_series()
    else:
        by_class = pl.int_range(train.height, eager=True)
    edges = np.arange(most + 1) * train.height // most
    chance = mixed(np.arange(most), parameters().seed % PRIME)
    places = edges[:-1] + chance % np.diff(edges)
    return train[by_class[places].sort()]


def mixed(number: Any, seed: Any, prime: Any = PRIME) -> Any:
    """Mix numbers with a seed: what follows no pattern of rows, in NumPy as in SQL.

    Args:
        number: from 0, of 64 bits.
        seed: below `prime`.
    """
    for factor in FACTORS:
        number = (number * factor + seed) % prime
        number = (number * number) % prime
    return number


def reached(train: pl.DataFrame, test: pl.DataFrame, used: SplitSettings) -> pl.DataFrame:
    """Leave out training rows that the window before the test does not reach."""
    window = Window.parse(used.window)
    if window.months is None or not test.height:
        return train
    return window.select(train, made_at(test).min())  # type: ignore[arg-type]


def _say_left_out(number: int, where: str) -> None:
    if number:
        print(f"split: {counted(number, 'row')} {where} left out")


def weight_arguments(model: Any, rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """Return the arguments of fit() that weigh rows by `window` of [split]; none without half-life.

    Args:
        model: from build(), not fitted. Of a Pipeline, the last step gets the weights.
        rows: that it is fitted to.
    """
    return fit_arguments(model, Window.parse(settings().window).weights(rows))


class Parts:
    """FEATURES of the rows of a file, of which a block at a time is in memory.

    `len(parts)` and `parts[100:200]` give what a Polars frame of them would, so a fit() that reads
    its features in this way takes either. Read them in ascending order: where a slice leaves the
    block, the next block is read.

    Attributes:
        rows: all rows, with the columns that truth() and weight_arguments() read.
        size: rows of a block.
    """

    def __init__(self, rows: pl.LazyFrame) -> None:
        self.rows = judged_rows.of_contract(rows)
        self._source, self.size = rows, blocks.block_rows(rows)
        self._number, self._block = 0, self._read(0)

    def __len__(self) -> int:
        return self.rows.height

    def __getitem__(self, index: slice) -> pl.DataFrame:
        """Return the features of a slice without a step, shape (n_rows, n_features)."""
        chosen = range(len(self))[index]
        if chosen.step != 1:
            raise ValueError("Parts are read without a step, in ascending order.")
        pieces = []
        for number in range(chosen.start // self.size, max(chosen.stop - 1, 0) // self.size + 1):
            if number != self._number:
                self._number, self._block = number, pl.DataFrame()  # not two at the same time
                self._block = self._read(number)
            begin = number * self.size
            pieces.append(self._block[max(chosen.start - begin, 0) : max(chosen.stop - begin, 0)])
        return pl.concat(pieces) if pieces else self._block.clear()

    def _read(self, number: int) -> pl.DataFrame:
        return features(self._source.slice(number * self.size, self.size).collect())
