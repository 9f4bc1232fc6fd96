"""The warehouse judges rows as they are judged here, and chooses those that `split` would choose."""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest

from machinery.tests.data.warehouse.conftest import Warehouse
from machinery.tests.in_project import stage
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.contract.row_checks import Problem, inspect_labelled
from rung_ops.data.warehouse import pull
from rung_ops.data.warehouse.judged_rows import JudgedRows
from rung_ops.data.warehouse.query import Query
from rung_ops.data.warehouse.settings import WarehouseError
from rung_ops.project.parameters import checked
from rung_ops.project.paths import params
from rung_ops.training import warehouse as training
from rung_ops.training import window

QUERY = Query(Path("rows.sql"), "SELECT * FROM t", False, "")
INTEGERS = [None, -129, -128, -1, 0, 1, 2, 127, 128, 2**53 + 1, -(2**63), 2**63 - 1]
FLOATS = [None, math.nan, math.inf, -math.inf, -0.0, 0.1, 0.5, 1.0, 1.5, -1.0, 127.9, -128.5]
FLOATS += [2.0**63, -(2.0**63), 1e300, 5e-324, 2.0**31, 3.0]
TEXTS = [None, "", "a", "a\n", "\na", "B", "b", "é", "añ😀", "it's", 'q"', " a ", "a\\"]
TEXTS += ["AB12", "ab", "٣"]
NEW_YEAR = datetime(2024, 1, 1)
DAYS = [None, *(date(2024, 1, 1) + timedelta(days=n) for n in range(-2, 3)), date(1, 1, 1)]
MOMENTS = [None, *(NEW_YEAR + timedelta(microseconds=n) for n in (-1, 0, 1, 5 * 10**10))]
ZONED = [None, *(each.replace(tzinfo=UTC) for each in MOMENTS[1:])]
# Values, their type in the warehouse, their type in Row, and checks.
COLUMNS: list[tuple[list[Any], Any, Any, list[pa.Check]]] = [
    (INTEGERS, pl.Int64, pl.Int64, [pa.Check.ge(0), pa.Check.lt(128)]),
    (INTEGERS, pl.Int64, pl.Int64, [pa.Check.isin([0, 1, 2**53 + 1])]),
    (INTEGERS, pl.Int64, pl.Int64, [pa.Check.in_range(-128, 127, include_max=False)]),
    (INTEGERS, pl.Int64, pl.Int8, [pa.Check.gt(-128)]),
    (INTEGERS, pl.Int64, pl.UInt64, []),
    (INTEGERS, pl.Int64, pl.Boolean, [pa.Check.eq(True)]),
    (INTEGERS, pl.Int64, pl.Float64, [pa.Check.le(2.0)]),
    (FLOATS, pl.Float64, pl.Float64, [pa.Check.ge(0.0), pa.Check.le(1.5)]),
    (FLOATS, pl.Float64, pl.Float64, [pa.Check.isin([0.1, 1.0])]),
    (FLOATS, pl.Float64, pl.Int64, [pa.Check.ge(1)]),
    (FLOATS, pl.Float64, pl.Int8, []),
    (FLOATS, pl.Float64, pl.UInt32, []),
    (FLOATS, pl.Float64, pl.Boolean, []),
    (FLOATS, pl.Float32, pl.Float32, [pa.Check.gt(0.1), pa.Check.lt(3)]),
    (FLOATS, pl.Float32, pl.Int32, []),
    (TEXTS, pl.String, pl.String, [pa.Check.isin(["a", "it's", "b", ""])]),
    (TEXTS, pl.String, pl.String, [pa.Check.str_length(1, 2)]),
    (TEXTS, pl.String, pl.String, [pa.Check.str_matches("[a-z]+$")]),
    (TEXTS, pl.String, pl.String, [pa.Check.str_contains(r"^\w.?$"), pa.Check.str_length(3)]),
    (TEXTS, pl.String, pl.String, [pa.Check.str_matches(r"\d|a$")]),
    (TEXTS, pl.String, pl.String, [pa.Check.ge("B"), pa.Check.lt("b")]),
    (DAYS, pl.Date, pl.Date, [pa.Check.ge(date(2024, 1, 1))]),
    (DAYS, pl.Date, pl.Datetime("us"), [pa.Check.lt(NEW_YEAR)]),
    (MOMENTS, pl.Datetime("us"), pl.Datetime("us"), [pa.Check.le(NEW_YEAR), pa.Check.gt(NEW_YEAR)]),
    (MOMENTS, pl.Datetime("us"), pl.Date, [pa.Check.ge(date(2024, 1, 1))]),
    (ZONED, pl.Datetime("us", "UTC"), pl.Datetime("us", "UTC"), [pa.Check.ge(ZONED[2])]),
    ([None, True, False], pl.Boolean, pl.Boolean, [pa.Check.isin([True])]),
]
HEIGHT = 40


