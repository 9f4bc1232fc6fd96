"""What production answered becomes rows to learn from, each once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.autopilot import facts, training_rows
from rung_ops.contract import raw_file
from rung_ops.data.ingest import sample_rows
from rung_ops.errors import StageError
from rung_ops.model.added_columns import PREDICTION_ID, PREDICTION_TIME
from rung_ops.system import files

COUNT = 20
KEY: list[str] = list(contract.Row.to_schema().unique or [])
COLUMNS = list(contract.Row.to_schema().columns)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without data of its own."""
    moved(monkeypatch, incoming=tmp_path / "incoming")
    moved(monkeypatch, rows=tmp_path / "rows.parquet")
    return tmp_path


@pytest.fixture
def labelled() -> pl.DataFrame:
    """Answers of two days whose outcome is known."""
    rows = sample_rows().drop_nulls(contract.TARGET).head(COUNT)
    start = datetime(2026, 1, 31, 12, tzinfo=UTC)
    times = [start + timedelta(hours=number) for number in range(rows.height)]
    return rows.with_columns(
        pl.Series(PREDICTION_ID, [f"id-{number}" for number in range(rows.height)]),
        pl.Series(PREDICTION_TIME, times, dtype=pl.Datetime("us", "UTC")),
    )


def as_committed(path: Path) -> None:
    """Let a file of served rows look as if DVC kept it."""
    Path(f"{path}.dvc").write_text("outs:\n")


def test_served_rows_are_rows_of_the_contract(labelled: pl.DataFrame) -> None:
    path = training_rows.collect(facts.new_rows(labelled))

    assert path.name == "served-2026-01-31-2026-02-01.parquet"
    assert pl.read_parquet(path, columns=COLUMNS).equals(labelled.select(COLUMNS))
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_load_needs_not_read_what_rung_wrote(
    labelled: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads raw files, as a CSV with dates as text, and its output is never given to it."""
    path = training_rows.collect(facts.new_rows(labelled))
    monkeypatch.setattr(contract, "load", lambda path: pl.read_csv(path).select("as text"))

    rows = raw_file.read(path)

    assert rows.select(COLUMNS).equals(labelled.select(COLUMNS))


def test_no_answer_is_taken_twice(labelled: pl.DataFrame) -> None:
    first = labelled[: COUNT // 2]
    as_committed(training_rows.collect(facts.new_rows(pl.concat([first, first]))))

    rows = facts.new_rows(labelled)

    assert rows[PREDICTION_ID].to_list() == labelled[COUNT // 2 :][PREDICTION_ID].to_list()


def test_rows_of_one_span_do_not_write_over_those_before(labelled: pl.DataFrame) -> None:
    first = training_rows.collect(facts.new_rows(labelled))
    as_committed(first)
    late = labelled.with_columns(pl.lit("late-") + pl.col(PREDICTION_ID))
    second = training_rows.collect(late.select(labelled.columns))

    assert second.name == "served-2026-01-31-2026-02-01.2.parquet"


@pytest.mark.skipif(not KEY, reason="the contract names no columns that tell rows apart")
def test_what_training_has_is_left_out(place: Path, labelled: pl.DataFrame) -> None:
    labelled[:5].select(COLUMNS).write_parquet(place / "rows.parquet")

    assert (
        facts.new_rows(labelled)[PREDICTION_ID].to_list() == labelled[5:][PREDICTION_ID].to_list()
    )


@pytest.mark.skipif(not KEY, reason="the contract names no columns that tell rows apart")
def test_a_row_that_was_asked_about_twice_is_one_row(labelled: pl.DataFrame) -> None:
    again = labelled[:1].with_columns(
        pl.lit("again").alias(PREDICTION_ID), pl.col(PREDICTION_TIME) + timedelta(days=9)
    )

    rows = facts.new_rows(pl.concat([labelled, again]))

    assert rows.height == labelled.height
    assert "again" in rows[PREDICTION_ID]


def test_a_row_without_a_usable_outcome_is_left_out(labelled: pl.DataFrame) -> None:
    broken = labelled.with_columns(
        pl.when(pl.col(PREDICTION_ID) == "id-3")
        .then(None)
        .otherwise(pl.col(contract.TARGET))
        .alias(contract.TARGET)
    )

    assert "id-3" not in facts.new_rows(broken)[PREDICTION_ID]
    assert facts.new_rows(broken).height == labelled.height - 1


def test_an_answer_without_a_column_of_the_contract_is_reported(labelled: pl.DataFrame) -> None:
    column = next(name for name in COLUMNS if name != contract.TARGET)

    with pytest.raises(StageError, match=rf"`{column}` is missing"):
        facts.new_rows(labelled.drop(column))


def test_served_rows_that_were_not_fetched_are_missed(labelled: pl.DataFrame) -> None:
    path = training_rows.collect(facts.new_rows(labelled))
    as_committed(path)
    path.unlink()

    with pytest.raises(StageError, match="`uv run poe pull` fetches it"):
        facts.new_rows(labelled)


def test_what_no_commit_names_is_collected_again(
    labelled: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = training_rows.collect(facts.new_rows(labelled[:5]))
    left = training_rows.collect(facts.new_rows(labelled[5:]))
    half_written = files.draft_of(left)
    half_written.touch()
    as_committed(kept)
    monkeypatch.setattr("rung_ops.autopilot.commits.is_committed", lambda path: path.exists())

    training_rows.remove_uncommitted()

    assert kept.exists()
    assert not left.exists()
    assert not half_written.exists()


def test_no_rows_are_no_rows() -> None:
    nothing = pl.DataFrame(
        schema={PREDICTION_ID: pl.String, PREDICTION_TIME: pl.Datetime("us", "UTC")}
    )

    assert facts.new_rows(nothing).is_empty()
