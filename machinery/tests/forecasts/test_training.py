"""Features and baselines of a forecast know what was known; the report and the gate use both."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Capture, Patch, Trained
from machinery.tests.forecasts.conftest import DAY, HOUR, Declare, demand, mean_of_six_hours
from machinery.tests.projects import moved
from machinery.tests.small_project import SmallProject
from rung_ops import contract
from rung_ops.checks import promises
from rung_ops.contract import forecast
from rung_ops.errors import StageError
from rung_ops.features import point_in_time
from rung_ops.gate import registry_gate as gate_report
from rung_ops.gate.verdict import Verdict
from rung_ops.model.target import inside
from rung_ops.release import contract_file
from rung_ops.serving import entity_lookup
from rung_ops.statistics import jackknife
from rung_ops.training import baseline, estimator, evaluate, judged_rows, plots

BOTH = pytest.mark.parametrize("small", ["HORIZON", "ORIGIN"], indirect=True)


def known(row: dict[str, Any], rows: pl.DataFrame) -> list[tuple[Any, float]]:
    """List hours and values of the row's station that were over when it was predicted."""
    made = row.get("made", row["hour"] - DAY)
    own = rows.filter((pl.col("station") == row["station"]) & (pl.col("hour") < made))
    return sorted(set(own.select("hour", "bikes").iter_rows()))


