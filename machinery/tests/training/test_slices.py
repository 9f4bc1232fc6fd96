"""Rows are sliced by the columns of params.toml, and by month where rows have a time."""

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.training import judged_rows

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
