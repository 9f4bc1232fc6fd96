"""Stage: explain predictions with SHAP values, overall and for single rows.

Of several classes, the probability of the one that is answered is explained.
"""

import json
import time
from collections.abc import Collection, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
import polars as pl
from matplotlib.axes import Axes

from rung_ops.model.reasons import HIGH, LOW, adverse_in
from rung_ops.model.target import MULTICLASS, QUANTILE, labels, numbers
from rung_ops.project import current
from rung_ops.project.parameters import ExplainSettings
from rung_ops.project.paths import made, params, shown
from rung_ops.settings import converted
from rung_ops.training import estimator, plots


def shap_values(
    model: Any, rows: pl.DataFrame, background: pl.DataFrame, seed: int, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the SHAP values of predictions, against the features of a background.

    Args:
        rows, background: features, shape (n_rows, n_features).
        seconds: time limit; after it, no further row is started.

    Returns:
        SHAP values, shape (n_explained, n_features), each row adding up to its prediction minus
        the base value; and the base value, the mean prediction of the background. Of several
        classes both have a further axis: the probability of each.
    """
    encoder = FeatureEncoder(pl.concat([background, rows]))

    def predict(codes: np.ndarray) -> np.ndarray:
        return explained_numbers(model, encoder.decode(codes))

    shap = _without_compiling()
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


def _without_compiling() -> ModuleType:
    """Import SHAP with its loops as Python: to compile them takes 9 s, and to run them 0.1 s."""
    settings: Any = numba.config
    before, settings.DISABLE_JIT = settings.DISABLE_JIT, True
    try:
        import shap
    finally:
        settings.DISABLE_JIT = before
    return shap


def explained_numbers(model: Any, features: pl.DataFrame) -> np.ndarray:
    """Predict what is explained: of quantiles the median."""
    answers, kind = estimator.predict_features(model, features), estimator.kind()
    return numbers(answers, kind) if kind.quantiles else answers


class FeatureEncoder:
    """Encodes features as numbers, as SHAP needs them; numeric features are unchanged."""

    def __init__(self, features: pl.DataFrame) -> None:
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


class Explained(NamedTuple):
    """Predictions with the effects of features on them."""

    number: np.ndarray  # of each row that is explained, shape (n_rows,)
    effects: np.ndarray  # on that number, shape (n_rows, n_features)
    answers: list[dict[str, Any]]  # what the examples of the report say of each row
    ranked: np.ndarray  # rows in an order from which examples are taken evenly
    # Of each row, `high` or `low` where only what made its number so is a reason.
    adverse: Sequence[str | None]


def explained(
    predicted: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    adverse: str | Collection[str] | None,
) -> Explained:
    """Explain predictions, of several classes the probability of the most probable one.

    Args:
        predicted: shape (n_rows,), or of classes (n_rows, n_classes).
        values: SHAP values, shape (n_rows, n_features), or (n_rows, n_features, n_classes).
        names: of the classes.
        adverse: from adverse_in().
    """
    if not names:
        answers: list[dict[str, Any]] = [{"predicted": round(float(n), 4)} for n in predicted]
        against = [adverse if isinstance(adverse, str) else None] * len(predicted)
        return Explained(predicted, values, answers, np.argsort(predicted, kind="stable"), against)
    rows, answered = np.arange(len(predicted)), predicted.argmax(axis=1)
    number, named = predicted[rows, answered], labels(predicted, names)
    answers = [
        {"predicted": name, "probability": round(float(probability), 4)}
        for name, probability in zip(named, number, strict=True)
    ]
    ranked = np.lexsort((number, answered))  # so that all classes are among them
    against = [HIGH if name in (adverse or ()) else None for name in named]
    return Explained(number, values[rows, :, answered], answers, ranked, against)


def _importances(
    values: np.ndarray, names: Sequence[str], features: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Give each feature's mean absolute effect, and that on each class, the most important first."""
    by_class = np.abs(values).mean(axis=0)
    weights = by_class.mean(axis=1) if names else by_class
    order = sorted(range(len(features)), key=lambda at: (-weights[at], features[at]))
    found = {"importance": {features[at]: round(float(weights[at]), 5) for at in order}}
    if not names:
        return found
    of_classes = by_class.round(5).tolist()
    return found | {
        "importance_by_class": {
            features[at]: dict(zip(names, of_classes[at], strict=True)) for at in order
        }
    }


def _reasons_are(adverse: str | Collection[str] | None) -> str:
    """Say which effects are reasons."""
    if adverse is None:
        return "effects of any sign"
    if isinstance(adverse, str):
        return f"what makes a prediction {adverse}er"
    named = ", ".join(adverse)
    return f"what makes the answer likelier where it is {named}; else effects of any sign on it"


EXAMPLES, REASONS = 5, 6
OF = {  # what is explained, where there is more than one number
    MULTICLASS: "probabilities of classes; the examples: of the class that is answered",
    QUANTILE: "the median",
}


def reasons(
    features: pl.DataFrame, values: np.ndarray, row: int, against: str | None = None
) -> list[dict[str, Any]]:
    """Return the features with the largest effects on a row; `against` HIGH or LOW, only those to there."""
    sign = {None: 0, HIGH: 1, LOW: -1}[against]
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
    bounds = converted(settings.get("explain", {}), ExplainSettings, "params.toml: [explain]")
    seed = settings["seed"]
    sample = test.with_row_index("row").sample(
        min(bounds.rows, test.height), seed=seed, shuffle=True
    )
    background = train.sample(min(bounds.background, train.height), seed=seed)
    features = estimator.features(sample)
    seconds = bounds.seconds
    values, base = shap_values(model, features, estimator.features(background), seed, seconds)
    features = features.head(len(values))
    names, unfavourable = estimator.classes(), adverse_in(settings, estimator.classes())
    predicted = explained_numbers(model, features)
    result = explained(predicted, values, names, unfavourable)
    notes = []
    if len(values) < sample.height:
        notes.append(
            f"Stopped after {seconds:g} s: {len(values)} of {sample.height} rows are explained. "
            "Set seconds, rows or background under [explain] in params.toml."
        )
    return {
        "method": "permutation SHAP: mean absolute SHAP value of each feature",
        **({"of": OF[task]} if (task := estimator.task(model)) in OF else {}),
        "rows": len(values),
        "background": background.height,
        "base": dict(zip(names, base.round(4).tolist(), strict=True))
        if names
        else round(float(base), 4),
        "reasons_are": _reasons_are(unfavourable),
        **_importances(values, names, features.columns),
        "examples": _examples(result, features, sample["row"]),
        "notes": notes,
    }


def _examples(result: Explained, features: pl.DataFrame, rows: pl.Series) -> list[dict[str, Any]]:
    """Explain a few rows, from all parts of the range of predictions, the largest first."""
    places = np.linspace(0, len(result.ranked) - 1, EXAMPLES, dtype=int)
    chosen = np.unique(result.ranked[places]).tolist()
    return [
        {
            "test_row": int(rows[row]),
            **result.answers[row],
            "reasons": reasons(features, result.effects, row, result.adverse[row]),
        }
        for row in sorted(chosen, key=lambda row: -result.number[row])
    ]


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
    model = estimator.load(made(current().model_file))
    test, train = (pl.read_parquet(made(path)) for path in (current().test, current().train))
    result = report(model, test, train, params())
    written = current().reports / "explanations.json"
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    written.write_text(text, encoding="utf-8")
    importance = result["importance"]
    table = pl.DataFrame({"feature": list(importance), "importance": list(importance.values())})
    table.write_csv(written.with_suffix(".csv"))
    plot = written.with_suffix(".svg")
    drawn = plots.svg(draw, table, what="Feature importance", is_file=True)
    plot.write_text(drawn, encoding="utf-8")
    for name, weight in table.head(5).iter_rows():
        print(f"{name:>20} {weight:.4f}")
    for note in result["notes"]:
        print(f"note: {note}")
    print(f"Wrote {shown(written)} and {shown(plot)}.")
    return 0
