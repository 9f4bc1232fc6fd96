"""What a target may be, and what its predictions look like: the kind of problem is defined here alone.

|TARGET in Row|Truth|A prediction|`task` of a release|
|-|-|-|-|
|true or false|0 or 1|the probability of true: shape (n_rows,)|classification|
|a number|the value|the value: shape (n_rows,)|regression|
|a number, with QUANTILES|the value|its quantiles, ascending: shape (n_rows, 3)|quantile|
|a text with `isin`|its place in `isin`, from 0|the probability of each class: (n_rows, n_classes)|multiclass|

A model is fitted to the truth, so a class is a number to it. Predictions leave the library in these
columns:

|Predicted|`prediction`|A struct as well|
|-|-|-|
|one number|the number||
|probabilities of classes|the most probable class|`probabilities`, by name|
|quantiles|the median|`interval`: low, high, and the level, the share of rows that it is to hold|
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rung_ops.errors import StageError
from rung_ops.model.added_columns import PREDICTION

MULTICLASS, QUANTILE = "multiclass", "quantile"  # the `task` of a release
MEDIAN = 0.5
SUPPORTED = (
    "TARGET in dataset.py is true or false, a number that a regressor predicts, or a text whose "
    "classes Row lists, as in `pa.Field(isin=[...])`."
)


class Kind(NamedTuple):
    """What a prediction is, where it is more than one number.

    Attributes:
        classes: their names, in the order of a prediction's columns.
        quantiles: low, MEDIAN and high, each in (0, 1): the columns of a prediction.
    """

    classes: tuple[str, ...] = ()
    quantiles: tuple[float, ...] = ()

    def __str__(self) -> str:
        """Name what is predicted."""
        if self.classes:
            return f"the classes {', '.join(self.classes)}"
        if self.quantiles:
            return f"the quantiles {', '.join(map(str, self.quantiles))}"
        return "one number"

    @property
    def width(self) -> int:
        """Columns of a prediction; 0 if it is one number."""
        return len(self.classes) or len(self.quantiles)

    @property
    def level(self) -> float:
        """Share of the rows that the interval is to hold, from the low to the high quantile."""
        low, _, high = self.quantiles
        return round(high - low, 9)


ONE_NUMBER = Kind()


def kind_of(name: str, column: Any, quantiles: Any = ()) -> Kind:
    """Tell what the predictions of a target, a column of the schema of Row, are.

    Raises:
        StageError: no model of a project can predict it.
    """
    classes = tuple(class_names(name, column))
    if quantiles in ((), []):
        return Kind(classes)
    if classes or column.dtype.type == pl.Boolean:
        raise StageError(
            f"dataset.py has QUANTILES, and the target `{name}` is not a number: remove one of both."
        )
    try:
        low, median, high = map(float, quantiles)
    except (TypeError, ValueError):
        low = median = high = 0.0
    if not (0 < low < median < high < 1 and median == MEDIAN):
        raise StageError(
            f"dataset.py: QUANTILES is {quantiles!r}; it must be three numbers between 0 and 1, the "
            "median in the middle, as in (0.1, 0.5, 0.9)."
        )
    return Kind((), (low, median, high))


def kind_in(contract: Mapping[str, Any]) -> Kind:
    """Tell what a released contract predicts."""
    return Kind(tuple(contract.get("classes") or ()), tuple(contract.get("quantiles") or ()))


def class_names(name: str, column: Any) -> list[str]:
    """Name the classes of a target in the order of Row; none if it is a number or Boolean.

    Raises:
        StageError: it is another type, or a text without two or more classes.
    """
    dtype = column.dtype.type
    if dtype == pl.Boolean or dtype.is_numeric():
        return []
    listed = [check for check in column.checks if check.name == "isin"]
    if dtype != pl.String or not listed:
        what = "a text without `isin`" if dtype == pl.String else f"of type {dtype}"
        raise StageError(f"The target `{name}` is {what}. {SUPPORTED}")
    names = [str(value) for value in listed[0].statistics["allowed_values"]]
    if len(set(names)) < 2 or len(set(names)) < len(names) or "" in names or column.nullable:
        raise StageError(
            f"The target `{name}` must list two or more classes in `isin`, each once, none of them "
            "empty, and may not be nullable."
        )
    return names


def refuse_classes(number: int) -> None:
    """Refuse a classifier of a Boolean target that does not tell two classes apart."""
    if number == 1:
        raise StageError(
            "The model knows one class: all rows that it learned from have the same target. Bring "
            "rows of both classes."
        )
    if number != 2:
        raise StageError(f"The model tells {number} classes apart. {SUPPORTED}")


def refuse_unlearned(codes: Sequence[int], names: Sequence[str]) -> None:
    """Refuse a classifier that has not learned every class of Row, by the codes of those it has."""
    if lacking := [name for code, name in enumerate(names) if code not in set(codes)]:
        raise StageError(
            f"The rows that the model learned from have none of the class {', '.join(lacking)}: "
            "bring rows of it, or remove it from `isin` in dataset.py."
        )


def truth(values: pl.Series, names: Sequence[str]) -> np.ndarray:
    """Return values as a model learns them, shape (n_rows,): classes and Booleans by number."""
    if names:
        codes = dict(zip(names, range(len(names)), strict=True))
        return values.cast(pl.String).replace_strict(codes, return_dtype=pl.Int64).to_numpy()
    return (values.cast(pl.Int8) if values.dtype == pl.Boolean else values).to_numpy()


def of_classifier(probabilities: np.ndarray, task: str | None) -> np.ndarray:
    """Take from predict_proba() what a prediction is: all for MULTICLASS, else as positive()."""
    return probabilities if task == MULTICLASS else positive(probabilities)


def of_regressor(values: np.ndarray, task: str | None) -> np.ndarray:
    """Take from predict() what a prediction is: of QUANTILE sorted, shape (n_rows, 3).

    Quantiles that were learned one by one may cross. Sorting them never raises their pinball losses
    of a row, added up: Chernozhukov, Fernandez-Val, Galichon 2010, Econometrica 78(3), on
    rearrangement.
    """
    return np.sort(values, axis=-1) if task == QUANTILE and values.ndim == 2 else values


def positive(probabilities: np.ndarray) -> np.ndarray:
    """Take the probability of the positive class; shape (n_rows,), in [0, 1].

    Raises:
        StageError: predict_proba() gives another number of classes than two.
    """
    refuse_classes(probabilities.shape[1])
    return np.asarray(probabilities[:, 1])


def spread(probabilities: np.ndarray, codes: Sequence[int], number: int) -> np.ndarray:
    """Put the columns of learned classes among all, shape (n_rows, number); 0 for the others."""
    of_all = np.zeros((len(probabilities), number))
    of_all[:, np.asarray(codes, dtype=int)] = probabilities
    return of_all


PROBABILITIES, INTERVAL = "probabilities", "interval"
LOW, HIGH, LEVEL = "low", "high", "level"  # fields of the interval


def shape(n_rows: int, kind: Kind) -> tuple[int, ...]:
    """Return the shape of the predictions of some rows."""
    return (n_rows, kind.width) if kind.width else (n_rows,)


def finite_rows(predictions: np.ndarray) -> np.ndarray:
    """Tell of each row whether all that was predicted for it are finite numbers; shape (n_rows,)."""
    finite = np.isfinite(predictions.astype(float))
    return finite if finite.ndim == 1 else np.asarray(finite.all(axis=1))


def numbers(predictions: np.ndarray, kind: Kind) -> np.ndarray:
    """Return one number for each row: the value, the median, the place of the class; (n_rows,)."""
    if kind.classes:
        return predictions.argmax(axis=1).astype(float)
    return np.asarray(predictions[:, 1]) if kind.quantiles else predictions


def inside(truth: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Tell of each row whether its interval holds the truth; shape (n_rows,)."""
    return np.asarray((predictions[:, 0] <= truth) & (truth <= predictions[:, 2]))


