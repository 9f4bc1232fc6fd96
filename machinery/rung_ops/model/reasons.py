"""The reasons of a prediction: what speaks most against a person, in words of the contract.

A prediction is split into what each feature adds to it, exact Shapley values. A probability is split
in log-odds, where the parts of a logistic regression and of boosted trees add up; a value, of
quantiles the median, in its own unit. Of several classes the logarithm of each probability is split,
less the mean of them all, where the parts of a regression of several classes and of boosted trees
add up: the difference of two classes is then the log-odds between them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl

from rung_ops.errors import OpsError, SettingsError
from rung_ops.model import bundle
from rung_ops.model.bundle import ReleaseFiles
from rung_ops.model.columns import columns_of
from rung_ops.model.predictors import EncodedBooster, Predictor
from rung_ops.model.rows import Reader
from rung_ops.model.target import MULTICLASS, QUANTILE

HIGH, LOW = "high", "low"


def adverse_in(settings: Mapping[str, Any], classes: Sequence[str] = ()) -> str | list[str] | None:
    """Read which predictions are unfavourable from params.toml.

    Returns:
        HIGH or LOW, or the unfavourable classes in the order of all; None if nothing is said.
    """
    given = settings.get("reasons", {}).get("adverse")
    if given is None or (not classes and given in (HIGH, LOW)):
        return given
    if classes and isinstance(given, list):
        named = [name for name in classes if name in given]
        if len(named) == len(given) and 0 < len(named) < len(classes):
            return named
    expected = f'"{HIGH}" or "{LOW}"'
    if classes:
        expected = f"a list with some of {', '.join(classes)}, but not with all of them"
    raise SettingsError(f"params.toml, [reasons]: adverse is {given!r}; expected {expected}.")


# From features, shape (n_rows, n_features), to shape (n_rows, n_features + 1), or (n_rows,
# n_features + 1, n_classes): each row adds up to its margin, and the last column, that of no feature,
# is the same for all rows.
Effects = Callable[[pl.DataFrame], np.ndarray]

# Log-odds of probabilities beyond this say nothing: 32 bits hold none closer to 1.
SMALLEST = 1e-7
# Logarithms alone go further: 32 bits hold small numbers as exactly as others.
SMALLEST_OF_CLASS = 1e-30


def margins(predictions: np.ndarray, task: str) -> np.ndarray:
    """Return log-odds of probabilities, or values, of quantiles the median; shape (n_rows,).

    Of several classes: the logarithms of their probabilities less their mean, (n_rows, n_classes).
    """
    if task == MULTICLASS:
        logarithms = np.log(np.maximum(predictions, SMALLEST_OF_CLASS))
        return logarithms - logarithms.mean(axis=1, keepdims=True)
    if task == QUANTILE:
        return predictions[:, 1]
    if task != "classification":
        return predictions
    clipped = np.clip(predictions, SMALLEST, 1 - SMALLEST)
    return np.log(clipped) - np.log1p(-clipped)


def typical(contract: dict[str, Any], expressions: list[pl.Expr]) -> pl.DataFrame:
    """Compute the features of the contract's example; shape (1, n_features)."""
    reader = Reader(columns_of(contract))
    row = reader.one(json.dumps(contract["example"]).encode())
    return reader.table([row]).frame.select(expressions)