def some(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return rows.sample(60, seed=1).to_dicts()


@BOTH
def test_naive_forecasts_are_the_values_that_were_known(small: SmallProject) -> None:
    rows = small.draw(480)
    rows = rows.filter(pl.col("hour").dt.day() != 4)  # a gap
    chosen = some(rows)

    last = baseline.last_value(pl.DataFrame(chosen), rows)
    seasonal = baseline.seasonal(pl.DataFrame(chosen), rows)

    for row, value, of_season in zip(chosen, last, seasonal, strict=True):
        before = known(row, rows)
        expected = before[-1][1] if before else np.nan
        days = (row["hour"] - row.get("made", row["hour"] - DAY)) // DAY + 1
        then = dict(before).get(row["hour"] - days * DAY, np.nan)
        assert value == pytest.approx(expected, nan_ok=True)
        assert of_season == pytest.approx(then, nan_ok=True)
    assert np.isfinite(last).sum() > np.isfinite(seasonal).sum() > 30


@BOTH
def test_an_entity_feature_sees_what_was_known_when_the_forecast_was_made(
    small: SmallProject,
) -> None:
    rows = small.draw(480)
    events = rows.unique(["hour", "station"])
    chosen = some(rows)

    joined = point_in_time.join(pl.DataFrame(chosen), [mean_of_six_hours(events)])

    for row, value in zip(chosen, joined["bikes_6h"], strict=True):
        made = row.get("made", row["hour"] - DAY)
        window = [each for hour, each in known(row, rows) if hour >= made - 6 * HOUR]
        expected = np.mean(window) if window else None
        assert value == (expected if expected is None else pytest.approx(expected))


@BOTH
def test_a_feature_that_knows_more_than_the_forecast_is_refused(
    small: SmallProject, checked: Path, declare: Declare, monkeypatch: Patch
) -> None:
    events = demand(480)
    for declared in ({}, {"lead": 48 * HOUR}):
        monkeypatch.setattr(
            contract.features, "ENTITY_FEATURES", [mean_of_six_hours(events, **declared)], False
        )
        promises.entity_features_know_no_more_than_the_forecast()

    leak = mean_of_six_hours(events, at="hour", lead=HOUR)
    monkeypatch.setattr(contract.features, "ENTITY_FEATURES", [leak])

    with pytest.raises(StageError, match="`bikes_6h` sees events after the forecast is made, in"):
        promises.entity_features_know_no_more_than_the_forecast()


def test_quantiles_around_a_naive_forecast_hold_what_they_say(declare: Declare) -> None:
    declare(QUANTILES=(0.1, 0.5, 0.9))
    rows = demand(2_880).sort("hour")
    train, test = rows[:1_920], rows[1_968:]

    predicted = baseline.forecasts(train, test, rows)["seasonal_naive"]

    assert np.array_equal(predicted[:, 1], baseline.seasonal(test, rows))
    assert 0.7 < inside(test["bikes"].to_numpy(), predicted).mean() < 0.9


@pytest.fixture
def written(trained: Trained, small: SmallProject, reports: Path, monkeypatch: Patch) -> np.ndarray:
    """Predictions of the test rows, where the files of the stages before are there."""
    here = moved(monkeypatch, train=reports / "train.parquet", rows=reports / "rows.parquet")
    trained.train.write_parquet(here.train)
    small.draw(small.rows).write_parquet(here.rows)
    return estimator.predict(trained.estimator, trained.test)


@BOTH
def test_the_model_is_compared_with_the_best_baseline(
    trained: Trained, written: np.ndarray, reports: Path, capsys: Capture
) -> None:
    figures = contract.score(trained.test["bikes"].to_numpy(), written)

    evaluate.write_report(trained.estimator, trained.test, written, figures)
    baseline.main()

    metrics = json.loads((reports / "metrics.json").read_text())
    result = json.loads((reports / "comparison.json").read_text())
    assert set(result["baselines"]) == {"constant", "last_value", "seasonal_naive"}
    assert result["best_baseline"] == "seasonal_naive"
    assert (
        result["baseline"] == min(result["baselines"].values()) == metrics["mae_of_seasonal_naive"]
    )
    assert result["better"]
    printed = capsys.readouterr().out
    assert ", a constant " in printed and ", the seasonal naive " in printed
    assert result["forecast"] in (reports / "report.html").read_text().replace("&#39;", "'")


@pytest.mark.parametrize("small", ["ORIGIN"], indirect=True)
def test_error_and_coverage_are_shown_by_horizon(
    trained: Trained, written: np.ndarray, reports: Path
) -> None:
    evaluate.write_report(trained.estimator, trained.test, written, {})
    interval = np.column_stack([written - 3, written, written + 3])
    held = plots.interval_coverage(trained.test["bikes"].to_numpy(), interval, trained.test)

    table = pl.read_csv(reports / "plots/by_horizon.csv")
    assert table["value"].to_list() == ["up to 6 h", "up to 12 h", "up to 24 h", "up to 48 h"]
    shown = held.filter(pl.col("slice").str.starts_with("horizon"))
    assert shown["slice"].to_list() == [f"horizon {each}" for each in table["value"]]


@BOTH
def test_blocks_follow_each_other_and_are_as_long_as_a_horizon(trained: Trained) -> None:
    made = forecast.made_at(trained.test)
    rows = trained.test.filter(made < pl.lit(made).min() + 15 * DAY)  # a twentieth is shorter

    group = jackknife.groups_in_time(rows, 1, 50, jackknife.FEW_BLOCKS)

    of_block = pl.DataFrame({"made": forecast.made_at(rows), "block": group}).group_by("block")
    starts, ends = of_block.min().sort("block")["made"], of_block.max().sort("block")["made"]
    assert len(starts) > jackknife.FEW_BLOCKS
    assert (starts.diff().drop_nulls() >= forecast.horizons(rows).max()).all()
    assert (starts[1:] > ends[:-1]).all()


def test_the_gate_asks_for_more_than_the_best_baseline(
    trained: Trained, written: np.ndarray, judged: Callable[..., Verdict]
) -> None:
    naive_one = baseline.best(trained.train, trained.test).predictions

    passed, refused = (judged(predicted, predicted) for predicted in (written, naive_one))

    assert passed.reasons == []
    assert passed.figures["baseline"]["name"] == "seasonal_naive"
    assert any(line.startswith("the seasonal naive") for line in gate_report.table(passed))
    assert refused.reasons[0].startswith("not shown to be better than the seasonal naive: mae")


@pytest.mark.usefixtures("written")
def test_too_few_horizons_are_not_judged(trained: Trained, judged: Callable[..., Verdict]) -> None:
    rows = trained.test.sort("hour")[:300]

    (reason,) = judged(np.zeros(rows.height), np.zeros(rows.height), rows).reasons

    assert reason == (
        "the 300 rows make 6 blocks of time as long as the horizon (1 day); 10 are needed"
    )


def test_blocks_see_the_spread_that_a_random_deal_does_not(trained: Trained) -> None:
    def spreads(seed: int) -> Sequence[float]:
        rows = demand(2_880, seed).filter(pl.col("station") == "north")
        error, draw = np.zeros(rows.height), np.random.default_rng(seed)
        for hour in range(1, rows.height):
            error[hour] = 0.96 * error[hour - 1] + draw.normal()
        deals = jackknife.groups_in_time(rows, 1, 50), jackknife.dealt(rows.height, 1)
        errors = (
            jackknife.standard_error(lambda of: float(error[of].mean()), each) for each in deals
        )
        return (float(error.mean()), *errors)

    means, blocks, dealt = np.array([spreads(seed) for seed in range(30)]).T

    assert 0.6 < blocks.mean() / means.std() < 1.4
    assert dealt.mean() < 0.3 * means.std()


@BOTH
def test_a_release_says_that_it_forecasts(trained: Trained, small: SmallProject) -> None:
    features = estimator.features(trained.test)

    described = contract_file.contract(contract.dataset, features, trained.test, "regression", None)

    made = "made 1 day before `hour`" if contract.HORIZON else "made at `made` for `hour`"
    assert described["forecast"] == made


@BOTH
def test_a_release_says_which_time_its_rows_need_entity_features_of(
    trained: Trained, small: SmallProject, declare: Declare
) -> None:
    declared = [mean_of_six_hours(demand(480), zone="Europe/Berlin")]
    rows = point_in_time.join(trained.test, declared)
    features = estimator.features(rows)

    def view() -> Any:
        (made,) = contract_file.contract(
            *(contract.dataset, features, rows, "regression", None, declared)
        )["entity_features"]
        return made

    at, lead = ("hour", 86_400.0) if contract.HORIZON else ("made", 0.0)
    (feature,) = view()["features"]
    assert (feature["at"], feature["lead_seconds"]) == (at, lead)
    (time,) = entity_lookup.times_of(view())
    assert time is not None and time.older == time.newer == 2 * 3_600_000_000

    # In winter, Berlin's clock is an hour ahead of UTC.
    made_at = forecast.made_at(rows[:1])[0]
    as_of = int((made_at.replace(tzinfo=UTC) - HOUR).timestamp() * 1e6)
    assert not time.differs(rows[:1], as_of).any()
    assert time.stored(rows[:1], as_of) == time.needed(rows[:1])[0]

    declare(HORIZON=None, ORIGIN=None)
    assert entity_lookup.times_of(view()) == [None]


def test_slices_have_no_horizon_where_all_rows_have_the_same(trained: Trained) -> None:
    assert judged_rows.slice_columns(trained.test).columns == ["station", "month"]
