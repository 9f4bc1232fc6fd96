"""Every row is taken once, whatever happens in the middle."""

import errno
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from machinery.tests.data.warehouse.conftest import QUERY, Shop
from machinery.tests.projects import moved
from rung_ops.data.warehouse import duckdb, pull
from rung_ops.data.warehouse.query import Rows
from rung_ops.data.warehouse.settings import WarehouseError
from rung_ops.project import paths


def test_a_pull_takes_the_windows_that_are_over_and_the_next_one_what_is_new(shop: Shop) -> None:
    shop.sell("2024-01-01 00:00:00")
    shop.sell("2024-01-01 23:59:59.999999")
    shop.sell("2024-01-02 00:00:00")
    shop.sell("2024-01-10 00:00:00")  # today, which is not over

    assert shop.pull() == 3
    assert list(shop.files()) == [
        "2024-01-01--2024-01-02.parquet",
        "2024-01-02--2024-01-03.parquet",
    ]
    assert shop.pull() == 0

    shop.now += timedelta(days=1)

    assert shop.pull() == 1
    assert shop.rows().height == 4


def test_a_window_is_taken_whole_or_not_yet(shop: Shop) -> None:
    shop.window = 5
    for day in range(1, 9):
        shop.sell(f"2024-01-0{day} 10:00:00")
    shop.pull()

    assert list(shop.files()) == ["2024-01-01--2024-01-06.parquet"]

    shop.now = datetime(2024, 1, 11)
    shop.pull()

    assert list(shop.files())[1:] == ["2024-01-06--2024-01-11.parquet"]


def test_a_row_that_comes_late_but_within_the_lag_is_taken(shop: Shop) -> None:
    shop.lag = 36
    shop.sell("2024-01-08 10:00:00")
    shop.now = datetime(2024, 1, 10, 11)  # the eighth is over for 35 hours

    assert shop.pull() == 0

    shop.sell("2024-01-08 09:00:00", "late")
    shop.now = datetime(2024, 1, 10, 12)

    assert shop.pull() == 2
    assert "late" in shop.rows()["item"]


def test_days_without_rows_make_no_file_and_are_queried_again(shop: Shop) -> None:
    shop.sell("2024-01-01 10:00:00")
    shop.sell("2024-01-09 10:00:00")
    shop.pull()

    assert len(shop.files()) == 2

    shop.sell("2024-01-05 10:00:00", "very late")

    assert shop.pull() == 1
    assert shop.rows().height == 3


def test_a_window_that_was_deleted_is_taken_again_the_same(shop: Shop) -> None:
    for day in range(1, 6):
        shop.sell(f"2024-01-0{day} 10:00:00")
    shop.pull()
    before = shop.files()
    (shop.folder / "2024-01-03--2024-01-04.parquet").unlink()

    assert shop.pull() == 1
    assert shop.files() == before


def test_another_length_of_windows_takes_no_row_twice(shop: Shop) -> None:
    for day in range(1, 10):
        shop.sell(f"2024-01-0{day} 10:00:00")
    shop.now = datetime(2024, 1, 4, 1)
    shop.pull()
    shop.window = 5
    shop.now = datetime(2024, 1, 9, 1)
    shop.pull()

    assert list(shop.files())[-1] == "2024-01-04--2024-01-09.parquet"
    assert shop.rows().height == 8


def test_what_dvc_has_a_record_of_was_taken(shop: Shop) -> None:
    shop.sell("2024-01-01 10:00:00")
    shop.sell("2024-01-02 10:00:00")
    shop.pull()
    for path in list(shop.folder.glob("*.parquet")):
        Path(f"{path}.dvc").write_text("outs: []\n")
    (shop.folder / "2024-01-01--2024-01-02.parquet").unlink()

    assert shop.pull() == 0

    (shop.folder / "2024-01-02--2024-01-03.parquet").unlink()
    with pytest.raises(WarehouseError, match="poe pull"):  # nothing to hold a new one against
        shop.pull()


