"""What is done in blocks gives what is done with all rows in memory."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from machinery.tests.conftest import Capture, Patch
from machinery.tests.projects import moved
from rung_ops import contract, prediction_log
from rung_ops.batch import predict, predict_logged
from rung_ops.contract.raw_file import read
from rung_ops.data import blocks, inspection
from rung_ops.errors import SettingsError, StageError
from rung_ops.features import point_in_time as entity_features
from rung_ops.model.added_columns import DEFAULTS_USED, PREDICTION_ID
from rung_ops.prediction_log import sealed
from rung_ops.project.paths import raw_files
from rung_ops.stages import check_rows, validate_rows

SCHEMA = contract.Row.to_schema()
ROWS = 400
NUMBER = next(name for name, dtype in SCHEMA.dtypes.items() if dtype.type.is_integer())
TEXT = next(name for name, dtype in SCHEMA.dtypes.items() if dtype.type == pl.String)
SMALL = 2_500  # bytes: some forty rows

Change = Callable[[pl.DataFrame], pl.DataFrame]


def sample(first: int = 0) -> pl.DataFrame:
    return read(raw_files()[0]).slice(first, ROWS)


def put(name: str, value: object, *rows: int) -> Change:
    """Put a value into some rows; a text makes the column one of texts."""
    there = pl.int_range(pl.len()).is_in(rows)
    kind = pl.String if isinstance(value, str) else None

    def changed(frame: pl.DataFrame) -> pl.DataFrame:
        before = pl.col(name).cast(kind) if kind else pl.col(name)
        return frame.with_columns(pl.when(there).then(pl.lit(value)).otherwise(before).alias(name))

    return changed


def row_again(row: int, where: int) -> Change:
    """Have a row a second time in the place of another."""
    return lambda frame: frame[[row if number == where else number for number in range(ROWS)]]


def both(*changes: Change) -> Change:
    def changed(frame: pl.DataFrame) -> pl.DataFrame:
        for change in changes:
            frame = change(frame)
        return frame

    return changed


CHANGES: dict[str, Change] = {
    "nothing": lambda frame: frame,
    "a rule that is broken in several blocks": put(NUMBER, -5, 3, 150, 390),
    "a type": put(NUMBER, "many", 130, 131, 260),
    "rules in another order than blocks": both(put(TEXT, None, 350), put(NUMBER, -5, 20)),
    "a row twice, far apart": row_again(7, 321),
    "a row twice, and a rule": both(row_again(7, 321), put(NUMBER, -5, 322)),
    "rows without an outcome": put(contract.TARGET, None, *range(100, 180), 399),
    "a bad row after such rows": both(
        put(contract.TARGET, None, *range(100, 180)), put(NUMBER, -5, 200, 390)
    ),
    "a column that is missing": lambda frame: frame.drop(NUMBER),
    "the outcome that is missing": lambda frame: frame.drop(contract.TARGET),
    "times as texts": lambda frame: (
        frame if contract.TIME is None else frame.with_columns(pl.col(contract.TIME).cast(str))
    ),
    "no outcome, and a column of the key that is missing": lambda frame: put(
        contract.TARGET, None, *range(ROWS)
    )(frame.drop(*(SCHEMA.unique or [TEXT])[:1])),
    "no rows": lambda frame: frame.clear(),
}


def outcome(folder: Path, check: Callable[[], object]) -> tuple[str, object, bytes]:
    """Check ingested rows; return what was said and recorded, and the rows that were written."""
    (folder.parent / "rows.parquet").unlink(missing_ok=True)
    said = ""
    try:
        made = check()
        rows = pl.read_parquet(folder.parent / "rows.parquet") if made is None else made
    except StageError as error:
        said, rows = str(error), None
        assert not (folder.parent / "rows.parquet").exists()
    assert isinstance(rows, pl.DataFrame | None)
    record = (folder.parent / "reports/validation.json").read_bytes()
    return said, None if rows is None else rows.to_dict(as_series=False), record


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_rows_are_judged_in_blocks_as_at_once(
    ingested: Path, monkeypatch: Patch, change: Change
) -> None:
    change(sample()).write_parquet(ingested / "a.csv.parquet", row_group_size=64)
    sample(ROWS).write_parquet(ingested / "b.csv.parquet")
    at_once = outcome(ingested, check_rows)

    monkeypatch.setattr(blocks, "BYTES", SMALL)

    assert outcome(ingested, validate_rows) == at_once
    assert outcome(ingested, check_rows) == at_once


def test_many_small_files_get_their_entity_features_at_once(
    ingested: Path, monkeypatch: Patch
) -> None:
    for first in (0, ROWS):
        sample(first).write_parquet(ingested / f"{first}.csv.parquet")
    joined = []
    monkeypatch.setattr(
        entity_features, "join", lambda rows, **_: joined.append(rows.height) or rows
    )

    check_rows()

    assert joined == [2 * ROWS]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_error_in_a_later_block_is_raised_as_it_is(
    tmp_path: Path, monkeypatch: Patch, suffix: str
) -> None:
    monkeypatch.setattr(blocks, "BYTES", 1)

    def made() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({DEFAULTS_USED: [["a"]]})
        raise pl.exceptions.ComputeError("no such feature")

    with pytest.raises(pl.exceptions.ComputeError, match="no such feature"):
        predict.write(made(), tmp_path / f"out{suffix}")

    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not SCHEMA.unique, reason="rows of this project have no key")
@pytest.mark.parametrize("size", [SMALL, blocks.BYTES])
@pytest.mark.parametrize("most", [inspection.MAX_HASHES, 300])
def test_a_key_in_two_files_is_named_in_both(
    ingested: Path, monkeypatch: Patch, size: int, most: int
) -> None:
    monkeypatch.setattr(blocks, "BYTES", size)
    monkeypatch.setattr(inspection, "MAX_HASHES", most)
    put(contract.TARGET, None, 5)(sample()).write_parquet(ingested / "a.csv.parquet")
    again = pl.concat([sample(ROWS), sample()[[4, 5, 300]]])
    again.write_parquet(ingested / "b.csv.parquet")

    said, _, record = outcome(ingested, validate_rows)

    what = "must be unique over all files, and these rows are in"
    assert f"{what} data/b.csv too (rows 5, 301)" in said
    assert f"{what} data/a.csv too (rows 401, 403)" in said
    assert len(json.loads(record)["problems"]) == 2


def test_a_failure_in_the_middle_leaves_the_rows_of_before(
    ingested: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(blocks, "BYTES", SMALL)
    sample().write_parquet(ingested / "a.csv.parquet")
    validate_rows()
    before = (ingested.parent / "rows.parquet").read_bytes()
    read_block, seen = inspection.inspect_labelled, []

    def failing(*words: object) -> object:
        seen.append(words)
        if len(seen) == 4:
            raise OSError("the disk is gone")
        return read_block(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(inspection, "inspect_labelled", failing)

    with pytest.raises(OSError, match="the disk is gone"):
        validate_rows()

    assert (ingested.parent / "rows.parquet").read_bytes() == before
    assert sorted(path.name for path in ingested.parent.iterdir()) == [
        *("ingested", "reports", "rows.parquet")
    ]


@pytest.mark.parametrize("order", ["ascending", "any"])
def test_rows_are_taken_by_number(tmp_path: Path, monkeypatch: Patch, order: str) -> None:
    monkeypatch.setattr(blocks, "BYTES", 1_000)
    rows = pl.DataFrame({"a": range(1_000), "b": [str(number) for number in range(1_000)]})
    rows.write_parquet(tmp_path / "rows.parquet", row_group_size=100)
    chosen = np.random.default_rng(1).permutation(1_000)[:700]
    numbers = pl.Series(np.sort(chosen) if order == "ascending" else chosen, dtype=pl.UInt32)

    blocks.take(blocks.scan(tmp_path / "rows.parquet"), numbers, tmp_path / "taken.parquet")

    assert pl.read_parquet(tmp_path / "taken.parquet").equals(rows[numbers])
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("is_lazy", [True, False])
def test_a_file_is_scored_in_blocks_as_at_once(
    saved_model: Path, tmp_path: Path, monkeypatch: Patch, suffix: str, is_lazy: bool
) -> None:
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    moved(monkeypatch, model_file=saved_model)
    change = both(row_again(7, 321), put(NUMBER, -5, 20, 322))
    change(sample().drop(contract.TARGET)).write_parquet(tmp_path / "in.parquet")
    load = pl.scan_parquet if is_lazy else pl.read_parquet
    monkeypatch.setattr(contract, "load", load)
    at_once, problems = predict.score(pl.read_parquet(tmp_path / "in.parquet"), "in.parquet")

    monkeypatch.setattr(blocks, "BYTES", SMALL)
    output = tmp_path / "[1] of *" / f"out{suffix}"
    result = predict.in_process(tmp_path / "in.parquet", output, predict_logged.log_predictions)

    if suffix == ".csv":
        predict.write([at_once], tmp_path / "expected.csv")
        expected = pl.read_csv(tmp_path / "expected.csv")
        written = pl.read_csv(output, glob=False)
    else:
        expected, written = at_once, pl.read_parquet(output, glob=False)
    # The last digit of a sum depends on how many rows are summed at once.
    assert_frame_equal(written.drop(PREDICTION_ID), expected)
    named = [(problem.column, problem.what, problem.rows) for problem in problems]
    assert [(problem.column, problem.what, problem.rows) for problem in result.problems] == named
    assert result.bad == at_once["problem"].drop_nulls().len() > 0
    assert result.rows == ROWS


@pytest.fixture
def in_several_blocks(saved_model: Path, tmp_path: Path, monkeypatch: Patch) -> list[str]:
    """The words that score a file of several blocks, which the log takes in parts of 30 rows."""
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    moved(monkeypatch, model_file=saved_model)
    monkeypatch.setattr(blocks, "BYTES", SMALL)
    monkeypatch.setattr(predict_logged, "CHUNK", 30)
    monkeypatch.setattr(predict, "as_add_ons_do", predict_logged.log_predictions)
    sample().drop(contract.TARGET).write_parquet(tmp_path / "in.parquet")
    return [str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet")]


def test_all_blocks_are_logged_as_one_file(
    in_several_blocks: list[str], tmp_path: Path, capsys: Capture
) -> None:
    assert predict.main(in_several_blocks) == 0

    (said,) = [line for line in capsys.readouterr().out.splitlines() if " logged" in line]
    assert said.startswith(f"{ROWS} predictions")
    written = pl.read_parquet(tmp_path / "out.parquet")[PREDICTION_ID]
    assert sorted(logged()) == sorted(written)
    assert [name.partition("-")[2] for name in written] == [str(n) for n in range(1, ROWS + 1)]


@pytest.mark.parametrize("fails", ["the log", "its last step", "Ctrl-C there", "the output"])
def test_a_failure_midway_leaves_log_and_output_as_they_were(
    in_several_blocks: list[str], tmp_path: Path, monkeypatch: Patch, fails: str
) -> None:
    assert predict.main(in_several_blocks) == 0
    before, output = logged(), (tmp_path / "out.parquet").read_bytes()
    full = OSError(28, "No space left on device")
    published = iter(range(100))

    def full_at_the_end(rows: pl.LazyFrame, draft: Path) -> None:
        rows.sink_parquet(draft)
        raise full

    def full_midway(source: Path, target: Path) -> None:
        if target.suffix == ".parquet" and ".new-" not in str(target) and next(published) == 3:
            raise KeyboardInterrupt if fails == "Ctrl-C there" else full
        rename(source, target)

    def full_later(frame: pl.DataFrame, path: Path) -> None:
        if "-00000004" in path.name:
            raise full
        write(frame, path)

    rename, write = os.replace, sealed.write
    if fails == "the output":
        monkeypatch.setitem(predict.WRITERS, ".parquet", full_at_the_end)
    elif fails == "the log":
        monkeypatch.setattr(sealed, "write", full_later)
    else:
        monkeypatch.setattr(os, "replace", full_midway)
    escapes = {"the output": OSError, "Ctrl-C there": KeyboardInterrupt}
    with pytest.raises(escapes[fails]) if fails in escapes else nullcontext():
        assert predict.main(in_several_blocks) == 1

    assert logged() == before
    assert (tmp_path / "out.parquet").read_bytes() == output


def logged() -> list[str]:
    log = prediction_log.folder(predict_logged.ENVIRONMENT)
    assert not list(log.glob(".new-*"))
    return prediction_log.read(log).collect()["id"].to_list()


def test_a_smaller_bound_of_memory_makes_smaller_blocks(monkeypatch: Patch) -> None:
    rows = pl.select(number=pl.int_range(1_000_000))  # 8 MB

    for given, heights in ("", [1_000_000]), ("5", [625_000, 375_000]), ("4", [500_000] * 2):
        monkeypatch.setenv(blocks.BLOCK_MB, given)
        read = list(blocks.in_blocks(rows.lazy()))
        assert [block.height for block in read] == heights
        assert [block.height for block in blocks.joined(read)] == heights


@pytest.mark.parametrize("given", ["lots", "0", "-1", "1.5", "64 MB"])
def test_a_bound_that_is_no_number_of_megabytes_is_refused(monkeypatch: Patch, given: str) -> None:
    monkeypatch.setenv(blocks.BLOCK_MB, given)

    with pytest.raises(SettingsError, match=f"RUNG_BLOCK_MB is `{given}`; expected a whole number"):
        blocks.block_rows(sample().lazy())
