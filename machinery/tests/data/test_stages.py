"""The stages do what their names say."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from machinery.tests.in_project import split
from rung_ops import contract
from rung_ops.data.ingest import DiskFullError, UnreadableFileError, read, write
from rung_ops.data.row_checks import inspect
from rung_ops.project.paths import params, raw_files
from rung_ops.system import disk


def rows() -> pl.DataFrame:
    schema = contract.Row.to_schema()
    typed, problems = inspect(read(raw_files()[0]), schema, "sample")
    assert problems == []
    return typed


def test_the_split_loses_no_row_and_tests_on_what_comes_later() -> None:
    whole = rows()
    settings = params()

    train, test = split(whole, settings["split"]["test_share"], settings["seed"])

    assert train.height + test.height == whole.height
    if contract.TIME is not None:
        last = train.sort(contract.TIME)[contract.TIME][-1]
        assert (test[contract.TIME] > last).all()


def test_the_split_is_the_same_each_time() -> None:
    whole = rows()

    first, second = split(whole, 0.3, 7), split(whole, 0.3, 7)

    assert first[0].equals(second[0])
    assert first[1].equals(second[1])


def falling_over(_: pl.DataFrame) -> pl.DataFrame:
    raise ValueError("too late")


@pytest.mark.parametrize("lazy", [True, False])
def test_rows_are_written_as_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lazy: bool
) -> None:
    rows = pl.DataFrame({"a": [1, 2, 3]})
    monkeypatch.setattr(contract, "load", lambda _: rows.lazy() if lazy else rows)

    assert write(tmp_path / "raw.csv", tmp_path / "made/raw.parquet") == 3

    assert pl.read_parquet(tmp_path / "made/raw.parquet").equals(rows)
    assert read(tmp_path / "raw.csv").equals(rows)


@pytest.mark.parametrize("use", [read, lambda path: write(path, path.with_suffix(".parquet"))])
def test_a_lazy_frame_that_fails_late_is_named_as_one_that_fails_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[Path], object]
) -> None:
    lazy = pl.LazyFrame({"a": [1]}).map_batches(falling_over)
    monkeypatch.setattr(contract, "load", lambda _: lazy)

    with pytest.raises(UnreadableFileError, match=r"raw\.csv: cannot be read .*too late"):
        use(tmp_path / "raw.csv")

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> pl.LazyFrame:
        raise pl.exceptions.ComputeError("No space left on device (os error 28)")

    monkeypatch.setattr(contract, "load", full)

    with pytest.raises(DiskFullError, match="Make room"):
        write(tmp_path / "raw.csv", tmp_path / "raw.parquet")

    assert disk.is_full(OSError(28, "No space left on device"))
    assert not disk.is_full(ValueError("28"))
