"""Predictions are logged, and nothing that happens to the log reaches a prediction."""

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import LogCapture, Patch
from machinery.tests.serving.calls import soon
from rung_ops import prediction_log
from rung_ops.prediction_log import delete_merged
from rung_ops.serving import log_writer
from rung_ops.serving.log_writer import FULL_ROWS, LogFiles, PredictionLog

OFTEN = 0.02  # seconds between two files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def logs(folder: Path) -> Iterator[PredictionLog]:
    opened = PredictionLog(folder, seconds=OFTEN)
    yield opened
    opened.close()


def add(to: PredictionLog, *ids: str, **changes: Any) -> None:
    rows = pl.DataFrame({"distance": range(len(ids))})
    made: dict[str, Any] = {
        "time": prediction_log.now(),
        "ids": ids,
        "release": "v1",
        "arm": "serving",
        "rows": rows,
        "features": rows.select(miles=pl.col("distance") * 2.0),
        "predictions": np.zeros(len(ids)),
    }
    to.add(prediction_log.Batch(**made | changes))


def logged(folder: Path) -> list[str]:
    return sorted(prediction_log.read(folder).collect()["id"])


FULL = OSError(28, "No space left on device")


class Disk:
    """Lets files fail to be written: all until `is_full` is unset, or as many as `deaths`."""

    def __init__(
        self, monkeypatch: Patch, error: BaseException = FULL, deaths: int = 1 << 60
    ) -> None:
        self.is_full = True
        left, complete = iter(range(deaths)), LogFiles.write

        def write(files: LogFiles, frame: pl.DataFrame) -> None:
            if self.is_full and next(left, None) is not None:
                raise error
            complete(files, frame)

        monkeypatch.setattr(LogFiles, "write", write)


def test_what_was_added_is_in_a_file_within_moments(logs: PredictionLog, folder: Path) -> None:
    add(logs, "a", "b")

    soon(lambda: logs.written == 2)
    assert logged(folder) == ["a", "b"]


def test_a_full_file_does_not_wait_for_its_second(folder: Path) -> None:
    """Rows wait in memory, and a file is made there: both are bounded."""
    slow = PredictionLog(folder, seconds=3600)
    add(slow, *(f"{number:05}" for number in range(FULL_ROWS - 1)))
    time.sleep(0.1)
    assert slow.written == 0
    add(slow, "last")

    soon(lambda: slow.written == FULL_ROWS)
    slow.close()


def test_closing_writes_what_waits(folder: Path) -> None:
    slow = PredictionLog(folder, seconds=3600)
    for number in range(100):
        add(slow, f"{number:02}")
    slow.close()

    assert logged(folder) == [f"{number:02}" for number in range(100)]
    assert (slow.written, slow.dropped, slow.failures, slow.waiting) == (100, 0, 0, 0)


def test_rows_are_put_together_in_pieces_as_requests_wait_for_each(
    folder: Path, monkeypatch: Patch
) -> None:
    pieces, assemble = [], prediction_log.assemble

    def noted(batches: list[prediction_log.Batch]) -> pl.DataFrame:
        pieces.append([identity for batch in batches for identity in batch.ids])
        return assemble(batches)

    monkeypatch.setattr(prediction_log, "assemble", noted)
    monkeypatch.setattr(log_writer, "PIECE_ROWS", 3)
    slow = PredictionLog(folder, seconds=3600)
    for ids in ("ab", "c", "d", "ef", "ghijk", "l"):
        add(slow, *ids, release=f"of {ids}")
    slow.close()

    assert pieces == [["a", "b", "c"], ["d", "e", "f"], [*"ghijk"], ["l"]]
    rows = prediction_log.read(folder).collect()
    assert rows["id"].to_list() == [*"abcdefghijkl"]
    assert rows["release"].to_list()[:4] == ["of ab", "of ab", "of c", "of d"]


def test_after_closing_nothing_is_taken(logs: PredictionLog, folder: Path) -> None:
    logs.close()
    add(logs, "late")

    assert logs.dropped == 1
    assert logged(folder) == []


