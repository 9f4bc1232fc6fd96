"""How often a default is expected, and how often one was used."""

from types import SimpleNamespace

import pandera.polars as pa
import polars as pl
import pytest

from rung_ops.monitoring import inputs
from rung_ops.release import contract_file


class Row(pa.DataFrameModel):
    """A house; its feature `energy` has no gaps, as it fills them."""

    energy: str = pa.Field(nullable=True)
    rooms: int = pa.Field()
    price: float = pa.Field()


def test_what_was_missing_in_training_is_expected_also_where_a_feature_fills_it() -> None:
    rows = pl.DataFrame({"energy": ["A", None, "B", None], "rooms": 3, "price": 1.0})
    features = rows.select(pl.col("energy").fill_null("unknown"), "rooms")
    dataset = SimpleNamespace(Row=Row, TARGET="price", TIME=None)
    columns = contract_file.contract(dataset, features, rows, "regression", None)["columns"]  # type: ignore[arg-type]
    log = pl.DataFrame({"defaults_used": [["energy"], [], ["energy"], []]})

    (row,) = inputs.defaulted(log, columns, features).iter_rows(named=True)

    assert row["column"] == "energy"
    assert (row["share"], row["expected"]) == (0.5, 0.5)
    assert row["p_value"] == pytest.approx(1)
