"""Drawn rows keep the contract and the data's distributions, and belong to no person."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.serving.calls import MOMENT, PLAIN
from rung_ops.contract import synthetic

SOME = 2_000
START = datetime(2026, 1, 1)
COLUMNS: list[dict[str, Any]] = [
    PLAIN | {"name": "case", "dtype": "str", "polars": "String", "pattern": "^[A-Z][0-9]{5}$"},
    PLAIN | {"name": "age", "dtype": "int", "polars": "Int16", "ge": 18, "le": 75},
    PLAIN | {"name": "amount", "dtype": "float", "polars": "Float64", "ge": 0},
    PLAIN | {"name": "kind", "dtype": "str", "polars": "String", "isin": ["a", "b", "rare"]},
    PLAIN | {"name": "town", "dtype": "str", "polars": "String"},
    PLAIN | {"name": "at", "dtype": "datetime", "polars": MOMENT},
    PLAIN | {"name": "known", "dtype": "bool", "polars": "Boolean"},
    PLAIN | {"name": "note", "dtype": "str", "polars": "String", "required": False},
]


@pytest.fixture
def known() -> pl.DataFrame:
    """Rows of people, with a number of the case, a rare kind, a town of one, and missing values."""
    generator = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "case": [f"K{number:05}" for number in range(SOME)],
            "age": pl.Series(generator.integers(18, 76, SOME), dtype=pl.Int16),
            "amount": generator.lognormal(7, 1, SOME),
            "kind": ["rare", *generator.choice(["a", "b"], SOME - 1, p=[0.9, 0.1])],
            "town": ["Nowhere of one", *generator.choice(["Here", "There"], SOME - 1)],
            "at": [START + timedelta(minutes=int(m)) for m in generator.integers(0, 10**6, SOME)],
            "known": generator.random(SOME) < 0.2,
            "note": [None if number % 4 else "said" for number in range(SOME)],
        }
    )


@pytest.fixture
def drawn(known: pl.DataFrame) -> pl.DataFrame:
    return synthetic.rows(known, COLUMNS, SOME, seed=3)


def test_they_keep_the_rules_and_types(known: pl.DataFrame, drawn: pl.DataFrame) -> None:
    assert drawn.schema == known.schema
    assert drawn.height == SOME
    assert drawn["age"].is_between(18, 75).all()
    assert drawn["case"].str.contains("^[A-Z][0-9]{5}$").all()
    assert drawn["at"].is_between(known["at"].min(), known["at"].max()).all()


def test_they_are_spread_as_the_data(known: pl.DataFrame, drawn: pl.DataFrame) -> None:
    for name in ("age", "amount"):
        then, now = (frame[name].quantile(0.5, "linear") for frame in (known, drawn))
        assert now == pytest.approx(then, rel=0.1)
    assert (drawn["kind"] == "a").mean() == pytest.approx(0.9, abs=0.03)
    assert drawn["note"].is_null().mean() == pytest.approx(0.75, abs=0.04)
    assert drawn["known"].mean() == pytest.approx(0.2, abs=0.04)


def test_what_names_one_person_is_not_taken(known: pl.DataFrame, drawn: pl.DataFrame) -> None:
    assert set(drawn["case"]).isdisjoint(known["case"])
    assert "Nowhere of one" not in drawn["town"].to_list()
    assert drawn.join(known, on=["age", "amount", "at"]).is_empty()


def test_a_text_that_is_made_up_does_not_lead_back_to_one_of_the_data() -> None:
    known = pl.DataFrame({"town": [f"{10_000 + 37 * number:05} Nowhere" for number in range(SOME)]})

    drawn = synthetic.rows(known, [COLUMNS[4]], SOME, seed=3)["town"].unique()

    shifted_back = {
        "".join(chr(ord(sign) - 1) if sign.isalnum() else sign for sign in text) for text in drawn
    }
    assert shifted_back.isdisjoint(known["town"])
    assert drawn.str.contains("^[0-9]{5} [A-Z][a-z]{6}$").all()


def test_the_same_seed_gives_the_same_rows(known: pl.DataFrame, drawn: pl.DataFrame) -> None:
    again, other = (synthetic.rows(known, COLUMNS, SOME, seed=seed) for seed in (3, 4))

    assert drawn.equals(again) and not drawn.equals(other)


def test_a_row_that_the_data_holds_is_left_out() -> None:
    columns = [column for column in COLUMNS if column["name"] in ("kind", "known")]
    known = pl.DataFrame({"kind": ["a", "a", "b"], "known": [True, False, True]})

    drawn = synthetic.rows(known, columns, 200, seed=1)

    assert drawn.unique().rows() == [("b", False)]


def test_where_every_row_is_somebodys_some_are_left() -> None:
    known = pl.DataFrame({"kind": ["a", "b"]})

    assert synthetic.rows(known, [COLUMNS[3]], 10, seed=1).height == 10


def test_a_column_that_is_empty_stays_empty(known: pl.DataFrame) -> None:
    empty = known.with_columns(note=pl.lit(None, pl.String))

    assert synthetic.rows(empty, COLUMNS, SOME, seed=1)["note"].null_count() == SOME
