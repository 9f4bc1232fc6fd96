"""Stage: explain predictions with SHAP values, overall and for single rows."""

import json
import time
from typing import Any

import numpy as np
import polars as pl
import shap
from matplotlib.axes import Axes

from rung_ops import adverse
from rung_ops.predictions import numbers
from rung_ops.project.paths import MODEL, REPORTS, TEST, TRAIN, params, shown
from rung_ops.target import MULTICLASS, QUANTILE
from rung_ops.training import estimator, plots
from rung_ops.training.explained import Explained, of_classes, of_numbers

EXPLANATIONS = REPORTS / "explanations.json"
PLOT = REPORTS / "explanations.svg"
TABLE = REPORTS / "explanations.csv"
# Defaults of [explain] in params.toml: rows to explain, background rows, time limit in seconds.
ROWS, BACKGROUND, SECONDS = 100, 50, 120
EXAMPLES, REASONS = 5, 6
OF = {  # what is explained, where there is more than one number
    MULTICLASS: "probabilities of classes; the examples: of the class that is answered",
    QUANTILE: "the median",
}


def explain(
    model: Any, rows: pl.DataFrame, background: pl.DataFrame, seed: int, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the SHAP values of predictions.

    Args:
        model: the fitted estimator.
        rows: features of the rows to explain, shape (n_rows, n_features).
        background: features of the rows they are compared with, shape (n_background, n_features).
        seed: of the permutations of features.
        seconds: time limit; after it, no further row is started.

    Returns:
        SHAP values, shape (n_explained, n_features), each row adding up to its prediction minus
        the base value; and the base value, the mean prediction of the background. Of several
        classes both have a further axis: the probability of each.
    """
    encoder = FeatureEncoder(pl.concat([background, rows]))

    def predict(codes: np.ndarray) -> np.ndarray:
        return _predicted(model, encoder.decode(codes))

    codes = encoder.encode(background)
    masker = shap.maskers.Independent(codes, max_samples=len(codes))
    explainer = shap.explainers.Permutation(predict, masker, seed=seed)
    evaluations = 2 * rows.width + 1  # the minimum: one permutation, forwards and backwards
    start = time.monotonic()
    values: list[np.ndarray] = []
    for row in encoder.encode(rows):
        if values and time.monotonic() - start > seconds:
            break
        explanation = explainer(row[np.newaxis, :], max_evals=evaluations, silent=True)
        values.append(explanation.values[0])
    return np.array(values), predict(codes).mean(axis=0)


def _predicted(model: Any, features: pl.DataFrame) -> np.ndarray:
    """Predict what is explained: of quantiles the median."""
    predicted, kind = estimator.predict_features(model, features), estimator.kind()
    return numbers(predicted, kind) if kind.quantiles else predicted


class FeatureEncoder:
    """Encodes features as numbers, as SHAP needs them; numeric features are unchanged."""

    def __init__(self, features: pl.DataFrame) -> None:
        """Assign a code to each value of the features that are not numeric."""
        self.schema = features.schema
        self.values = {
            name: features[name].unique(maintain_order=True)
            for name, kind in features.schema.items()
            if not kind.is_numeric()
        }

    def encode(self, features: pl.DataFrame) -> np.ndarray:
        """Encode features; shape (n_rows, n_features), a missing number is NaN."""
        columns = [
            self._codes(features[name])
            if name in self.values
            else features[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            for name in self.schema
        ]
        return np.column_stack(columns)

    def decode(self, numbers: np.ndarray) -> pl.DataFrame:
        """Convert the numbers of encode() back to features."""
        columns = []
        for index, (name, kind) in enumerate(self.schema.items()):
            if name in self.values:
                column = self.values[name].gather(numbers[:, index].astype(int))
            else:
                column = pl.Series(name, numbers[:, index]).fill_nan(None).cast(kind)
            columns.append(column.alias(name))
        return pl.DataFrame(columns)

    def _codes(self, column: pl.Series) -> np.ndarray:
        known = self.values[column.name]
        table = pl.DataFrame({"value": known, "code": np.arange(len(known), dtype=float)})
        wanted = pl.DataFrame({"value": column})
        joined = wanted.join(table, on="value", how="left", nulls_equal=True, maintain_order="left")
        return joined["code"].to_numpy()


def reasons(
    features: pl.DataFrame, values: np.ndarray, row: int, against: str | None = None
) -> list[dict[str, Any]]:
    """Return the features with the largest effects on the prediction of one row.

    Args:
        features: of the rows, shape (n_rows, n_features).
        values: from explain().
        row: its number.
        against: `high` or `low` where that is unfavourable: only what made the prediction worse
            for the person is a reason then, as the service has it.
    """
    sign = {None: 0, adverse.HIGH: 1, adverse.LOW: -1}[against]
    largest = np.argsort(-np.abs(values[row]), kind="stable")
    order = [index for index in largest if not sign or sign * values[row, index] > 0][:REASONS]
    return [
        {
            "feature": features.columns[index],
            "value": _json_value(features[row, int(index)]),
            "effect": round(float(values[row, index]), 4),
        }
        for index in order
    ]


def report(
    model: Any, test: pl.DataFrame, train: pl.DataFrame, settings: dict[str, Any]
) -> dict[str, Any]:
    """Explain a sample of the test rows; a sample of the training rows is the background."""
    bounds, seed = settings.get("explain", {}), settings["seed"]
    sample = test.with_row_index("row").sample(
        min(bounds.get("rows", ROWS), test.height), seed=seed, shuffle=True
    )
    background = train.sample(min(bounds.get("background", BACKGROUND), train.height), seed=seed)
    features = estimator.features(sample)
    seconds = bounds.get("seconds", SECONDS)
    values, base = explain(model, features, estimator.features(background), seed, seconds)
    features = features.head(len(values))
    predicted = _predicted(model, features)
    notes = []
    if len(values) < sample.height:
        notes.append(
            f"Stopped after {seconds} s: {len(values)} of {sample.height} rows are explained. "
            "Set seconds, rows or background under [explain] in params.toml."
        )
    names = estimator.classes()
    unfavourable = adverse.of(settings, names)
    if names:
        explained = of_classes(predicted, values, names, unfavourable or ())
    else:
        direction = unfavourable if isinstance(unfavourable, str) else None
        explained = of_numbers(predicted, values, direction)
    ranked = explained.ranked
    chosen = sorted(
        {int(ranked[rank]) for rank in np.linspace(0, len(ranked) - 1, EXAMPLES, dtype=int)}
    )
    return {
        "method": "permutation SHAP: mean absolute SHAP value of each feature",
        **({"of": OF[task]} if (task := estimator.task(model)) in OF else {}),
        "rows": len(values),
        "background": background.height,
        "base": _rounded(base, names),
        "reasons_are": _reasons_are(unfavourable),
        "importance": _importance(features.columns, explained),
        **_by_class(features.columns, names, explained),
        "examples": [
            {
                "test_row": int(sample["row"][row]),
                **explained.answers[row],
                "reasons": reasons(features, explained.effects, row, explained.adverse[row]),
            }
            for row in sorted(chosen, key=lambda row: -explained.number[row])
        ],
        "notes": notes,
    }


def _reasons_are(unfavourable: str | list[str] | None) -> str:
    if unfavourable is None:
        return "effects of any sign"
    if isinstance(unfavourable, str):
        return f"what makes a prediction {unfavourable}er"
    named = ", ".join(unfavourable)
    return f"what makes the answer likelier where it is {named}; else effects of any sign on it"


def _rounded(base: np.ndarray, names: list[str]) -> float | dict[str, float]:
    if not names:
        return round(float(base), 4)
    return dict(zip(names, base.round(4).tolist(), strict=True))


def _importance(features: list[str], explained: Explained) -> dict[str, float]:
    weights = zip(features, map(float, explained.importance), strict=True)
    ordered = sorted(weights, key=lambda item: (-item[1], item[0]))
    return {name: round(weight, 5) for name, weight in ordered}


def _by_class(features: list[str], names: list[str], explained: Explained) -> dict[str, Any]:
    if explained.by_class is None:
        return {}
    weights = dict(zip(features, explained.by_class.round(5).tolist(), strict=True))
    ordered = _importance(features, explained)
    return {
        "importance_by_class": {
            feature: dict(zip(names, weights[feature], strict=True)) for feature in ordered
        }
    }


def draw(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the fifteen most important features."""
    top = table.head(15).reverse()
    axes.barh(top["feature"], top["importance"], color=plots.BLUE)
    axes.set(title="Feature importance", xlabel="mean absolute SHAP value")


def _json_value(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def main() -> int:
    """Write the explanations, their table and their plot; return the exit code."""
    model = estimator.load(MODEL)
    result = report(model, pl.read_parquet(TEST), pl.read_parquet(TRAIN), params())
    EXPLANATIONS.write_text(
        json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    importance = result["importance"]
    table = pl.DataFrame({"feature": list(importance), "importance": list(importance.values())})
    table.write_csv(TABLE)
    PLOT.write_text(plots.svg(draw, table), encoding="utf-8")
    for name, weight in table.head(5).iter_rows():
        print(f"{name:>20} {weight:.4f}")
    for note in result["notes"]:
        print(f"note: {note}")
    print(f"Wrote {shown(EXPLANATIONS)} and {shown(PLOT)}.")
    return 0
