"""A window says which rows a model learns from, and with what weight."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from machinery.tests.in_project import stage
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.project.parameters import checked
from rung_ops.project.paths import params
from rung_ops.quantiles import PerQuantile
from rung_ops.training import refit, window
from rung_ops.training.window import MONTH, Window, fit_arguments

START = datetime(2025, 1, 1)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """A row a day of a year, and dataset.py with their TIME."""
    for name, value in (("TIME", "day"), ("HORIZON", None), ("ORIGIN", None)):
        monkeypatch.setattr(contract, name, value, raising=False)
    return pl.DataFrame({"day": [START + timedelta(days=day) for day in range(365)]})


@pytest.mark.parametrize("text", ["all", "1 month", "6 months", "half-life 1.5 months"])
def test_a_window_is_read_as_it_is_written(text: str) -> None:
    assert str(Window.parse(text)) == text


@pytest.mark.parametrize("text", ["", "six months", "0 months", "-1 months", 6, "half-life"])
def test_another_window_is_refused_with_those_that_there_are(text: object) -> None:
    with pytest.raises(StageError, match='`"half-life N months"`'):
        Window.parse(text)


def test_months_are_counted_back_from_the_end_of_the_window(rows: pl.DataFrame) -> None:
    until = START + 6 * MONTH

    kept = Window(3).select(rows, until)["day"]

    assert (kept < until).all() and (kept >= until - 3 * MONTH).all()
    assert kept.len() == 91
    assert Window(3).select(rows)["day"].max() == rows["day"].max()
    assert Window().select(rows, until)["day"].len() == 183
    assert Window(3, half_life=True).select(rows).equals(rows)


def test_a_half_life_halves_the_weight(rows: pl.DataFrame) -> None:
    weights = Window(3, half_life=True).weights(rows)

    ages = (rows["day"].max() - rows["day"]) / (3 * MONTH)  # type: ignore[operator]
    assert weights is not None
    assert np.allclose(weights, 0.5 ** ages.to_numpy())
    assert weights[-1] == 1
    assert Window(3).weights(rows) is None


@pytest.mark.parametrize("kind", [pl.Date, pl.Datetime("ms"), pl.Datetime("us", "Europe/Berlin")])
def test_a_time_may_be_of_any_kind(rows: pl.DataFrame, kind: pl.DataType) -> None:
    moment: date = date(2025, 7, 1)
    if isinstance(kind, pl.Datetime):
        zone = UTC if kind.time_zone else None
        moment = datetime(2025, 7, 1, tzinfo=zone)

    kept = Window(1).select(rows.with_columns(pl.col("day").cast(kind)), moment)

    assert 29 <= kept.height <= 31
    assert kept["day"][-1] < moment


def test_a_forecast_is_as_old_as_its_outcome(
    rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "HORIZON", timedelta(days=60), raising=False)

    kept = Window(1).select(rows, START + timedelta(days=100))["day"]

    assert kept.max() == START + timedelta(days=99)


def test_without_a_time_only_all_rows_are_a_window(
    rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "TIME", None, raising=False)

    assert Window().select(rows).equals(rows) and Window().weights(rows) is None
    for each in (Window(3), Window(3, half_life=True)):
        with pytest.raises(StageError, match='write `window = "all"`'):
            each.weights(each.select(rows))


def test_the_last_step_of_a_pipeline_gets_the_weights() -> None:
    features, truth, weights = np.ones((2, 1)), np.array([0.0, 1.0]), np.array([1.0, 3.0])
    inner = make_pipeline(StandardScaler(), LinearRegression())
    for model in (
        LinearRegression(),
        inner,
        make_pipeline(StandardScaler(), inner),
        PerQuantile(DummyRegressor(strategy="quantile"), (0.5, 0.5, 0.5)),
    ):
        fitted = model.fit(features, truth, **fit_arguments(model, weights))

        assert fitted.predict(features)[0] == pytest.approx(
            1 if isinstance(model, PerQuantile) else 0.75
        )
        assert fit_arguments(model, None) == {}


def test_a_model_that_takes_no_weights_is_named() -> None:
    model = make_pipeline(StandardScaler(), KNeighborsRegressor())

    with pytest.raises(StageError, match=r"KNeighborsRegressor takes no .* `\"N months\"`"):
        fit_arguments(model, np.ones(2))


def with_split(monkeypatch: pytest.MonkeyPatch, **split: Any) -> ModuleType:
    """Put names into [split] of params.toml; return the stage that splits by them."""
    settings, splitting = params() | {"split": {"test_share": 0.25} | split}, stage("split")
    monkeypatch.setattr(splitting, "params", lambda: settings)
    monkeypatch.setattr(window, "parameters", lambda: checked(settings))
    return splitting


def test_the_split_leaves_out_what_is_too_old_and_judges_by_as_few_rows_as_it_may(
    rows: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = moved(monkeypatch, **{name: tmp_path / name for name in ("rows", "train", "test")})
    rows.write_parquet(here.rows)
    with_split(monkeypatch, test_rows=30, begins="2025-02-01", window="3 months").main()

    train, test = (pl.read_parquet(path)["day"] for path in (here.train, here.test))
    assert test.to_list() == rows["day"][-30:].to_list()
    assert train.max() < test.min() <= train.min() + 3 * MONTH  # type: ignore[operator]
    assert train.len() == 91
    output = capsys.readouterr().out
    assert "31 rows before begins = 2025-02-01 left out" in output
    assert "213 rows outside of the window of 3 months left out" in output

    with_split(monkeypatch, begins=date(2025, 10, 1), window="3 months").main()

    assert pl.read_parquet(here.train)["day"].min() == datetime(2025, 10, 1)


def test_a_sample_teaches_that_has_the_share_of_each_class_and_month(
    rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = pa.DataFrameSchema({"rare": pa.Column(bool)})
    monkeypatch.setattr(contract, "Row", SimpleNamespace(to_schema=lambda: row), raising=False)
    for name, value in (("TARGET", "rare"), ("QUANTILES", ())):
        monkeypatch.setattr(contract, name, value, raising=False)
    with_split(monkeypatch, train_rows=73)
    classes = rows.with_columns(rare=pl.col("day").dt.day() % 10 == 0)  # 36 days

    taught = window.in_window(classes, rows.head(0))

    assert taught.height == 73
    assert 6 <= taught["rare"].sum() <= 8
    assert taught["day"].is_sorted()
    months = taught["day"].dt.month().value_counts()["count"]
    assert months.len() == 12 and months.is_between(5, 8).all()
    assert "292 rows above train_rows = 73 left out" in capsys.readouterr().out
    assert window.sampled(classes, None).equals(classes)
    said = refit.sentence(refit.used_rows(taught, rows), Path())
    assert "2025-01 to 2025-12 (73 rows, a sample)" in said


def test_a_sample_of_a_day_teaches_of_all_that_have_a_row_a_day(
    rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window.estimator, "is_classification", lambda _: False)
    panel = rows.join(pl.DataFrame({"shop": range(10)}), how="cross", maintain_order="left")

    taught = window.sampled(panel, rows.height)

    assert taught["shop"].value_counts()["count"].is_between(20, 55).all()
    assert taught["shop"].n_unique() == 10
    assert taught.equals(window.sampled(panel, rows.height))


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        ({"begins": "2025-04-01"}, "has no TIME"),
        ({"window": "6 months"}, "has no TIME"),
        ({"begins": "spring"}, "begins is 'spring': write a day"),
        ({"begins": 2025}, "begins is 2025: write a day"),
        ({"window": "a while"}, "A window is"),
    ],
)
def test_a_wrong_setting_is_named(
    rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, split: dict[str, Any], sentence: str
) -> None:
    with_split(monkeypatch, **split)
    if sentence == "has no TIME":
        monkeypatch.setattr(contract, "TIME", None, raising=False)

    with pytest.raises(StageError, match=sentence):
        window.settings()
