"""Bad rows are found and named before anything is trained on them."""

from pathlib import Path

import pandera.polars as pa
import polars as pl
import pytest

from rung_ops import contract
from rung_ops.contract.raw_file import read
from rung_ops.contract.row_checks import inspect
from rung_ops.data import ingest
from rung_ops.errors import StageError, UnreadableFileError
from rung_ops.project.paths import raw_files

SCHEMA = contract.Row.to_schema()


def some_rows() -> pl.DataFrame:
    return read(raw_files()[0]).head(20)


NUMBER = next(name for name, dtype in SCHEMA.dtypes.items() if dtype.type.is_numeric())
REQUIRED = next(name for name, column in SCHEMA.columns.items() if not column.nullable)


def put(row: int, name: str, value: str | None) -> pl.Expr:
    """Replace one value of a column; as text, as a CSV file has it."""
    text = pl.col(name).cast(pl.String)
    return pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(text).alias(name)


@pytest.mark.parametrize(
    ("rows", "column", "numbers", "word"),
    [
        (some_rows().drop(contract.TARGET), contract.TARGET, (), "is missing"),
        (some_rows().clear(), "", (), "holds no rows"),
        (some_rows().with_columns(put(3, NUMBER, "many")), NUMBER, (4,), "'many'"),
        (some_rows().with_columns(put(5, REQUIRED, None)), REQUIRED, (6,), "may not be empty"),
    ],
    ids=["a missing column", "no rows", "a wrong type", "an empty value"],
)
def test_what_is_wrong_is_named_with_its_column_and_row(
    rows: pl.DataFrame, column: str, numbers: tuple[int, ...], word: str
) -> None:
    _, problems = inspect(rows, SCHEMA, "new.csv")

    (problem,) = (problem for problem in problems if word in str(problem))
    assert (problem.source, problem.column, problem.rows) == ("new.csv", column, numbers)


@pytest.mark.parametrize("dtype", [pl.Datetime("us"), pl.Datetime("ms"), pl.Date])
def test_of_many_times_the_one_that_is_none_is_named(dtype: pl.DataType) -> None:
    schema = pa.DataFrameSchema({"at": pa.Column(dtype, nullable=True)})
    text = "2026-01-31" if dtype == pl.Date else "2026-01-31T08:00:00"
    typed, problems = inspect(pl.DataFrame({"at": [text, None, "31 Jan", text]}), schema, "new.csv")

    assert [(problem.column, problem.rows) for problem in problems] == [("at", (3,))]
    assert "which '31 Jan' is not (row 3)" in str(problems[0])
    assert typed["at"].is_null().to_list() == [False, True, True, False]


def test_the_line_of_a_value_that_load_cannot_convert_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.csv"
    path.write_text("at,b\n31.01.2026,1\n31.02.2026,2\nx,3\n")
    day = pl.col("at").str.to_date("%d.%m.%Y")
    monkeypatch.setattr(contract, "load", lambda path: pl.read_csv(path).with_columns(day))

    with pytest.raises(UnreadableFileError, match=r'\["31.02.2026", "x"\], first in line 3\)'):
        read(path)


def test_a_repeated_row_is_named_by_what_identifies_it() -> None:
    """The other columns may differ, and may be personal data, which does not belong in logs."""
    schema = pa.DataFrameSchema(
        {"order": pa.Column(int), "line": pa.Column(int), "name": pa.Column(str)},
        unique=["order", "line"],
    )
    rows = pl.DataFrame({"order": [7, 8, 8], "line": [1, 2, 2], "name": ["Ada", "Bob", "Cy"]})

    _, problems = inspect(rows, schema, "new.csv")

    assert [str(problem) for problem in problems] == [
        "new.csv: column `order, line` must be unique, and `8, 2` is there more than once "
        "(rows 2, 3)"
    ]


def test_tests_of_a_project_without_data_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "raw_files_in", lambda folder: [])
    monkeypatch.setattr(ingest, "raw_files", list)

    with pytest.raises(StageError, match="There is no data: put a file into data/sample"):
        ingest.sample_rows()


def test_tests_of_a_project_name_the_columns_that_its_file_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest, "read", lambda path: some_rows().drop(contract.TARGET))

    with pytest.raises(StageError, match=f"`{contract.TARGET}` is missing; the file has"):
        ingest.sample_rows()


HOSTILE = "x\n##vso[task.setvariable]y\n::error::z\x1b[31m"


def test_a_problem_is_one_line_for_any_column_names() -> None:
    rows = some_rows().drop(contract.TARGET).with_columns(pl.lit(1).alias(HOSTILE))

    _, problems = inspect(rows, SCHEMA, HOSTILE)

    assert_harmless(str(problems[0]))


def test_a_file_that_cannot_be_read_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / f"{HOSTILE.replace('/', '')}.csv"
    path.write_bytes(b"")

    with pytest.raises(UnreadableFileError) as error:
        read(path)

    assert_harmless(str(error.value))


def assert_harmless(text: str) -> None:
    assert text.isprintable()
    assert "##vso[" not in text
    assert not text.startswith("::")