def distances(one: np.ndarray, other: np.ndarray, kind: Kind) -> np.ndarray:
    """Return how far two sets of predictions of the same rows lie apart; shape (n_rows,).

    For classes it is half the sum of the differences: the probability that moved, in [0, 1]. For
    quantiles it is their mean.
    """
    apart = np.abs(one - other)
    if kind.classes:
        return np.asarray(apart.sum(axis=1) / 2)
    return np.asarray(apart.mean(axis=1)) if kind.quantiles else apart


def labels(predictions: np.ndarray, names: Sequence[str]) -> list[str]:
    """Name the most probable class of each row; of equal ones the first."""
    return [names[code] for code in predictions.argmax(axis=1)]


def columns(predictions: np.ndarray, kind: Kind) -> list[pl.Series]:
    """Write predictions as columns: `prediction`, and a struct beside it where there is more."""
    if kind.classes:
        each = pl.DataFrame(
            {name: predictions[:, code] for code, name in enumerate(kind.classes)},
            schema=dict.fromkeys(kind.classes, pl.Float64),
        )
        chosen = pl.Series(PREDICTION, labels(predictions, kind.classes), dtype=pl.String)
        return [chosen, each.to_struct(PROBABILITIES)]
    if kind.quantiles:
        low, median, high = predictions.T
        ends = {LOW: low, HIGH: high, LEVEL: np.full(len(low), kind.level)}
        interval = pl.DataFrame(ends, schema=dict.fromkeys(ends, pl.Float64))
        return [pl.Series(PREDICTION, median, dtype=pl.Float64), interval.to_struct(INTERVAL)]
    return [pl.Series(PREDICTION, predictions, dtype=pl.Float64)]


def packed(kind: Kind) -> pl.Expr:
    """Take all that was predicted from what columns() wrote, as one column for unpacked()."""
    if kind.classes:
        return pl.col(PROBABILITIES)
    return pl.struct(PREDICTION, INTERVAL) if kind.quantiles else pl.col(PREDICTION)


def unpacked(values: pl.Series, kind: Kind) -> np.ndarray:
    """Read predictions back from a column of packed(); as shape() says."""
    if kind.classes:
        return values.struct.unnest().select(kind.classes).to_numpy()
    if kind.quantiles:
        both = values.struct.unnest()
        ends = both[INTERVAL].struct
        return np.column_stack([ends.field(LOW), both[PREDICTION], ends.field(HIGH)])
    return values.to_numpy()
