"""The reasons of a prediction: what speaks most against a person, in words of the contract."""

from typing import Any

import msgspec
import numpy as np
import polars as pl

from rung_ops.model import bundle, effects
from rung_ops.model.adverse import HIGH
from rung_ops.model.effects import AdditiveEffects, Effects
from rung_ops.model.predictors import EncodedBooster, Predictor
from rung_ops.model.release_files import ReleaseFiles
from rung_ops.model.target import MULTICLASS

# A smaller effect is rounding: of 32 bits in a model, of four decimals in an answer.
NONE = 5e-5
# Largest difference between the sum of the effects and the prediction: in log-odds, or a share of
# the largest effect. Rounding to 32 bits stays below 1e-4, unless a probability is almost 1.
TOLERANCE = 0.01


class CannotExplainError(Exception):
    """A release or a row has no reasons; the message says why."""


class Reason(msgspec.Struct, frozen=True):
    """What makes a prediction worse for the person.

    Attributes:
        columns: of the contract. Several where a feature is made of several, such as a ratio.
        text: their descriptions.
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
        """Describe a release.

        Args:
            described: content of reasons.json.
            contract: content of contract.json.
            effects_of: of features.
            predict: the model that answers.
        """
        self.method: str = described["method"]
        self._task: str = contract["task"]
        self._sign = 1.0 if described["adverse"] == HIGH else -1.0
        classes = contract.get("classes") or ()
        self._unfavourable = np.array([name in described["adverse"] for name in classes], bool)
        self._effects, self._predict = effects_of, predict
        texts = {each["name"]: each["description"] or each["name"] for each in contract["columns"]}
        names = [each["name"] for each in contract["features"]]
        groups: dict[tuple[str, ...], list[int]] = {}
        for name in names:
            groups.setdefault(tuple(described["columns"][name]), []).append(names.index(name))
        self._groups = [
            (list(columns), _text([texts[column] for column in columns])) for columns in groups
        ]
        self._members = np.zeros((len(names), len(groups)))
        for group, members in enumerate(groups.values()):
            self._members[members, group] = 1.0

    def strongest(self, features: pl.DataFrame, count: int) -> list[list[Reason]]:
        """Find the strongest adverse reasons of each row, the strongest first.

        Args:
            features: shape (n_rows, n_features).
            count: the most of a row; there are fewer where fewer speak against the person, and none
                where the class that is answered is a favourable one.

        Raises:
            CannotExplainError: the effects of a row do not add up to its prediction.
        """
        parts, predictions = self._effects(features), self._predict(features)
        self._add_up(parts, predictions)
        against = self._against(parts[:, :-1], predictions) @ self._members
        order = np.argsort(-against, axis=1, kind="stable")[:, :count]
        return [
            [
                Reason(columns, text, round(float(row[group]), 4))
                for group in chosen
                if row[group] > NONE
                for columns, text in [self._groups[group]]
            ]
            for row, chosen in zip(against, order, strict=True)
        ]

    def _against(self, parts: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return what each feature adds in the unfavourable direction; (n_rows, n_features)."""
        if self._task != MULTICLASS:
            return self._sign * parts
        answered = predictions.argmax(axis=1)
        of_answer = parts[np.arange(len(parts)), :, answered]
        against = of_answer - parts[:, :, ~self._unfavourable].mean(axis=2)
        return np.where(self._unfavourable[answered][:, None], against, 0.0)

    def _add_up(self, parts: np.ndarray, predictions: np.ndarray) -> None:
        difference = effects.difference(parts, predictions, self._task)
        if not (difference <= TOLERANCE).all():
            row = int(np.argmax(~(difference <= TOLERANCE))) + 1
            raise CannotExplainError(
                f"row {row}: the effects of its columns do not add up to its prediction"
            )


def of_release(
    files: ReleaseFiles,
    contract: dict[str, Any],
    expressions: list[pl.Expr],
    predict: Predictor,
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
        if described["method"] == "trees":
            trees = predict
            if not isinstance(trees, EncodedBooster):  # another format answers
                trees = EncodedBooster(files, contract["task"])
            return Reasons(described, contract, trees.effects, predict)
        base = effects.typical(contract, expressions)
        means = np.array([described["means"][name] for name in base.columns])
        additive = AdditiveEffects(predict, contract["task"], base, means)
        return Reasons(described, contract, additive, predict)
    except CannotExplainError:
        raise
    except Exception as error:  # of files, types and runtimes; what answers does not depend on it
        raise CannotExplainError(f"{bundle.REASONS} cannot be used: {error}") from error


def _text(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{' and '.join(texts)}, together"
