"""Training and the release see the same features of a row, and answer the same."""

from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as draw
from polars.testing import assert_frame_equal

from machinery.tests.conftest import Trained
from rung_ops import contract
from rung_ops.contract.row_checks import inspect
from rung_ops.data.ingest import sample_rows
from rung_ops.model import released
from rung_ops.model.released import Release
from rung_ops.training import estimator

ROWS = 1_000
# Polars divides a column of one row by a number exactly, and a longer one by way of the number's
# reciprocal, so the last bit of a feature (2e-16 of it) may be another for a row alone. Sums and
# differences of such features carry it a little further.
ROUNDING = 1e-12
SAMPLE = sample_rows().drop(contract.TARGET)
SCHEMA = contract.Row.to_schema().remove_columns([contract.TARGET])


@pytest.fixture(scope="module")
def loaded(release_folder: Path, release_key: bytes) -> Release:
    """The release as the service loads it."""
    return released.load(release_folder, release_key)


def compare(trained: Trained, loaded: Release, rows: pl.DataFrame) -> None:
    """Assert that training and a release agree on rows."""
    # Training never has a single row.
    among_others = pl.concat([rows, SAMPLE.head(2).select(rows.columns)])
    features = estimator.features(among_others)[: rows.height]
    expected = estimator.predict_features(trained.estimator, features)

    served, result = loaded.score(rows)

    assert_same(features, served, ROUNDING if rows.height == 1 else 0.0)
    tolerance = loaded.manifest["parity"]["tolerance"]
    np.testing.assert_allclose(result, expected, atol=tolerance, rtol=tolerance)


def assert_same(expected: pl.DataFrame, served: pl.DataFrame, rounding: float) -> None:
    """Assert that features are equal, numbers to within a share of themselves."""
    assert_frame_equal(expected, served, check_exact=not rounding, rel_tol=rounding, abs_tol=0.0)


def test_training_serving_parity_on_a_thousand_rows(trained: Trained, loaded: Release) -> None:
    rows = SAMPLE.sample(min(ROWS, SAMPLE.height), seed=3)

    compare(trained, loaded, rows)


def test_training_serving_parity_of_a_row_alone_and_among_others(
    trained: Trained, loaded: Release
) -> None:
    rows = SAMPLE.sample(min(30, SAMPLE.height), seed=4)
    features, together = loaded.score(rows)

    alone = [loaded.score(rows[location : location + 1]) for location in range(rows.height)]

    assert_same(features, pl.concat([each[0] for each in alone]), ROUNDING)
    tolerance = loaded.manifest["parity"]["tolerance"]
    np.testing.assert_allclose(
        together, np.concatenate([each[1] for each in alone]), atol=tolerance, rtol=tolerance
    )


def values_of(name: str, column: pa.Column) -> draw.SearchStrategy[Any]:
    """Draw from all that the schema allows in a column; what it does not bound, near the sample."""
    rules = {check.name: check.statistics or {} for check in column.checks}
    if "isin" in rules:
        values = draw.sampled_from(sorted(rules["isin"]["allowed_values"]))
    elif column.dtype.type == pl.String:
        values = _texts(name, rules)
    elif column.dtype.type == pl.Boolean:
        values = draw.booleans()
    elif column.dtype.type.is_temporal():
        values = _moments(column.dtype.type)
    else:
        values = _numbers(name, column.dtype.type, rules)
    return draw.none() | values if column.nullable else values


def _texts(name: str, rules: dict[str, Any]) -> draw.SearchStrategy[str]:
    known = draw.sampled_from(SAMPLE[name].drop_nulls().unique().sort().to_list())
    patterns = [result["pattern"] for result in rules.values() if "pattern" in result]
    return known | (draw.from_regex(patterns[0]) if patterns else draw.text(max_size=20))


def _moments(dtype: pl.DataType) -> draw.SearchStrategy[Any]:
    if dtype == pl.Date:
        return draw.dates(date(1700, 1, 1), date(2200, 1, 1))
    moments = draw.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
    zone = getattr(dtype, "time_zone", None)
    return moments.map(lambda moment: moment.replace(tzinfo=ZoneInfo(zone))) if zone else moments


def _numbers(
    name: str, dtype: pl.DataType, rules: dict[str, Any]
) -> draw.SearchStrategy[int | float]:
    observed = SAMPLE[name].drop_nulls().cast(pl.Float64)
    low, high = float(observed.min()), float(observed.max())  # type: ignore[arg-type]
    low, high = 2 * low - high, 2 * high - low
    if dtype.is_integer():
        kind = np.iinfo(str(dtype).lower())
        low, high = max(low, kind.min), min(high, kind.max)
    low = next((result["min_value"] for result in rules.values() if "min_value" in result), low)
    high = next((result["max_value"] for result in rules.values() if "max_value" in result), high)
    if dtype.is_integer():
        return draw.integers(int(low), int(high))
    return draw.floats(low, high, allow_subnormal=False)


ROW = draw.fixed_dictionaries(
    {name: values_of(name, column) for name, column in SCHEMA.columns.items()}
)
TYPES = {name: column.dtype.type for name, column in SCHEMA.columns.items()}


@settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(drawn=draw.lists(ROW, min_size=1, max_size=10))
def test_training_serving_parity_over_all_that_row_allows(
    trained: Trained, loaded: Release, drawn: list[dict[str, Any]]
) -> None:
    rows = pl.DataFrame(drawn, schema=TYPES)
    _, problems = inspect(rows, SCHEMA, "drawn")
    bad = {row - 1 for problem in problems for row in problem.rows}
    rows = rows[[location for location in range(rows.height) if location not in bad]]
    if not rows.height:
        reject()

    compare(trained, loaded, rows)


def test_the_rows_that_are_drawn_are_rows_of_the_contract() -> None:
    """Otherwise the test above would pass because it compares nothing."""
    accepted: list[int] = []

    @settings(max_examples=50, deadline=None, database=None, derandomize=True)
    @given(row=ROW)
    def look(row: dict[str, Any]) -> None:
        problems = inspect(pl.DataFrame([row], schema=TYPES), SCHEMA, "drawn")[1]
        accepted.append(not problems)

    look()

    assert np.mean(accepted) > 0.5
