"""A model that reads its rows in parts is the one that is fitted to all of them in memory."""

import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal

from machinery.tests.conftest import Trained
from machinery.tests.in_project import fit
from machinery.tests.training.conftest import BLOCKS
from rung_ops.errors import StageError
from rung_ops.project.parameters import checked
from rung_ops.project.paths import params
from rung_ops.stages import features, read_parts, truth
from rung_ops.training import baseline, estimator, refit, window

FIT_PARTS = """
import polars as pl
from rung_ops.stages import contract, params, truth

def fit_parts(parts):
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    rows = pl.concat([parts[at : at + 100] for at in range(0, len(parts), 100)])
    return model.fit(rows, truth(parts.rows))
"""


class Rows(lightgbm.Sequence):
    batch_size = 70  # begins and ends within blocks

    def __init__(self, columns: Any) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, slice):
            return numbers(self.columns[index])
        return numbers(self.columns[int(index) : int(index) + 1])[0]


def numbers(columns: pl.DataFrame) -> np.ndarray:
    return columns.select(cs.numeric() | cs.boolean()).to_numpy()


def trees(rows: Any, outcomes: np.ndarray) -> str:
    settings = {"deterministic": True, "force_col_wise": True, "num_threads": 1, "verbosity": -1}
    data = lightgbm.Dataset(rows, outcomes, params=settings)
    return lightgbm.train(settings, data, 10).model_to_string()


def test_lightgbm_makes_the_same_trees_of_parts_and_computes_one_block_at_a_time(
    trained: Trained, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heights: list[int] = []
    monkeypatch.setattr(
        window, "features", lambda rows: heights.append(rows.height) or features(rows)
    )

    read = read_parts(stored)
    in_parts = trees(Rows(read), truth(read.rows))

    assert in_parts == trees(numbers(features(trained.train)), truth(trained.train))
    assert max(heights) <= trained.train.height // BLOCKS + 1
    assert sum(heights) <= 2 * trained.train.height + max(heights)  # bins, then rows


@pytest.mark.parametrize(
    "chosen", [slice(0, 1), slice(0, 0), slice(250, 900), slice(None), slice(-5, None), slice(9**9)]
)
def test_a_slice_of_parts_is_that_of_a_frame(trained: Trained, stored: Path, chosen: slice) -> None:
    read = read_parts(stored)

    assert_frame_equal(features(trained.train)[chosen], read[chosen])
    assert len(read) == trained.train.height


def test_a_score_that_does_not_fit_is_refused_before_parts_are_read(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = params() | {"score": {"metric": "gini", "higher_is_better": True}}
    monkeypatch.setattr(baseline, "params", lambda: wrong)

    with pytest.raises(StageError, match="metric is `gini`"):
        read_parts(stored)


def test_what_is_released_is_fitted_again_in_parts(
    trained: Trained, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = stored.with_name("train.py")
    script.write_text(FIT_PARTS)
    monkeypatch.setattr(refit, "shared", lambda _: script)
    settings = params() | {"split": {"test_share": 0.25, "refit": True}}
    monkeypatch.setattr(window, "parameters", lambda: checked(settings))

    assert refit.main() == 0

    again = estimator.load(stored.parent / "refit/model.skops")
    expected = fit(pl.concat([trained.train, trained.test]))
    assert np.array_equal(
        estimator.predict(expected, trained.test), estimator.predict(again, trained.test)
    )
    assert {path.name for path in (stored.parent / "refit").iterdir()} == {
        "model.skops",
        refit.JUDGED,
    }
    used = json.loads((stored.parent / refit.ROWS).read_text())
    assert used["refitted"]["rows"] == trained.train.height + trained.test.height