class AdditiveEffects:
    """Effects of a model whose margin is a sum with one term for each feature.

    Such are linear and logistic regressions and additive models, whatever encodes their features.
    Then a feature's Shapley value is its term less the mean of that term over the background, and
    the difference of two terms shows when one feature of a row is changed alone.
    """

    def __init__(
        self, predict: Predictor, task: str, base: pl.DataFrame, means: np.ndarray | None = None
    ) -> None:
        """Describe a model by the features of any row, shape (1, n_features).

        `means` is the mean of terms() over the background, shape (n_features,) or (n_features,
        n_classes).
        """
        self._predict = predict
        self._task = task
        self._base = base
        self._start = margins(predict(base), task)[0]
        self._means = np.zeros((base.width, *self._start.shape)) if means is None else means

    def __call__(self, features: pl.DataFrame) -> np.ndarray:
        """Return the effects of features."""
        height, width = features.shape
        # A block of rows for each feature, in which all others are those of the base row.
        blocks = [
            pl.concat(
                [
                    same.new_from_index(0, index * height),
                    features.get_column(same.name).cast(same.dtype),
                    same.new_from_index(0, (width - 1 - index) * height),
                ]
            )
            for index, same in enumerate(self._base.get_columns())
        ]
        terms = self._from_base(blocks).reshape(width, height, *self._start.shape)
        effects = np.empty((height, width + 1, *self._start.shape))
        effects[:, :-1] = terms.swapaxes(0, 1) - self._means
        effects[:, -1] = self._start + self._means.sum(axis=0)
        return effects

    def terms(self, name: str, values: pl.Series) -> np.ndarray:
        """Return the terms of a feature, less that of the base row; (n_values,[ n_classes])."""
        base = self._base.get_columns()
        return self._from_base(
            [
                values.rename(name) if c.name == name else c.new_from_index(0, len(values))
                for c in base
            ]
        )

    def _from_base(self, columns: list[pl.Series]) -> np.ndarray:
        return margins(self._predict(pl.DataFrame(columns)), self._task) - self._start


def difference_of_effects(parts: np.ndarray, predictions: np.ndarray, task: str) -> np.ndarray:
    """Return how far the effects of rows are from their predictions, shape (n_rows,).

    In log-odds, or relative to the largest part.
    """
    total = parts.sum(axis=1)
    if task not in ("classification", MULTICLASS):
        values = margins(predictions, task)
        return np.abs(total - values) / np.maximum(np.abs(parts).max(axis=1), SMALLEST)
    # A difference of probabilities, in log-odds. Nearer to 0 and 1 it would be all rounding.
    slope = np.maximum(predictions * (1 - predictions), 1e-3)
    if task == MULTICLASS:  # that of the class for which it is largest
        odds = np.exp(total - total.max(axis=1, keepdims=True))
        apart = np.abs(odds / odds.sum(axis=1, keepdims=True) - predictions) / slope
        return np.asarray(apart.max(axis=1))
    return np.abs(1 / (1 + np.exp(-np.clip(total, -30, 30))) - predictions) / slope


# A smaller effect is rounding: of 32 bits in a model, of four decimals in an answer.
NONE = 5e-5
# By how much answers may differ from the model's predictions without a hook: rounding, to 32 bits.
ROUNDING, SMALLEST_CHANGE = 1e-5, 1e-6  # a share of them, and whatever they are
AFTER = "changed by the hook after_prediction"
# Largest difference between the sum of the effects and the prediction: in log-odds, or a share of
# the largest effect. Rounding to 32 bits stays below 1e-4, unless a probability is almost 1.
TOLERANCE = 0.01


class CannotExplainError(OpsError):
    """A release or a row has no reasons; the message says why."""


class Reason(msgspec.Struct, frozen=True):
    """What makes a prediction worse for the person.

    Attributes:
        columns: of the contract; several of a feature that is made of several, none of a hook's
            change.
        text: their descriptions, or AFTER.
        effect: what they add in the unfavourable direction, compared with the mean of the training
            rows: in log-odds, or in units of the value (of quantiles the median). Of several
            classes, in log-odds of the class that is answered against the favourable ones. Positive.
    """

    columns: list[str]
    text: str
    effect: float


