"""Stage: explain predictions with SHAP values, overall and for single rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from rung_ops.model.reasons import HIGH, LOW, adverse_in
from rung_ops.model.target import MULTICLASS, QUANTILE
from rung_ops.project import current
from rung_ops.project.paths import made, params, shown
from rung_ops.training import estimator, explained, plots, shap_values
from rung_ops.training.explained import Explained


def explanations_file() -> Path:
    """Return the path of the explanations as JSON."""
    return current().reports / "explanations.json"


def plot_file() -> Path:
    """Return the path of the plot of explanations."""
    return current().reports / "explanations.svg"


def table_file() -> Path:
    """Return the path of the table of explanations."""
    return current().reports / "explanations.csv"


# Defaults of [explain] in params.toml: rows to explain, background rows, time limit in seconds.
ROWS, BACKGROUND, SECONDS = 100, 50, 120
EXAMPLES, REASONS = 5, 6
OF = {  # what is explained, where there is more than one number
    MULTICLASS: "probabilities of classes; the examples: of the class that is answered",
    QUANTILE: "the median",
}


def reasons(
    features: pl.DataFrame, values: np.ndarray, row: int, against: str | None = None
) -> list[dict[str, Any]]:
    """Return the features with the largest effects on the prediction of one row.

    Args:
        features: of the rows, shape (n_rows, n_features).
        values: from shap_values.compute().
        row: its number.
        against: `high` or `low` where that is unfavourable: only what made the prediction worse
            for the person is a reason then, as the service has it.
    """
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
    bounds, seed = settings.get("explain", {}), settings["seed"]
    sample = test.with_row_index("row").sample(
        min(bounds.get("rows", ROWS), test.height), seed=seed, shuffle=True
    )
    background = train.sample(min(bounds.get("background", BACKGROUND), train.height), seed=seed)
    features = estimator.features(sample)
    seconds = bounds.get("seconds", SECONDS)
    values, base = shap_values.compute(
        model, features, estimator.features(background), seed, seconds
    )
    features = features.head(len(values))
    names, unfavourable = estimator.classes(), adverse_in(settings, estimator.classes())
    predicted = shap_values.predicted(model, features)
    result = explained.of(predicted, values, names, unfavourable)
    notes = []
    if len(values) < sample.height:
        notes.append(
            f"Stopped after {seconds} s: {len(values)} of {sample.height} rows are explained. "
            "Set seconds, rows or background under [explain] in params.toml."
        )
    return {
        "method": "permutation SHAP: mean absolute SHAP value of each feature",
        **({"of": OF[task]} if (task := estimator.task(model)) in OF else {}),
        "rows": len(values),
        "background": background.height,
        "base": explained.rounded(base, names),
        "reasons_are": explained.reasons_are(unfavourable),
        **result.importances(features.columns),
        "examples": _examples(result, features, sample["row"]),
        "notes": notes,
    }


def _examples(result: Explained, features: pl.DataFrame, rows: pl.Series) -> list[dict[str, Any]]:
    """Explain a few rows, from all parts of the range of predictions, the largest first."""
    ranked = result.ranked
    chosen = sorted(
        {int(ranked[rank]) for rank in np.linspace(0, len(ranked) - 1, EXAMPLES, dtype=int)}
    )
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
    result = report(
        model,
        pl.read_parquet(made(current().test)),
        pl.read_parquet(made(current().train)),
        params(),
    )
    explanations_file().write_text(
        json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    importance = result["importance"]
    table = pl.DataFrame({"feature": list(importance), "importance": list(importance.values())})
    table.write_csv(table_file())
    plot_file().write_text(plots.svg(draw, table), encoding="utf-8")
    for name, weight in table.head(5).iter_rows():
        print(f"{name:>20} {weight:.4f}")
    for note in result["notes"]:
        print(f"note: {note}")
    print(f"Wrote {shown(explanations_file())} and {shown(plot_file())}.")
    return 0