def test_what_a_killed_pull_left_half_written_goes(shop: Shop) -> None:
    shop.sell("2024-01-01 10:00:00")
    shop.folder.mkdir()
    (shop.folder / ".2024-01-01--2024-01-02.parquet.tmp").write_bytes(b"PAR1 half")
    # Of windows of another length.
    (shop.folder / ".2024-01-01--2024-01-31.parquet.tmp").write_bytes(b"PAR1 half")

    assert shop.pull() == 1
    assert list(shop.files()) == ["2024-01-01--2024-01-02.parquet"]


def test_a_full_disk_leaves_nothing_half_written_and_the_next_pull_goes_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell("2024-01-01 10:00:00")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_batch", full)
        with pytest.raises(WarehouseError, match="disk is full.*goes on where"):
            shop.pull()

    assert shop.files() == {}
    assert shop.pull() == 1


def test_a_full_disk_of_the_warehouse_is_not_taken_for_this_one(tmp_path: Path) -> None:
    class FullError(Exception):
        """As of a warehouse's driver."""

    def batches() -> Iterator[pa.RecordBatch]:
        raise FullError('could not write to file "pgsql_tmp/1": No space left on device')
        yield

    rows = Rows(pa.schema({"n": pa.int64()}), batches())
    with pytest.raises(FullError):
        pull.write_rows(tmp_path / "a.parquet", rows, {}, "n", None)


def test_two_pulls_at_a_time_are_refused(shop: Shop) -> None:
    with pull.alone(shop.folder), pytest.raises(WarehouseError, match="Another pull"):
        shop.pull()


def test_a_query_that_looks_beyond_its_window_is_refused(shop: Shop) -> None:
    shop.sell("2024-01-01 10:00:00")
    shop.sell("2024-01-02 00:00:00")
    shop.ask(QUERY.replace("sold < $until", "sold <= $until"))

    with pytest.raises(WarehouseError, match="outside the window"):
        shop.pull()

    assert shop.files() == {}


def test_rows_of_the_sample_are_not_mixed_with_others(shop: Shop) -> None:
    shop.sell("2024-01-01 10:00:00")
    shop.is_sample = True
    shop.pull()
    shop.is_sample = False

    with pytest.raises(WarehouseError, match="delete the folder"):
        shop.pull()


def test_without_a_watermark_all_rows_are_replaced_when_they_change(shop: Shop) -> None:
    shop.watermark = ""
    shop.ask("SELECT * FROM sales ORDER BY ALL")
    shop.sell("2024-01-01 10:00:00")

    assert shop.pull() == 1
    assert shop.pull() == 0  # the same rows

    shop.sell("2024-01-02 10:00:00")

    assert shop.pull() == 2
    assert list(shop.files()) == ["all-rows.parquet"]

    before = shop.files()
    shop.do("DELETE FROM sales")
    with pytest.raises(WarehouseError, match="gives no rows"):
        shop.pull()

    assert shop.files() == before


def test_rows_come_in_batches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.do(
        "INSERT INTO sales SELECT TIMESTAMP '2024-01-01' + to_seconds(each), 'tea', each "
        "FROM range(80000) AS numbers(each)"
    )
    sizes: list[int] = []
    write = pq.ParquetWriter.write_batch

    def counted(self: pq.ParquetWriter, batch: object) -> None:
        sizes.append(batch.num_rows)  # type: ignore[attr-defined]
        write(self, batch)

    monkeypatch.setattr(pq.ParquetWriter, "write_batch", counted)

    assert shop.pull() == 80_000
    assert max(sizes) <= duckdb.BATCH


def test_the_sample_steps_back_when_rows_were_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {"sample": tmp_path / "sample", "incoming": tmp_path / "incoming"}
    moved(monkeypatch, **folders, warehouse=tmp_path / "incoming/warehouse")
    sample, incoming = (folder / "rows.csv" for folder in folders.values())
    for file in (sample, incoming):
        file.parent.mkdir()
        file.touch()

    assert paths.raw_files() == [incoming, sample]

    taken = tmp_path / "incoming/warehouse/2024-01-01--2024-01-02.parquet"
    taken.parent.mkdir()
    taken.touch()

    assert paths.raw_files() == [incoming, taken]