def promise(monkeypatch: pytest.MonkeyPatch, row: pa.DataFrameSchema, **names: Any) -> None:
    """Have dataset.py promise these columns and names."""
    names = {"TARGET": "y", "TIME": None, "HORIZON": None, "ORIGIN": None, "QUANTILES": ()} | names
    names["Row"] = SimpleNamespace(to_schema=lambda: row)
    for name, value in names.items():
        monkeypatch.setattr(contract, name, value, raising=False)


def verdicts(problems: list[Problem]) -> dict[tuple[str, str], int]:
    return {(each.column, each.what): len(each.rows) + each.more for each in problems}


@pytest.mark.parametrize("nullable", [True, False])
def test_a_warehouse_finds_the_problems_that_are_found_here(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, nullable: bool
) -> None:
    draw = np.random.default_rng(34)
    columns, series = {}, []
    for number, (values, actual, wanted, checks) in enumerate(COLUMNS):
        name = f'C "{number}"'
        columns[name] = pa.Column(wanted, checks, nullable=nullable)
        drawn = [values[n] for n in [*range(len(values)), *draw.integers(0, len(values), HEIGHT)]]
        series.append(pl.Series(name, drawn[:HEIGHT], dtype=actual))
    keys = [None, "a", "A", "b", *map(str, range(HEIGHT - 5)), "a"]
    rows = pl.DataFrame(series).with_columns(
        pl.Series("k", keys).alias("one key"),
        pl.Series([1, 1, *range(HEIGHT - 2)]).alias("n"),
        pl.Series([math.nan, math.nan, *range(HEIGHT - 2)]).alias("m"),
        pl.Series([0.0, 1.0, *[None, math.nan, 0.0] * 12, 1.0, 0.5]).alias("y"),
    )
    columns |= {"one key": pa.Column(pl.String, unique=True, nullable=True)}
    columns |= {"n": pa.Column(pl.Int64), "m": pa.Column(pl.Float64, nullable=True)}
    columns["y"] = pa.Column(pl.Float64, pa.Check.isin([0.0, 1.0]))
    row = pa.DataFrameSchema(columns, unique=["n", "m"])
    promise(monkeypatch, row)
    warehouse.fill(rows)
    typed, here, _ = inspect_labelled(rows, "here", row)

    with warehouse.source() as source:
        there, number = JudgedRows(source, QUERY, None, "there").problems()

    assert verdicts(there) == verdicts(here)
    assert number == typed.height < rows.height
    assert len(here) > (30 if nullable else 55)


START = datetime(2024, 1, 1)
SPLITS: dict[str, dict[str, Any]] = {
    "of classes": {},
    "of a number": {"target": pl.Float64},
    "with many rows of a moment": {"step": timedelta(hours=90)},
    "of days": {"dtype": pl.Date, "step": timedelta(days=1)},
    "with a zone": {"dtype": pl.Datetime("us", "Europe/Berlin"), "begins": date(2024, 1, 9)},
    "from a day on": {"begins": date(2024, 1, 12), "window": "0.5 months"},
    "of days from a day on": {"dtype": pl.Date, "begins": date(2024, 1, 12)},
    "of a horizon": {"HORIZON": timedelta(hours=30), "window": "0.4 months"},
    "of a horizon of days": {"HORIZON": timedelta(days=2), "dtype": pl.Date},
    "of an origin": {"ORIGIN": "origin"},
    "by age": {"window": "half-life 1 months"},
    "of few rows": {"train_rows": 5000},
    "of fewer than the window has": {"train_rows": 900, "window": "0.3 months"},
}


def split_by(monkeypatch: pytest.MonkeyPatch, **split: Any) -> ModuleType:
    """Put names into [split] of params.toml; return the stage that splits by them."""
    says, splitting = params() | {"split": split, "seed": 3}, stage("split")
    for module in (training, splitting):
        monkeypatch.setattr(module, "params", lambda: says)
    monkeypatch.setattr(window, "parameters", lambda: checked(says))
    return splitting