def test_a_full_queue_drops_and_counts(folder: Path) -> None:
    small = PredictionLog(folder, seconds=3600, rows=4 * (1 + log_writer.BATCH_WEIGHT))
    small._wake.set = lambda: None  # type: ignore[method-assign]  # the writer sleeps on
    for number in range(10):
        add(small, str(number))
    assert (small.waiting, small.dropped) == (4, 6)
    del small._wake.set
    small.close()

    assert logged(folder) == ["0", "1", "2", "3"]
    assert small.written == 4


def test_a_full_disk_fails_no_prediction_and_loses_nothing_once_there_is_room(
    folder: Path, monkeypatch: Patch, caplog: LogCapture
) -> None:
    disk = Disk(monkeypatch)
    logs = PredictionLog(folder, seconds=OFTEN)
    add(logs, "a")
    soon(lambda: logs.failures >= 3)
    add(logs, "b")
    assert (logs.written, logs.waiting, logs.dropped) == (0, 2, 0)
    disk.is_full = False
    soon(lambda: logs.written == 2)
    logs.close()

    assert logged(folder) == ["a", "b"]
    warnings = [each for each in caplog.messages if "No space left" in each]
    assert len(warnings) == 1


def test_a_disk_that_stays_full_costs_a_bounded_memory(folder: Path, monkeypatch: Patch) -> None:
    Disk(monkeypatch)
    limit = 10 * (1 + log_writer.BATCH_WEIGHT)
    logs = PredictionLog(folder, seconds=OFTEN, rows=limit)
    for number in range(1000):
        add(logs, str(number))
    assert 10 <= logs.waiting <= limit
    assert logs.waiting + logs.dropped == 1000
    logs.close()

    assert (logs.written, logs.dropped, logs.waiting) == (0, 1000, 0)


def test_while_the_disk_is_full_single_rows_wait_as_cheaply_as_those_of_a_large_batch(
    folder: Path, monkeypatch: Patch
) -> None:
    disk = Disk(monkeypatch)
    monkeypatch.setattr(log_writer, "FULL_ROWS", 8)
    logs = PredictionLog(folder, seconds=OFTEN, rows=3 * (1 + log_writer.BATCH_WEIGHT))
    ids = [f"{number:02}" for number in range(30)]
    for identity in ids:
        failures = logs.failures
        add(logs, identity)
        soon(lambda failures=failures: logs.failures > failures)  # type: ignore[misc]
    assert (logs.waiting, logs.dropped) == (30, 0)
    disk.is_full = False
    soon(lambda: logs.written == 30)
    logs.close()

    assert logged(folder) == ids
    assert max(pl.read_parquet(file).height for file in folder.rglob("*.parquet")) < 2 * 8


