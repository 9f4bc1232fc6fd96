"""Stage: say which features the predictions rest on, overall and for single rows (SHAP)."""

import json
import time
from typing import Any

import numpy as np
import polars as pl
import shap
from matplotlib.axes import Axes

from rung_ops.project.paths import MODEL, REPORTS, TEST, TRAIN, params, shown
from rung_ops.training import estimator, plots
from rung_ops.training.feature_codes import Coded

EXPLANATIONS = REPORTS / "explanations.json"
PLOT = REPORTS / "explanations.svg"
TABLE = REPORTS / "explanations.csv"
# Bounds of the work: rows explained, rows they are compared with, seconds. [explain] in
# params.toml may set others.
ROWS, BACKGROUND, SECONDS = 100, 50, 120
EXAMPLES, REASONS = 5, 6


def explain(
    model: Any, rows: pl.DataFrame, background: pl.DataFrame, seed: int, seconds: float
) -> tuple[np.ndarray, float]:
    """Share each prediction out among the features.

    Args:
        model: the fitted estimator.
        rows: the features of the rows to explain.
        background: the features of the rows they are compared with.
        seed: for the order in which features are exchanged.
        seconds: no further row is begun after this time.

    Returns:
        Shape (n_explained, n_features), each row adding up to its prediction less the base;
        and the base, the mean prediction of the background.
    """
    coded = Coded(pl.concat([background, rows]))

    def answer(numbers: np.ndarray) -> np.ndarray:
        return estimator.predict_features(model, coded.decode(numbers))

    numbers = coded.encode(background)
    masker = shap.maskers.Independent(numbers, max_samples=len(numbers))
    explainer = shap.explainers.Permutation(answer, masker, seed=seed)
    evaluations = 2 * rows.width + 1  # the least: once through the features, there and back
    start = time.monotonic()
    shares: list[np.ndarray] = []
    for row in coded.encode(rows):
        if shares and time.monotonic() - start > seconds:
            break
        found = explainer(row[np.newaxis, :], max_evals=evaluations, silent=True)
        shares.append(found.values[0])
    return np.array(shares), float(answer(numbers).mean())


def reasons(features: pl.DataFrame, shares: np.ndarray, place: int) -> list[dict[str, Any]]:
    """Name the features that moved one prediction most, and by how much."""
    order = np.argsort(-np.abs(shares[place]), kind="stable")[:REASONS]
    return [
        {
            "feature": features.columns[at],
            "value": _shown(features[place, int(at)]),
            "effect": round(float(shares[place, at]), 4),
        }
        for at in order
    ]


def report(
    model: Any, test: pl.DataFrame, train: pl.DataFrame, settings: dict[str, Any]
) -> dict[str, Any]:
    """Explain a sample of the test rows against a sample of the training rows."""
    bounds, seed = settings.get("explain", {}), settings["seed"]
    sample = test.with_row_index("row").sample(
        min(bounds.get("rows", ROWS), test.height), seed=seed, shuffle=True
    )
    background = train.sample(min(bounds.get("background", BACKGROUND), train.height), seed=seed)
    features = estimator.features(sample)
    seconds = bounds.get("seconds", SECONDS)
    shares, base = explain(model, features, estimator.features(background), seed, seconds)
    features = features.head(len(shares))
    predicted = estimator.predict_features(model, features)
    notes = []
    if len(shares) < sample.height:
        notes.append(
            f"Stopped after {seconds} s: {len(shares)} of {sample.height} rows are explained. "
            "Set seconds, rows or background under [explain] in params.toml."
        )
    weights = dict(zip(features.columns, np.abs(shares).mean(axis=0), strict=True))
    ranked = np.argsort(predicted, kind="stable")
    chosen = sorted(
        {int(ranked[at]) for at in np.linspace(0, len(ranked) - 1, EXAMPLES, dtype=int)}
    )
    return {
        "method": "SHAP by permutation: mean absolute share of each feature in the prediction",
        "rows": len(shares),
        "background": background.height,
        "base": round(base, 4),
        "importance": {
            name: round(float(weight), 5)
            for name, weight in sorted(weights.items(), key=lambda item: (-item[1], item[0]))
        },
        "examples": [
            {
                "test_row": int(sample["row"][place]),
                "predicted": round(float(predicted[place]), 4),
                "reasons": reasons(features, shares, place),
            }
            for place in sorted(chosen, key=lambda at: -predicted[at])
        ],
        "notes": notes,
    }


def draw(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the fifteen features that weigh most."""
    heaviest = table.head(15).reverse()
    axes.barh(heaviest["feature"], heaviest["importance"], color=plots.BLUE)
    axes.set(title="What the predictions rest on", xlabel="mean absolute share (SHAP)")


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def main() -> int:
    """Write the explanations, their table and their plot; return the exit code."""
    model = estimator.load(MODEL)
    found = report(model, pl.read_parquet(TEST), pl.read_parquet(TRAIN), params())
    EXPLANATIONS.write_text(
        json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    importance = found["importance"]
    table = pl.DataFrame({"feature": list(importance), "importance": list(importance.values())})
    table.write_csv(TABLE)
    PLOT.write_text(plots.svg(draw, table), encoding="utf-8")
    for name, weight in table.head(5).iter_rows():
        print(f"{name:>20} {weight:.4f}")
    for note in found["notes"]:
        print(f"note: {note}")
    print(f"look at {shown(EXPLANATIONS)} and {shown(PLOT)}")
    return 0
