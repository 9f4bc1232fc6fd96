"""Run in a project's environment: how often the monitor's check is wrong, where the truth is known.

`python drift_power.py CHECKS SEED` simulates so many checks of each kind through check.check_release(), with
the limits that a new project has, and prints JSON:

- `false_alarms`: by rows of the window, the share of checks that find anything where nothing
  differs: no drift, no rise of missing values or defaults, in 20 features of every kind and the
  predictions;
- `power`: by rows of the window and shape of the feature, the share of checks that name a feature
  which moved by half a standard deviation while 19 others stayed.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path.cwd()))

from rung_ops.model.columns import family_of, text_of
from rung_ops.monitoring import check
from rung_ops.monitoring.check import Newest
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.outcomes import TRUTH, Outcomes
from rung_ops.monitoring.release_info import Released

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
REFERENCE_ROWS = 10_000  # as many as a release keeps, where it learned from more
LEVELS = [f"level {number}" for number in range(60)]
OFTEN = 1 / np.arange(1, 61)
SETTINGS: dict[str, Any] = {"seed": 7, "score": {"metric": "auc", "higher_is_better": True}}
SHAPES = ("normal", "uniform", "skewed", "counts")
NOTHING = Outcomes(
    pl.DataFrame(schema={"id": pl.String, TRUTH: pl.Float64}),
    pl.DataFrame(schema={TRUTH: pl.Float64}),
)


def shaped(shape: str, count: int, draws: np.random.Generator, shift: float = 0.0) -> np.ndarray:
    """Draw numbers of one shape; `shift` moves them by so many of their standard deviations."""
    match shape:
        case "normal":
            return draws.normal(shift, 1, count)
        case "uniform":
            return draws.random(count) + shift / np.sqrt(12)
        case "skewed":
            return draws.exponential(1, count) + shift
        case _:
            return draws.poisson((np.sqrt(4) * shift) + 4, count)


def features(
    count: int, draws: np.random.Generator, moved: str = "normal", shift: float = 0.0
) -> pl.DataFrame:
    """Make 20 features and the predictions: numbers, counts, texts, truth values, holes."""
    frame = pl.DataFrame(
        {
            "moving": shaped(moved, count, draws, shift),
            **{f"normal {n}": draws.normal(0, 1, count) for n in range(5)},
            **{f"skewed {n}": draws.lognormal(0, 1, count) for n in range(3)},
            **{f"counts {n}": draws.poisson(3, count) for n in range(2)},
            "yes or no as a number": draws.integers(0, 2, count),
            "mostly zero": np.where(draws.random(count) < 0.9, 0, draws.normal(size=count)),
            **{f"words {n}": draws.choice(LEVELS, count, p=OFTEN / OFTEN.sum()) for n in range(2)},
            "few words": draws.choice(["a", "b", "c"], count, p=[0.97, 0.02, 0.01]),
            "truth": draws.random(count) < 0.3,
            "names": draws.integers(0, 10_000, count).astype(str),
            **{f"holes {n}": draws.normal(0, 1, count) for n in range(2)},
            "prediction": draws.beta(2, 5, count),
        }
    )
    assert frame.width == 21
    gone = pl.Series(draws.random(count) < 0.1), pl.Series(draws.random(count) < 0.02)
    return frame.with_columns(
        pl.when(~hole).then(f"holes {n}").alias(f"holes {n}") for n, hole in enumerate(gone)
    )


def release(reference: pl.DataFrame) -> Released:
    """Make what the monitor knows of a release; two of its columns may be missing."""
    rules = ("ge", "gt", "le", "lt", "isin", "pattern", "min_length", "max_length")
    columns = [
        {
            "name": name,
            "dtype": family_of(dtype),
            "polars": text_of(dtype),
            "required": "holes" not in name,
            **dict.fromkeys(rules),
        }
        for name, dtype in reference.schema.items()
        if name != "prediction"
    ]
    contract = {"target": "y", "time": None, "key": [], "columns": columns, "features": []}
    manifest = {"id": "v1", "package": "x", "task": "regression", "created": NOW.isoformat()}
    return Released(Path(), manifest, contract, reference, {}, [])


def logged(observed: pl.DataFrame) -> pl.DataFrame:
    """Make rows of the prediction log; missing values hold the default."""
    inputs = observed.drop("prediction")
    holes = [pl.when(pl.col(f"holes {n}").is_null()).then(pl.lit(f"holes {n}")) for n in range(2)]
    return pl.DataFrame(
        {
            "id": [str(number) for number in range(observed.height)],
            "time": pl.Series([NOW] * observed.height, dtype=pl.Datetime("us", "UTC")),
            "release": ["v1"] * observed.height,
            "arm": ["serving"] * observed.height,
            "row": inputs.to_struct(),
            "features": inputs.to_struct(),
            "prediction": observed["prediction"],
            "defaults_used": observed.select(pl.concat_list(holes).list.drop_nulls()).to_series(),
        }
    )


def problems(released: Released, window: pl.DataFrame, limits: Limits) -> list[str]:
    """Make a check, as `poe monitor` does once it has read its files."""
    log = logged(window)
    since = NOW - timedelta(days=7)
    given = check.MonitorInput(log, log, NOTHING, Newest(NOW, None), since, NOW)
    observed = check.check_release(released, given, limits, SETTINGS)
    assert observed.judged
    return observed.problems


def main(checks: int, seed: int) -> dict[str, Any]:
    """Simulate; every tenth check gets a reference of its own."""
    draws = np.random.default_rng(seed)
    false_alarms, power = {}, {}
    for rows in (200, 250, 2_000):
        limits = patient(rows)
        wrong = 0
        for number in range(checks):
            if number % 10 == 0:
                known = release(features(REFERENCE_ROWS, draws))
            wrong += bool(problems(known, features(rows, draws), limits))
        false_alarms[rows] = wrong / checks
    for rows in (200, 250):
        for shape in SHAPES:
            result = 0
            for number in range(checks // 10):
                if number % 10 == 0:
                    known = release(features(REFERENCE_ROWS, draws, shape))
                reported = problems(known, features(rows, draws, shape, 0.5), patient(rows))
                result += any(line.startswith("`moving` drifted") for line in reported)
            power[f"{rows} {shape}"] = result / (checks // 10)
    return {"checks": checks, "seed": seed, "false_alarms": false_alarms, "power": power}


def patient(rows: int) -> Limits:
    """Give a new project's limits; a window of fewer rows than they ask for is judged too."""
    usual = Limits()
    fewest = min(usual.drift.min_rows, rows)
    drift = type(usual.drift)(usual.drift.false_alarms, fewest, usual.drift.least_change)
    return Limits(drift=drift)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
