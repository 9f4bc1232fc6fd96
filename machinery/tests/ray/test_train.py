"""What several workers cannot fit is refused before Ray starts; each row is in the share of a worker."""

from pathlib import Path

import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal

from machinery.tests.conftest import Trained
from machinery.tests.projects import moved

pytest.importorskip("ray", reason="needs Ray: the extra `ray` of rung-ops")

import pyarrow.parquet as pq
from lightgbm import LGBMClassifier, LGBMRegressor
from pyarrow import fs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rung_ops import contract
from rung_ops.data import blocks
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.ray import train, train_lightgbm
from rung_ops.ray.settings import Settings
from rung_ops.stages import features, fit_on_ray, read_parts, truth
from rung_ops.training.window import Parts

BLOCKS = 10


@pytest.fixture
def parts(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Training rows of several blocks, with features that are numbers."""
    here = moved(monkeypatch, train=tmp_path / "train.parquet")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(
        contract, "FEATURES", [(cs.numeric() | cs.boolean()) - cs.by_name(contract.TARGET)]
    )
    trained.train.write_parquet(here.train, row_group_size=100)
    monkeypatch.setattr(blocks, "BYTES", int(trained.train.estimated_size()) // BLOCKS)
    return read_parts(here.train)


@pytest.mark.parametrize(
    ("model", "workers", "message"),
    [
        (make_pipeline(StandardScaler(), LGBMRegressor()), 2, "Pipeline cannot be fitted on Ray"),
        (LGBMRegressor(num_trees=5), 2, "write `n_estimators` in place of num_trees"),
        (LGBMRegressor(boosting_type="dart"), 2, "boosting dart: only gbdt continues"),
        (LGBMClassifier(), 10**6, "too few rows for 1000000 workers"),
    ],
)
def test_what_cannot_be_fitted_on_ray_is_refused_before_it_starts(
    model: object, workers: int, message: str, parts: Parts
) -> None:
    with pytest.raises(StageError, match=message):
        fit_on_ray(model, parts, workers)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"booster": "dart"}, "with its `booster`"),
        ({"callbacks": [1]}, "with its `callbacks`"),
        ({"device": "cuda"}, "with its `device`"),
        ({"early_stopping_rounds": 3}, "with its `early_stopping_rounds`"),
    ],
)
def test_what_xgboost_cannot_fit_on_ray_is_refused(
    settings: dict[str, object], message: str, parts: Parts
) -> None:
    xgboost = pytest.importorskip("xgboost", reason="an ejected project does not install it")

    with pytest.raises(StageError, match=f"XGBRegressor cannot be fitted on Ray {message}"):
        fit_on_ray(xgboost.XGBRegressor(**settings), parts, 2)


@pytest.mark.parametrize("type_", [pl.String, pl.Categorical])
def test_a_feature_that_is_no_number_is_refused(
    type_: pl.DataType, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = pl.first().cast(pl.String).cast(type_).alias("kind")
    monkeypatch.setattr(contract, "FEATURES", [kind])

    with pytest.raises(StageError, match="feature `kind` is of type .*learn from numbers"):
        fit_on_ray(LGBMRegressor(), read_parts(current().train), 2)


def test_a_worker_without_rows_of_a_class_is_refused(parts: Parts) -> None:
    outcomes = truth(parts.rows) * 0
    outcomes[0] = 1  # all of them in the share of the first worker

    with pytest.raises(StageError, match="each needs rows of every class"):
        train_lightgbm.settings_of(LGBMClassifier(), outcomes, 2)


@pytest.mark.parametrize("storage", ["", "relative/folder", "nothing://bucket"])
def test_a_cluster_needs_a_folder_that_its_machines_reach(
    storage: str, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "settings", lambda: Settings(address="127.0.0.1:1", storage=storage))

    with pytest.raises(StageError, match="`storage` in ops/ray.toml"):
        fit_on_ray(LGBMRegressor(), parts, 2)


@pytest.mark.parametrize("workers", [2, 3])
def test_shares_hold_each_row_once_with_its_outcome_and_weight(
    workers: int, parts: Parts, trained: Trained, tmp_path: Path
) -> None:
    outcomes, weights = truth(parts.rows), pl.int_range(len(parts), eager=True).to_numpy() / 7

    train._write(parts, outcomes, weights, workers, fs.LocalFileSystem(), str(tmp_path / "shares"))

    expected = features(trained.train).with_columns(
        pl.Series(train.OUTCOME, outcomes), pl.Series(train.WEIGHT, weights)
    )
    for number in range(workers):
        files = sorted((tmp_path / f"shares/rows/{number}").iterdir())
        assert len(files) >= BLOCKS
        share = pl.concat([pl.DataFrame(pq.read_table(file)) for file in files])
        assert_frame_equal(share, expected[number::workers])
