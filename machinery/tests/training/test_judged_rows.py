"""Of test rows in several blocks, figures and predictions are of the same; slices are of params.toml."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.data import blocks
from rung_ops.errors import StageError
from rung_ops.model.added_columns import PREDICTED
from rung_ops.project import current
from rung_ops.training import estimator, judged_rows

Judged = tuple[pl.DataFrame, np.ndarray]


@pytest.fixture
def judged(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judged:
    """Predict the test rows in several blocks, beside the figures of an earlier evaluation."""
    moved(monkeypatch, **{name: tmp_path / name for name in ("metrics", "predictions", "test")})
    trained.test.write_parquet(current().test)
    current().metrics.write_text("{}")
    monkeypatch.setattr(blocks, "BYTES", 5_000)
    return judged_rows.predict(trained.estimator, current().test)


@pytest.mark.parametrize(
    "changed",
    [
        lambda rows, predicted: (rows, np.clip(predicted, 0.2, 0.4)),
        lambda rows, predicted: (rows.reverse(), predicted[::-1]),
        lambda rows, predicted: (rows.reverse(), predicted),
        lambda rows, predicted: (rows[1:], predicted[1:]),
    ],
)
def test_rows_and_predictions_that_are_not_the_stored_ones_are_refused(
    judged: Judged, changed: Callable[..., Judged]
) -> None:
    judged_rows.sample(*judged)

    with pytest.raises(StageError, match=r"take them from read_rows\(TEST\) and predict\(\)"):
        judged_rows.sample(*changed(*judged))


def test_a_missing_prediction_is_equal_to_itself(judged: Judged) -> None:
    rows, predicted = judged
    stored = pl.read_parquet(current().predictions)
    predicted[0] = np.nan
    stored.with_columns(predicted=predicted).write_parquet(current().predictions)

    some, _ = judged_rows.sample(rows, predicted)

    assert some.columns == [name for name in stored.columns if name != PREDICTED]


@pytest.mark.usefixtures("judged")
def test_new_predictions_stand_beside_no_figures_of_earlier_ones() -> None:
    assert current().predictions.exists() and not current().metrics.exists()


@pytest.mark.usefixtures("judged")
def test_slices_by_every_column_leave_the_rows_their_columns(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_row = list(contract.Row.to_schema().columns)
    computed = [n for n in estimator.features(trained.test).columns if n not in of_row][:1]
    settings = {"report": {"slices": of_row + computed}}
    monkeypatch.setattr(judged_rows, "params", lambda: settings)

    rows, _ = judged_rows.predict(trained.estimator, current().test)

    assert computed and rows.columns == trained.test.columns


ROWS = pl.DataFrame({"kind": ["a", None], "at": [datetime(2026, 1, 31), None]})


@pytest.mark.parametrize("names", [None, [], ["kind"], ["kind", "size"]])
@pytest.mark.parametrize("time", [None, "at"])
def test_slices_are_optional_and_may_be_features(
    monkeypatch: pytest.MonkeyPatch, names: list[str] | None, time: str | None
) -> None:
    report: dict[str, Any] = {} if names is None else {"report": {"slices": names}}
    size = pl.DataFrame({"size": [1]})
    monkeypatch.setattr(judged_rows, "params", lambda: report)
    monkeypatch.setattr(judged_rows, "features", lambda rows: pl.concat([size] * rows.height))
    monkeypatch.setattr(contract, "TIME", time, raising=False)

    columns = judged_rows.slice_columns(ROWS).to_dict(as_series=False)

    known = {
        "kind": ["a", "missing"],
        "size": ["1", "1"],
        judged_rows.MONTH: ["2026-01", "missing"],
    }
    wanted = [*(names or []), *([judged_rows.MONTH] if time else [])]
    assert columns == {name: known[name] for name in wanted}


def test_a_slice_that_is_no_column_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged_rows, "params", lambda: {"report": {"slices": ["kin"]}})
    monkeypatch.setattr(judged_rows, "features", lambda rows: pl.DataFrame({"size": [1, 1]}))

    with pytest.raises(StageError, match="slices names `kin`, which is neither"):
        judged_rows.slice_columns(ROWS)
