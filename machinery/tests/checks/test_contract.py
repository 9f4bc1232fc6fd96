"""The promises of src/ hold."""

import numpy as np
import polars as pl
import pytest

from rung_ops import contract
from rung_ops.checks.promises import broken_promises, reads_its_own_row_only
from rung_ops.data.ingest import sample_rows
from rung_ops.project.paths import params
from rung_ops.training import estimator


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return sample_rows()


def test_src_keeps_its_promises() -> None:
    assert broken_promises() == []


def test_every_feature_reads_its_own_row_only(rows: pl.DataFrame) -> None:
    assert reads_its_own_row_only(rows.sample(min(50, rows.height), seed=1))


def test_a_saved_model_answers_the_same(rows: pl.DataFrame, tmp_path) -> None:
    settings = params()
    some = rows.sample(min(2_000, rows.height), seed=1)
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    model.fit(estimator.features(some), estimator.truth(some))
    estimator.save(model, tmp_path / "model.skops")

    again = estimator.load(tmp_path / "model.skops")

    expected = estimator.predict(model, some)
    np.testing.assert_array_equal(expected, estimator.predict(again, some))
    assert np.isfinite(expected).all()


def test_the_deciding_figure_is_one_of_those_that_score_gives(rows: pl.DataFrame) -> None:
    actual = estimator.truth(rows)

    figures = contract.score(actual, np.linspace(0.1, 0.9, len(actual)))

    assert params()["score"]["metric"] in figures
