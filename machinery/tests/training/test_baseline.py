"""A model is better than a constant only where the whole interval of its gain says so."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.training import baseline, slice_scores


@pytest.fixture(autouse=True)
def scored_by_share(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"score": {"metric": "hits", "higher_is_better": True}, "seed": 3}
    monkeypatch.setattr(baseline, "params", lambda: settings)
    monkeypatch.setattr(
        contract,
        "score",
        lambda truth, predicted: {"hits": float(np.mean((predicted > 0.5) == truth))},
    )


def outcomes(rows: int) -> np.ndarray:
    return (np.random.default_rng(0).random(rows) < 0.25).astype(int)


def test_the_interval_is_that_of_the_binomial_distribution() -> None:
    actual = outcomes(8_000)

    comparison = baseline.compare(actual, actual.astype(float), np.zeros(len(actual)))

    share = actual.mean()
    assert comparison["gain"] == pytest.approx(share)
    half = 1.96 * np.sqrt(share * (1 - share) / len(actual))
    # Twenty groups tell the standard error to within a sixth; one in a hundred is off by half.
    assert comparison["gain_low"] == pytest.approx(share - half, abs=half / 2)
    assert comparison["gain_high"] == pytest.approx(share + half, abs=half / 2)
    assert comparison["better"] is True


def test_a_gain_that_may_be_chance_is_not_better() -> None:
    actual = outcomes(400)
    guessed = (np.arange(400) == np.flatnonzero(actual)[0]).astype(float)

    comparison = baseline.compare(actual, guessed, np.zeros(400))

    assert comparison["gain"] > 0 > comparison["gain_low"]
    assert comparison["better"] is False


@pytest.mark.parametrize(
    ("rows", "written_too", "sentence"),
    [
        (30, set(), "30 rows are too few for an interval"),
        (
            300,
            {"gain_low", "gain_high"},
            "no interval: it is the same, whichever rows are left out",
        ),
    ],
)
def test_without_an_interval_a_sentence_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: int,
    written_too: set[str],
    sentence: str,
) -> None:
    actual = outcomes(rows)
    here = moved(
        monkeypatch,
        reports=tmp_path,
        predictions=tmp_path / "predictions.parquet",
        train=tmp_path / "train.parquet",
    )
    for file in (here.predictions, here.train):
        pl.DataFrame({"predicted": actual.astype(float)}).write_parquet(file)
    simple = np.zeros(rows) if rows < 40 else actual.astype(float)  # as good as the model
    monkeypatch.setattr(baseline, "baseline", lambda train, rows: simple)
    monkeypatch.setattr(baseline.estimator, "truth", lambda rows: actual)

    assert baseline.main() == 0

    written = json.loads((tmp_path / "comparison.json").read_text())
    assert set(written) == {"model", "baseline", "gain", "better"} | written_too
    assert written["better"] is False
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "rows"),
    [
        (baseline, "predictions"),
        (baseline, "train"),
        (slice_scores, "predictions"),
    ],
)
def test_what_no_stage_has_written_yet_is_named(
    verb: ModuleType, rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model_file", "predictions", "train"):
        file = tmp_path / f"{name}.parquet"
        if name != rows:
            pl.DataFrame({"predicted": [0.5]}).write_parquet(file)
        moved(monkeypatch, **{name: file})

    with pytest.raises(StageError, match=f"{rows}.parquet is missing: `uv run poe train` and"):
        verb.main()


@pytest.mark.parametrize(
    ("figure", "higher", "expected"),
    [("mae", False, 1.5), ("mse", False, 26.5), ("r2", True, 26.5), ("other", False, 26.5)],
)
def test_the_constant_of_a_number_is_the_one_that_the_metric_asks_for(
    monkeypatch: pytest.MonkeyPatch, figure: str, higher: bool, expected: float
) -> None:
    """Few large values lift the mean far above what errors are smallest around: the median."""
    settings = {"score": {"metric": figure, "higher_is_better": higher}}

    def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        errors = predicted - truth
        mse = float(np.mean(errors**2))
        return {"mae": float(np.mean(np.abs(errors))), "mse": mse, "r2": 1 - mse / truth.var()}

    monkeypatch.setattr(baseline, "params", lambda: settings)
    monkeypatch.setattr(contract, "score", score)

    assert baseline.constant(np.array([1.0, 1.0, 2.0, 102.0])) == expected