@pytest.mark.parametrize("case", SPLITS)
def test_what_teaches_and_judges_is_the_same_as_of_all_rows(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    given = dict(SPLITS[case])
    dtype, target = given.pop("dtype", pl.Datetime("us")), given.pop("target", pl.Boolean)
    step = given.pop("step", timedelta(minutes=25))
    names = {name: given.pop(name) for name in ("HORIZON", "ORIGIN") if name in given}
    split = {"test_share": 0.6, "test_rows": 300, "train_rows": 400} | given
    draw = np.random.default_rng(7)
    steps = draw.integers(0, timedelta(days=40) // step, 2500)
    moments = pl.Series([START + step * int(n) for n in steps])
    chance = pl.Series(draw.random(2500))
    rows = pl.DataFrame(
        {
            "at": moments.dt.replace_time_zone(getattr(dtype, "time_zone", None)).cast(dtype),
            "shop": pl.Series(draw.choice(["a", "B", "é", "b"], 2500)),
            "place": pl.Series(draw.integers(0, 3, 2500)),
            "taught": chance < 0.5,
            "y": pl.select(pl.when(chance > 0.02).then(chance < 0.15)).to_series().cast(target),
        }
    ).with_columns(origin=pl.col("at") - pl.duration(hours="place"))
    columns = {name: pa.Column(rows.schema[name], nullable=True) for name in rows.columns}
    promise(monkeypatch, pa.DataFrameSchema(columns), TIME="at", **names)
    here = moved(monkeypatch, **{n: tmp_path / f"{n}.parquet" for n in ("rows", "train", "test")})
    splitting = split_by(monkeypatch, **split)

    def parts(all_rows: pl.DataFrame) -> list[pl.DataFrame]:
        """Split as `poe split` does."""
        all_rows.filter(pl.col("y").is_not_null()).write_parquet(here.rows)
        splitting.main()
        return [pl.read_parquet(path) for path in (here.train, here.test)]

    warehouse.fill(rows)
    number = warehouse.pull(tmp_path)
    train, test = parts(rows.sort("at", *rows.columns))
    there = parts(pl.read_parquet(tmp_path / pull.SAMPLE).cast(dict(rows.schema)))

    assert there[0].equals(train) and there[1].equals(test)
    assert number == train.height + test.height < 2450
    assert train.height <= split["train_rows"] and test.height >= 300


def test_without_a_time_as_many_rows_come_as_teach_and_judge(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    promise(monkeypatch, pa.DataFrameSchema({"x": pa.Column(pl.Int64), "y": pa.Column(pl.Boolean)}))
    here = moved(monkeypatch, **{n: tmp_path / f"{n}.pq" for n in ("rows", "train", "test")})
    splitting = split_by(monkeypatch, test_share=0.5, test_rows=30, train_rows=70)
    warehouse.fill(pl.DataFrame({"x": range(1000), "y": [n % 10 == 0 for n in range(1000)]}))

    assert warehouse.pull(tmp_path) == 100
    assert warehouse.pull(tmp_path) == 0  # the same rows

    (tmp_path / pull.SAMPLE).rename(here.rows)
    splitting.main()

    assert pl.read_parquet(here.test).height == 30
    assert pl.read_parquet(here.rows)["y"].sum() == 10


GOOD = {"test_share": 0.5, "test_rows": 30, "train_rows": 70}
CHECK = pa.Check(lambda data: data.lazyframe.select(pl.col(data.key) > 0), name="mine")
REFUSED: dict[str, tuple[dict[str, Any], pa.Column, str]] = {
    "a broken rule": (
        GOOD,
        pa.Column(pl.Int64, pa.Check.ge(3)),
        r"`x` must .*3 rows, such as.*x=0;",
    ),
    "a check in Python": (GOOD, pa.Column(pl.Int64, CHECK), "has the check `mine`"),
    "another type": (GOOD, pa.Column(pl.Float32), "`x` is Int64, not Float32"),
    "no limit": ({"test_share": 0.5, "test_rows": 30}, pa.Column(pl.Int64), "write `train_rows`"),
    "no row of the time": (
        GOOD | {"begins": date(2100, 1, 1)},
        pa.Column(pl.Int64),
        "no row is of",
    ),
    "a share": (GOOD | {"test_share": 0.2}, pa.Column(pl.Int64), "write `test_share = 0.3` into"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_where_rows_cannot_be_judged_or_chosen_nothing_is_written(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    split, column, message = REFUSED[what]
    row = pa.DataFrameSchema({"x": column, "y": pa.Column(pl.Boolean), "at": pa.Column(pl.Date)})
    promise(monkeypatch, row, TIME="at")
    split_by(monkeypatch, **split)
    numbers = pl.int_range(1000, eager=True)
    days = numbers.cast(pl.Int32).cast(pl.Date)
    warehouse.fill(pl.DataFrame({"x": numbers, "y": numbers % 2 == 0, "at": days}))

    with pytest.raises(WarehouseError, match=message):
        warehouse.pull(tmp_path)

    assert not list(tmp_path.glob("*.parquet"))