def test_a_folder_that_was_removed_is_made_again(logs: PredictionLog, folder: Path) -> None:
    add(logs, "a")
    soon(lambda: logs.written == 1)
    shutil.rmtree(folder)
    add(logs, "b")
    soon(lambda: logs.written == 2)

    assert logged(folder) == ["b"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_died_is_replaced_and_nothing_is_lost_or_twice(
    folder: Path, monkeypatch: Patch, caplog: LogCapture
) -> None:
    caplog.set_level(logging.WARNING)
    Disk(monkeypatch, MemoryErrorOfTheInterpreter(), deaths=1)
    logs = PredictionLog(folder, seconds=OFTEN)
    first = logs._thread
    add(logs, "a")
    soon(lambda: not first.is_alive())
    add(logs, "b")
    soon(lambda: logs.written == 2)
    logs.close()

    assert logged(folder) == ["a", "b"]
    assert logs.restarts == 1
    assert sum("died and was restarted" in message for message in caplog.messages) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_closing_writes_what_a_writer_that_died_left(folder: Path, monkeypatch: Patch) -> None:
    Disk(monkeypatch, MemoryErrorOfTheInterpreter(), deaths=2)
    logs = PredictionLog(folder, seconds=OFTEN)
    add(logs, "a")
    soon(lambda: not logs._thread.is_alive())
    logs.close()

    assert logged(folder) == ["a"]
    assert logs.dropped == 0


class MemoryErrorOfTheInterpreter(BaseException):
    """Something that no `except Exception` catches."""


def test_a_malformed_batch_is_dropped_and_the_others_are_written(
    logs: PredictionLog, folder: Path
) -> None:
    add(logs, "good")
    add(logs, "bad", "worse", predictions=np.zeros(7), features=pl.DataFrame({"other": [1]}))
    soon(lambda: logs.written == 1 and logs.dropped == 2)

    assert logged(folder) == ["good"]
    assert logs.failures == 0


def test_closing_does_not_wait_for_ever(folder: Path, monkeypatch: Patch) -> None:
    released = threading.Event()
    monkeypatch.setattr(LogFiles, "write", lambda files, frame: released.wait(30))
    stuck = PredictionLog(folder, seconds=OFTEN)
    add(stuck, "a")
    stuck.close(seconds=0.1)
    released.set()

    assert stuck.dropped == 1


def test_days_and_columns_that_differ_become_files_of_their_own(
    logs: PredictionLog, folder: Path
) -> None:
    add(logs, "a")
    add(logs, "b", rows=pl.DataFrame({"distance": ["far"]}))
    soon(lambda: logs.written == 2)

    assert logged(folder) == ["a", "b"]


def frame(name: str, count: int = 1) -> pl.DataFrame:
    rows = pl.DataFrame({"distance": range(count)})
    ids = [f"{name}-{number}" for number in range(count)]
    made = prediction_log.Batch(
        prediction_log.now(), ids, "v1", "serving", rows, rows, np.zeros(count)
    )
    return prediction_log.assemble([made])


def test_many_small_files_become_one(folder: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(log_writer, "MAX_FILES", 5)
    files = LogFiles(folder)
    names = []
    for number in range(23):
        names.append(f"{number:02}-0")
        files.write(frame(f"{number:02}"))
        files.merge()
        assert logged(folder) == names

    day = next(folder.glob("date=*"))
    assert len(prediction_log.parts(day)) <= 5
    files.merge(everything=True)
    assert len(prediction_log.parts(day)) == 1
    assert logged(folder) == names


@pytest.mark.parametrize("small", [1, 3])
def test_a_full_file_among_small_ones_is_not_taken_for_merged(
    folder: Path, monkeypatch: Patch, small: int
) -> None:
    monkeypatch.setattr(log_writer, "FULL_ROWS", 10)
    monkeypatch.setattr(prediction_log, "KEEP_SECONDS", -1.0)
    files = LogFiles(folder)
    for number in range(small):
        files.write(frame(f"before{number}"))
    files.write(frame("large", 10))
    for number in range(small):
        files.write(frame(f"after{number}"))
    files.merge(everything=True)
    files.merge(everything=True)

    day = next(folder.glob("date=*"))
    delete_merged(day)
    assert len(list(day.iterdir())) == 3
    assert len(logged(folder)) == 10 + 2 * small


def test_the_reader_of_a_merged_file_has_time_to_finish(folder: Path, monkeypatch: Patch) -> None:
    files = LogFiles(folder)
    for name in "abc":
        files.write(frame(name))
    for path in folder.rglob("*.parquet"):
        os.utime(path, (1, 1))  # written long ago, and merged now
    reading = prediction_log.read(folder)
    files.merge(everything=True)
    assert sorted(reading.collect()["id"]) == ["a-0", "b-0", "c-0"]

    monkeypatch.setattr(prediction_log, "KEEP_SECONDS", -1.0)
    day = next(folder.glob("date=*"))
    delete_merged(day)
    assert len(list(day.iterdir())) == 1
    assert logged(folder) == ["a-0", "b-0", "c-0"]


def test_what_a_killed_writer_left_is_removed_after_a_while(
    folder: Path, monkeypatch: Patch
) -> None:
    LogFiles(folder).write(frame("a"))
    day = next(folder.glob("date=*"))
    left = day / ".w1.00000000.00000001-00000001.parquet.tmp"
    left.write_bytes(b"PAR1")
    delete_merged(day)
    assert left.exists()
    monkeypatch.setattr(prediction_log, "STALE_SECONDS", -1.0)
    delete_merged(day)

    assert not left.exists()
    assert logged(folder) == ["a-0"]


def test_a_merge_that_fails_loses_nothing(
    folder: Path, monkeypatch: Patch, caplog: LogCapture
) -> None:
    def broken(files: LogFiles, everything: bool = False) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LogFiles, "merge", broken)
    logs = PredictionLog(folder, seconds=OFTEN)
    for name in "abc":
        add(logs, name)
        soon(lambda: logs.waiting == 0)
    logs.close()

    assert logged(folder) == ["a", "b", "c"]
    assert logs.failures > 0
