"""Releases and logs of random numbers, so that the tests know what changed and what did not."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops.monitoring.release_info import Released

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS: Mapping[str, Any] = {
    "seed": 7,
    "score": {"metric": "accuracy", "higher_is_better": True},
    "report": {"slices": ["colour"]},
}
COLUMN: dict[str, Any] = {
    "required": True,
    "default": None,
    "ge": None,
    "gt": None,
    "le": None,
    "lt": None,
    "isin": None,
    "pattern": None,
    "min_length": None,
    "max_length": None,
    "unit": None,
    "description": None,
}
COLUMNS = [
    COLUMN | {"name": "at", "dtype": "datetime", "polars": str(pl.Datetime("us"))},
    COLUMN | {"name": "size", "dtype": "float", "polars": "Float64", "ge": -100.0, "le": 100.0},
    COLUMN | {"name": "colour", "dtype": "str", "polars": "String", "isin": ["red", "blue"]},
    COLUMN | {"name": "weight", "dtype": "float", "polars": "Float64", "required": False},
]
SCORE = '''"""What makes a good model."""


def score(truth, predicted):
    """Count the right answers."""
    return {"accuracy": float(((predicted > 0.5) == (truth > 0.5)).mean())}
'''


def rows(count: int, seed: int, shift: float = 0.0, at: datetime = NOW) -> pl.DataFrame:
    """Make input rows; `shift` moves the size, in standard deviations."""
    draws = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "at": [at.replace(tzinfo=None)] * count,
            "size": draws.normal(shift, 1, count),
            "colour": draws.choice(["red", "blue"], count, p=[0.7, 0.3]),
            "weight": np.where(draws.random(count) < 0.1, np.nan, draws.normal(0, 1, count)),
        },
        schema_overrides={"at": pl.Datetime("us")},
    ).with_columns(pl.col("weight").fill_nan(None))


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """What the made model sees."""
    return rows.select("size", "colour", "weight")


def predictions(rows: pl.DataFrame) -> np.ndarray:
    """What the made model answers; shape (n_rows,), in (0, 1)."""
    return 1 / (1 + np.exp(-rows["size"].to_numpy()))


def released(folder: Path, **manifest: Any) -> Released:
    """Make a release whose score() can be imported from the folder."""
    source = folder / "src/made"
    source.mkdir(parents=True, exist_ok=True)
    (source / "__init__.py").write_text("", encoding="utf-8")
    (source / "model.py").write_text(SCORE, encoding="utf-8")
    training = rows(5_000, seed=1)
    return Released(
        folder,
        {
            "id": "v1-made",
            "package": "made",
            "task": "classification",
            "created": NOW.isoformat(),
            "trained_until": (NOW - 10 * DAY).isoformat(),
            **manifest,
        },
        {"target": "good", "time": "at", "key": ["at", "size"], "columns": COLUMNS, "features": []},
        features(training).with_columns(prediction=predictions(training)),
        {"accuracy": 0.9},
        [{"column": "colour", "value": "red", "rows": 300, "accuracy": 0.9}],
    )


def log(
    rows: pl.DataFrame, at: datetime = NOW - DAY, defaults: pl.Series | None = None
) -> pl.DataFrame:
    """Make rows of the prediction log, with the ids 0, 1, 2 and so on."""
    nothing = pl.Series([[]], dtype=pl.List(pl.String)).new_from_index(0, rows.height)
    return pl.DataFrame(
        {
            "id": [str(number) for number in range(rows.height)],
            "time": pl.Series([at] * rows.height, dtype=pl.Datetime("us", "UTC")),
            "release": ["v1-made"] * rows.height,
            "arm": ["serving"] * rows.height,
            "row": rows.to_struct(),
            "features": features(rows).to_struct(),
            "prediction": predictions(rows),
            "defaults_used": nothing if defaults is None else defaults,
        }
    )