class Reasons:
    """Finds the reasons of one release's predictions.

    Attributes:
        method: additive or trees.
    """

    def __init__(
        self,
        described: dict[str, Any],
        contract: dict[str, Any],
        effects_of: Effects,
        predict: Predictor,
    ) -> None:
        """Describe a release by its reasons.json and contract.json, its effects and its model."""
        self.method: str = described["method"]
        self._task: str = contract["task"]
        self._sign = 1.0 if described["adverse"] == HIGH else -1.0
        classes = contract.get("classes") or ()
        self._unfavourable = np.array([name in described["adverse"] for name in classes], bool)
        self._effects, self._predict = effects_of, predict
        texts = {each["name"]: each["description"] or each["name"] for each in contract["columns"]}
        made_of = [tuple(described["columns"][each["name"]]) for each in contract["features"]]
        groups = list(dict.fromkeys(made_of))  # features of the same columns are one reason
        self._groups = [
            (list(group), _text([texts[column] for column in group])) for group in groups
        ]
        self._members = np.array([[float(each == group) for group in groups] for each in made_of])

    def strongest(
        self, features: pl.DataFrame, count: int, answered: np.ndarray | None = None
    ) -> list[list[Reason]]:
        """Find the strongest adverse reasons of each row, the strongest first.

        Args:
            features: shape (n_rows, n_features).
            count: the most of a row; there are fewer where fewer speak against the person, and none
                where the class that is answered is a favourable one.
            answered: what is answered, where a hook may have changed the predictions. A change
                against the person is always among the reasons.

        Raises:
            CannotExplainError: the effects of a row do not add up to its prediction.
        """
        parts, predictions = self._effects(features), self._predict(features)
        self._add_up(parts, predictions)
        answered = predictions if answered is None else answered
        of_hook = self._of_hook(predictions, answered)
        against = self._against(parts[:, :-1], answered) @ self._members
        against = np.column_stack([against, of_hook])
        order = np.argsort(-against, axis=1, kind="stable")[:, :count]
        hook = len(self._groups)
        left_out = (of_hook > NONE) & ~(order == hook).any(axis=1)
        order[left_out, -1] = hook  # weaker than the others, so that it is the last
        groups = [*self._groups, ([], AFTER)]
        return [
            [
                Reason(columns, text, round(float(row[group]), 4))
                for group in chosen
                if row[group] > NONE
                for columns, text in [groups[group]]
            ]
            for row, chosen in zip(against, order, strict=True)
        ]

    def _of_hook(self, predictions: np.ndarray, answered: np.ndarray) -> np.ndarray:
        """Return what a hook added in the unfavourable direction; shape (n_rows,)."""
        is_same = np.isclose(answered, predictions, ROUNDING, SMALLEST_CHANGE)
        is_same = is_same if is_same.ndim == 1 else is_same.all(axis=1)
        added = margins(answered, self._task) - margins(predictions, self._task)
        return np.where(is_same, 0.0, self._against(added[:, None], answered)[:, 0])

    def _against(self, parts: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return what each feature adds in the unfavourable direction; (n_rows, n_features)."""
        if self._task != MULTICLASS:
            return self._sign * parts
        answered = predictions.argmax(axis=1)
        of_answer = parts[np.arange(len(parts)), :, answered]
        against = of_answer - parts[:, :, ~self._unfavourable].mean(axis=2)
        return np.where(self._unfavourable[answered][:, None], against, 0.0)

    def _add_up(self, parts: np.ndarray, predictions: np.ndarray) -> None:
        is_far = ~(difference_of_effects(parts, predictions, self._task) <= TOLERANCE)
        if is_far.any():
            raise CannotExplainError(
                f"row {is_far.argmax() + 1}: the effects of its columns do not add up to its prediction"
            )


def reasons_of(
    files: ReleaseFiles, contract: dict[str, Any], expressions: list[pl.Expr], predict: Predictor
) -> Reasons:
    """Read how a release gives reasons.

    Raises:
        CannotExplainError: it gives none.
    """
    if bundle.REASONS not in files:
        raise CannotExplainError(
            "it was made before releases could; release the version again with `uv run poe release`"
        )
    try:
        described = files.json(bundle.REASONS)
        if described["method"] == "none":
            raise CannotExplainError(described["why"])
        task = contract["task"]
        if described["method"] == "trees":
            # Where another format answers, the trees are beside it.
            trees = predict if isinstance(predict, EncodedBooster) else EncodedBooster(files, task)
            effects: Effects = trees.effects
        else:
            base = typical(contract, expressions)
            means = np.array([described["means"][name] for name in base.columns])
            effects = AdditiveEffects(predict, task, base, means)
        return Reasons(described, contract, effects, predict)
    except CannotExplainError:
        raise
    except Exception as error:  # of files, types and runtimes; what answers does not depend on it
        raise CannotExplainError(f"{bundle.REASONS} cannot be used: {error}") from error


def _text(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{' and '.join(texts)}, together"
