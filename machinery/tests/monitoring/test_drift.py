"""Drift is found where there is some, and rarely where there is none.

The promises hold for windows of hundreds of rows and are proved with thousands of simulated
checks where the template is kept; here a few hundred of them guard against mistakes.
"""

import os
import resource
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rung_ops.statistics import drift

FEATURES = 20
ERROR = 0.01 / (FEATURES + 1)
ROWS = 250


def mixed(count: int, draws: np.random.Generator, shift: float = 0.0) -> pl.DataFrame:
    """Make 20 features of every kind and a prediction; the first moves by `shift` deviations."""
    levels = [f"level {number}" for number in range(60)]
    often = 1 / np.arange(1, 61)
    return pl.DataFrame(
        {
            **{f"normal {n}": draws.normal(shift if n == 0 else 0, 1, count) for n in range(6)},
            **{f"skewed {n}": draws.lognormal(0, 1, count) for n in range(3)},
            **{f"whole {n}": draws.poisson(3, count) for n in range(3)},
            "yes or no as a number": draws.integers(0, 2, count),
            "mostly zero": np.where(draws.random(count) < 0.9, 0, draws.normal(size=count)),
            **{f"words {n}": draws.choice(levels, count, p=often / often.sum()) for n in range(3)},
            "few words": draws.choice(["a", "b", "c"], count, p=[0.97, 0.02, 0.01]),
            "truth": draws.random(count) < 0.3,
            "names": [f"{name}" for name in draws.integers(0, 10_000, count)],
            "prediction": draws.beta(2, 5, count),
        }
    )


def test_stable_features_of_every_kind_raise_hardly_an_alarm() -> None:
    draws = np.random.default_rng(11)
    reference = mixed(2_000, draws)
    assert reference.width == FEATURES + 1

    p_values = [drift.compare(reference, mixed(ROWS, draws))["p_value"] for _ in range(150)]

    together = np.concatenate([each.to_numpy() for each in p_values])
    assert len(together) == 150 * (FEATURES + 1)
    # Each test alone; 0.004 is the standard error of a share of so many.
    assert (together <= 0.05).mean() <= 0.05 + 0.01
    assert sum((each <= ERROR).any() for each in p_values) <= 5


def test_half_a_standard_deviation_is_seen_in_a_window_of_the_least_size() -> None:
    draws = np.random.default_rng(12)
    reference = mixed(10_000, draws)

    result = [
        drift.compare(reference, mixed(ROWS, draws, shift=0.5))["p_value"][0] <= ERROR
        for _ in range(40)
    ]

    assert drift.visible_shift(ROWS, 10_000, ERROR) <= 0.5
    assert sum(result) >= 38


@pytest.mark.parametrize(
    ("column", "changed"),
    [
        (pl.Series("x", [1.0, 2, 3, 4] * 100), pl.Series("x", [3.0, 4, 5, 6] * 100)),
        (pl.Series("x", [1, 1, 1, 2] * 100), pl.Series("x", [1, 2, 2, 2] * 100)),
        (pl.Series("x", ["a", "b"] * 200), pl.Series("x", ["a", "new"] * 200)),
        (pl.Series("x", [True, False] * 200), pl.Series("x", [True, True, True, False] * 100)),
    ],
)
def test_each_kind_of_column_can_drift(column: pl.Series, changed: pl.Series) -> None:
    reference, window = column.to_frame(), changed.to_frame()

    assert drift.compare(reference, window)["p_value"][0] < 1e-6
    assert drift.compare(reference, reference)["p_value"][0] == 1


def test_dates_and_moments_are_compared_as_numbers() -> None:
    days = pl.date_range(pl.date(2026, 1, 1), pl.date(2026, 12, 31), eager=True).alias("day")
    moments = days.cast(pl.Datetime("us")).alias("moment")
    reference = pl.DataFrame([days, moments])

    result = drift.compare(reference, reference.tail(100))

    assert result["kind"].to_list() == ["number", "number"]
    assert (result["p_value"] < 1e-6).all()


def test_missing_values_are_compared_on_their_own() -> None:
    values = np.random.default_rng(13).normal(size=1_000)
    reference = pl.DataFrame({"x": values})
    holes = pl.Series("x", values[:500]).scatter(range(50), None).to_frame()

    result = drift.compare(reference, holes)

    assert result["missing"][0] == 0.1
    assert result["reference_missing"][0] == 0
    assert result["missing_p_value"][0] < 1e-6
    assert result["p_value"][0] > 0.01


def test_not_a_number_is_missing() -> None:
    reference = pl.DataFrame({"x": [1.0, 2.0, float("nan")]})

    result = drift.compare(reference, reference)

    assert result["rows"][0] == 2
    assert result["missing"][0] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "window",
    [
        pl.DataFrame(schema={"x": pl.Float64, "y": pl.String}),
        pl.DataFrame({"x": [None, None], "y": [None, None]}),
    ],
)
def test_nothing_to_compare_gives_no_verdict(window: pl.DataFrame) -> None:
    reference = pl.DataFrame({"x": [1.0, 2.0], "y": ["a", "b"]})

    assert drift.compare(reference, window)["p_value"].to_list() == [None, None]


def test_a_feature_that_the_log_lacks_is_named() -> None:
    result = drift.compare(pl.DataFrame({"x": [1.0], "y": [[1]]}), pl.DataFrame({"y": [[1]]}))

    assert result["kind"].to_list() == ["not in the log", "List(Int64)"]


def test_a_column_may_have_any_name() -> None:
    names = ["rows", "level", "count", "share", "prediction "]
    reference = pl.DataFrame({name: ["a", "b"] * 50 for name in names})

    assert drift.compare(reference, reference)["feature"].to_list() == names


def test_few_rows_can_show_large_shifts_only() -> None:
    assert drift.visible_shift(5, 10_000, ERROR) == float("inf")
    assert drift.visible_shift(1_000, 10_000, ERROR) < drift.visible_shift(250, 10_000, ERROR) < 0.5


def test_bars_of_large_numbers_are_named_in_full() -> None:
    few = pl.DataFrame({"amount": [129_200.0, 2_000_000.0] * 50})
    many = pl.DataFrame({"amount": np.linspace(100_000, 300_000, 500)})

    assert drift.compare(few, few)["bars"].to_list() == [["129,200", "2,000,000"]]
    assert all("e+" not in name for name in drift.compare(many, many)["bars"].to_list()[0])


def test_a_log_of_many_blocks_holds_few_files_open(tmp_path: Path) -> None:
    window = pl.DataFrame({"x": np.random.default_rng(3).normal(size=300)})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = max(int(name) for name in os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 50, limits[1]))
    try:
        compared = drift.compare(window.head(99), window.iter_slices(1), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert compared.equals(drift.compare(window.head(99), window))
