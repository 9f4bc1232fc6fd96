"""The prediction log is in a bucket: each row once, whatever becomes of the bucket and the service."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from machinery.tests.conftest import Patch
from machinery.tests.data.object_store.fake import FakeStore
from machinery.tests.serving.calls import soon
from machinery.tests.serving.test_bucket import store_of
from machinery.tests.serving.test_log import add, frame, logged
from rung_ops import prediction_log
from rung_ops.autopilot import facts
from rung_ops.errors import SettingsError, UsageError
from rung_ops.monitoring import check, limits, observation
from rung_ops.prediction_log import log_bucket, log_sync, other_times
from rung_ops.prediction_log.log_bucket import Uploads
from rung_ops.release.rollout import DAYS, logged_traffic
from rung_ops.serving.log_writer import LogFiles, PredictionLog
from rung_ops.system import buckets
from rung_ops.system.buckets import BucketError
from rung_ops.system.patience import without_retries

STAGING = "team/staging/"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: Patch) -> Iterator[FakeStore]:
    """A store whose bucket is empty."""
    made = store_of("LOGS", tmp_path / "service", monkeypatch)
    monkeypatch.setattr(log_bucket, "UPLOAD_SECONDS", 0.02)
    monkeypatch.setattr(log_bucket, "MAX_SECONDS", 0.02)
    monkeypatch.setattr(log_bucket, "CLOSING_SECONDS", 0.02)
    yield made
    made.close()


@pytest.fixture
def log(store: FakeStore) -> Path:
    """The folder of the log on the machine of the service."""
    return prediction_log.folder("staging")


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: Patch) -> "Reader":
    return Reader(tmp_path / "reader", monkeypatch)


class Reader:
    """Another machine, which reads what the bucket has."""

    def __init__(self, cache: Path, patch: Patch) -> None:
        self._cache, self._patch = cache, patch

    def ids(self) -> list[str]:
        with self._patch.context() as other:
            other.setenv("LOGS_CACHE", str(self._cache))
            return logged(log_sync.downloaded("staging"))

    def files(self) -> list[Path]:
        return [path for path in self._cache.rglob("*.parquet")]


def service(log: Path) -> PredictionLog:
    return PredictionLog(log, seconds=0.02, address=prediction_log.address("staging"))


def uploads(log: Path, files: LogFiles) -> Uploads:
    return Uploads(log, files.writer, prediction_log.address("staging"))


def parts(store: FakeStore) -> list[str]:
    return [key for key in store.objects if key.endswith(".parquet")]


def monitor(now: datetime) -> None:
    with pytest.MonkeyPatch.context() as other:
        other.setattr(observation, "_serving", lambda environment: SimpleNamespace(id="v1"))
        observation.observe("staging", now, limits.read())


def test_what_a_service_logged_is_read_elsewhere_once_it_has_ended(
    store: FakeStore, log: Path, reader: Reader
) -> None:
    running = service(log)
    add(running, "a", "b")
    soon(lambda: running.written == 2)
    add(running, "c")
    running.close()
    running.upload(30)

    assert len(parts(store)) == 1, "small files are merged before"
    assert reader.ids() == ["a", "b", "c"]

    asked = len(store.asked)
    assert reader.ids() == ["a", "b", "c"]
    assert len(store.asked) == asked, "nothing is downloaded twice"


def test_a_larger_part_takes_the_place_of_those_that_it_covers(
    store: FakeStore, log: Path, reader: Reader, tmp_path: Path, monkeypatch: Patch
) -> None:
    files = LogFiles(log)
    own = uploads(log, files)
    for name in "abc":
        files.write(frame(name))
        own.run(everything=True)
    assert len(parts(store)) == 3 and reader.ids() == ["a-0", "b-0", "c-0"]

    before = dict(store.objects)
    files.merge(everything=True)
    own.run()
    assert len(parts(store)) == 1
    assert reader.ids() == ["a-0", "b-0", "c-0"]

    store.objects |= before  # as where nothing may be deleted
    assert reader.ids() == ["a-0", "b-0", "c-0"]
    new = Reader(tmp_path / "new", monkeypatch)
    assert new.ids() == ["a-0", "b-0", "c-0"] and len(new.files()) == 1


def test_a_part_that_is_replaced_during_a_download_is_read_from_the_larger_one(
    store: FakeStore, log: Path, reader: Reader
) -> None:
    files = LogFiles(log)
    own = uploads(log, files)
    for name in "ab":
        files.write(frame(name))
        own.run(everything=True)
    files.merge(everything=True)
    store.before_part = own.run

    assert reader.ids() == ["a-0", "b-0"]
    assert len(parts(store)) == 1


def test_a_small_part_waits_to_be_merged(store: FakeStore, log: Path, monkeypatch: Patch) -> None:
    files = LogFiles(log)
    own = uploads(log, files)
    files.write(frame("a"))
    own.run()
    assert not parts(store) and own.waiting == 1

    monkeypatch.setattr(log_bucket, "SINGLE_SECONDS", -1.0)
    own.run()
    assert len(parts(store)) == 1 and own.waiting == 0


@pytest.mark.parametrize(
    ("fault", "word"), [("dead", "nothing answers there"), ("expired", "credentials have expired")]
)
def test_while_the_bucket_is_away_the_log_stays_here(
    store: FakeStore, log: Path, reader: Reader, fault: str, word: str
) -> None:
    running = service(log)
    store.is_dead, store.says = fault == "dead", (400, "ExpiredToken")
    add(running, "a")
    soon(lambda: "1 file to upload" in str(running.problem) and word in str(running.problem))
    running.close()
    running.upload(0.2)
    with pytest.raises(BucketError, match=word):
        reader.ids()
    assert logged(log) == ["a"] and not parts(store)

    store.is_dead, store.says = False, None
    again = service(log)  # as after a restart
    add(again, "b")
    again.close()
    again.upload(30)

    assert again.problem is None
    assert reader.ids() == ["a", "b"]
    assert len(parts(store)) == 2


def test_no_batch_waits_for_the_bucket(store: FakeStore, log: Path, reader: Reader) -> None:
    answers = threading.Event()
    running = service(log)
    store.before_put = answers.wait  # the store has taken the request, and says nothing
    add(running, "a")
    running.close()
    ending = threading.Thread(target=running.upload, args=(60,))
    ending.start()

    assert logged(log) == ["a"]
    answers.set()
    ending.join()
    assert reader.ids() == ["a"]


def test_a_half_object_is_not_read_and_is_replaced(
    store: FakeStore, log: Path, reader: Reader
) -> None:
    files = LogFiles(log)
    files.write(frame("a"))
    uploads(log, files).run(everything=True)
    (key,) = parts(store)
    complete = store.objects[key]

    store.objects[key] = complete[:-1]
    with pytest.raises(
        BucketError, match="parquet in the bucket cannot be read: .* delete it there"
    ):
        reader.ids()
    assert not reader.files()

    uploads(log, LogFiles(log)).run()
    assert store.objects[key] == complete
    store.cuts = [10, 10, 10]  # lines that break
    assert reader.ids() == ["a-0"]


def test_an_answer_that_was_lost_doubles_nothing(
    store: FakeStore, log: Path, reader: Reader
) -> None:
    files = LogFiles(log)
    files.write(frame("a"))
    own = uploads(log, files)
    store.loses_answer = True
    with without_retries(), pytest.raises(BucketError):
        own.run(everything=True)
    own.run(everything=True)

    assert len(parts(store)) == 1 and reader.ids() == ["a-0"]


# Logs rows as a service does, one file each, and prints each id once it is on the disk.
WRITER = """
import sys, time
from rung_ops import prediction_log
from rung_ops.autopilot import facts
from rung_ops.prediction_log import log_bucket
from rung_ops.serving import log_writer
from machinery.tests.serving.test_log import add
log_bucket.UPLOAD_SECONDS, log_writer.MAX_FILES = 0.01, 4
folder, address = prediction_log.folder("staging"), prediction_log.address("staging")
log = log_writer.PredictionLog(folder, 0.01, address=address)
for number in range(1_000_000):
    add(log, f"{sys.argv[1]}-{number}")
    while log.written <= number:
        time.sleep(0.001)
    print(f"{sys.argv[1]}-{number}", flush=True)
"""


def test_services_that_are_killed_lose_nothing_and_double_nothing(
    store: FakeStore, log: Path, reader: Reader
) -> None:
    known = set[str]()
    for life, least in (("first", 23), ("second", 8), ("third", 42)):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, life],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None
            before = len(parts(store))
            for number, line in enumerate(process.stdout):
                known.add(line.strip())
                if number >= least and len(parts(store)) > before:
                    break
            process.send_signal(signal.SIGKILL)
            known |= {line.strip() for line in process.stdout}
        assert sum(name.startswith(life) for name in known) > least
    last = service(log)
    last.close()
    last.upload(60)

    assert last.problem is None
    found = reader.ids()
    assert len(found) == len(set(found)) and known <= set(found)
    assert len(set(found) - known) <= 3, "one of each life, written and not printed"


def test_a_service_deletes_what_was_uploaded_once_its_day_is_merged(
    store: FakeStore, log: Path, reader: Reader
) -> None:
    files = LogFiles(log)
    files.write(frame("a").with_columns(pl.col("time") - pl.duration(days=2)))
    own = uploads(log, files)
    store.is_dead = True
    with pytest.raises(BucketError):
        own.run(everything=True)
    assert logged(log) == ["a-0"]

    store.is_dead = False
    files.write(frame("b"))
    own.run(everything=True)
    assert logged(log) == ["b-0"] and reader.ids() == ["a-0", "b-0"]


def test_files_are_merged_when_their_day_is_over(log: Path, monkeypatch: Patch) -> None:
    """Else one that was uploaded and deleted here would be missing from what covers it."""
    files = LogFiles(log)
    for name in "ab":
        yesterday = pl.col("time") - pl.duration(days=1)
        files.write(frame(name).with_columns(yesterday))
    files.merge()

    (day,) = log.glob("date=*")
    assert len(prediction_log.parts(day)) == 1


def test_a_merged_part_of_one_day_covers_none_of_another(
    store: FakeStore, log: Path, reader: Reader
) -> None:
    files = LogFiles(log)
    yesterday = pl.col("time") - pl.duration(days=1)
    files.write(frame("a").with_columns(yesterday))
    files.write(frame("b"))
    files.write(frame("c").with_columns(yesterday))
    files.merge()
    uploads(log, files).run(everything=True)

    assert len(parts(store)) == 2
    assert reader.ids() == ["a-0", "b-0", "c-0"]


def test_what_a_reader_downloaded_replaces_nothing_newer_in_the_bucket(
    store: FakeStore, log: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    files = LogFiles(log)
    own = uploads(log, files)
    for name, rows in (("a", 1), ("b", 2)):
        files.write(frame(name))
        files.count({"2026-01-02": {"views": {"rows": rows}}})
        own.run(everything=True)
        if rows == 1:
            with monkeypatch.context() as other:
                other.setenv("LOGS_CACHE", str(tmp_path / "other"))
                there = log_sync.downloaded("staging")
    files.merge(everything=True)
    own.run(everything=True)
    newest = dict(store.objects)

    uploads(there, LogFiles(there)).run(everything=True)
    assert store.objects == newest


def test_counts_and_figures_reach_the_other_side(
    store: FakeStore, log: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    own = LogFiles(log)
    sent = uploads(log, own)
    for rows in (1, 2):
        own.count({"2026-01-02": {"views": {"rows": rows}}})
        sent.run()
    with monkeypatch.context() as other:
        other.setenv("LOGS_CACHE", str(tmp_path / "reader"))
        there = log_sync.downloaded("staging")
        (counted,) = other_times.folder(there).glob("*.json")
        assert json.loads(counted.read_bytes())["2026-01-02"]["views"]["rows"] == 2
        log_sync.write_figures("staging", prediction_log.MONITOR_PROM, b"problems 3\n")

    sent.run()
    assert log.with_name(prediction_log.MONITOR_PROM).read_bytes() == b"problems 3\n"


def test_other_objects_are_not_downloaded(store: FakeStore, log: Path, reader: Reader) -> None:
    for name in (
        "x.parquet",
        "predictions/date=2026-01-02/a b.parquet",
        "predictions/x/w.c.1-1.parquet",
    ):
        store.objects[STAGING + name] = b"x"

    assert reader.ids() == [] and not reader.files()


def test_who_reads_the_log_downloads_it_or_fails(
    store: FakeStore, log: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    files, now = LogFiles(log), datetime.now(UTC)
    files.write(frame("a"))
    files.write(frame("b").with_columns(pl.col("time") - pl.duration(days=DAYS + 2)))
    uploads(log, files).run(everything=True)
    monkeypatch.setenv("LOGS_CACHE", str(tmp_path / "reader"))

    traffic = logged_traffic("staging", now + timedelta(hours=1))
    assert traffic is not None and traffic.rows == 1
    assert len(Reader(tmp_path / "reader", monkeypatch).files()) == 1

    store.says = (403, "AccessDenied")
    for read in (logged_traffic, facts.answers):
        with pytest.raises(BucketError, match="may not do that"):
            read("staging", now)


def test_of_a_pass_of_the_autopilot_the_first_reader_alone_lists_the_bucket(
    store: FakeStore, log: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setenv(log_sync.DOWNLOADED, "")  # so that it is taken back
    now = datetime.now(UTC)
    log.mkdir(parents=True, exist_ok=True)
    log_sync.download_for_pass("staging", now)
    for _ in range(2):
        facts.answers("staging", now)
        with pytest.raises(UsageError):
            monitor(now)
    assert store.listings == 1

    facts.answers("staging", now + timedelta(seconds=1))
    log_sync.downloaded("staging", now)
    assert store.listings == 3

    monkeypatch.setenv("LOGS_CACHE", str(tmp_path / "elsewhere"))
    log_sync.downloaded("staging", until=now)
    assert store.listings == 4, "what the first brought is not here"


@pytest.mark.parametrize(
    ("ages", "downloaded"),
    # The last: the clock of a service is ahead.
    [((0, 59, 62, 900), {0, 59}), ((899, 900), {899}), ((-2, 300, 301), {-2, 300})],
)
def test_the_monitor_downloads_the_days_that_it_reads_and_the_newest(
    store: FakeStore,
    log: Path,
    reader: Reader,
    tmp_path: Path,
    monkeypatch: Patch,
    ages: tuple[int, ...],
    downloaded: set[int],
) -> None:
    files, now = LogFiles(log), datetime.now(UTC)
    for age in ages:
        files.write(frame("a").with_columns(pl.col("time") - pl.duration(days=age)))
    uploads(log, files).run(everything=True)
    monkeypatch.setenv("LOGS_CACHE", str(tmp_path / "reader"))

    def read(*given: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(check, "logged_rows", read)
    with pytest.raises(InterruptedError):
        monitor(now)

    days = {date.fromisoformat(path.parent.name[5:]) for path in reader.files()}
    assert {(now.date() - day).days for day in days} == downloaded


@pytest.mark.parametrize(
    ("scheme", "name", "endpoint"),
    [
        ("s3", "AWS_ENDPOINT_URL", "localhost:9000"),
        ("s3", "AWS_ENDPOINT_URL", "https://"),
        ("gs", "GOOGLE_BASE_URL", "localhost:9000"),
        ("az", "AZURE_STORAGE_ENDPOINT", "localhost:9000"),
    ],
)
def test_an_address_that_the_client_panics_at_is_a_problem(
    store: FakeStore, log: Path, monkeypatch: Patch, scheme: str, name: str, endpoint: str
) -> None:
    monkeypatch.setenv(name, endpoint)
    monkeypatch.setenv("LOGS", f"{scheme}://no-client-yet/team")
    running = service(log)
    add(running, "a")
    soon(lambda: "1 file to upload" in str(running.problem))
    running.close()
    running.upload(0.1)
    with pytest.raises(BucketError, match=f"{name}={endpoint}: expected"):
        logged_traffic("staging", datetime.now(UTC))


def test_an_empty_address_of_the_store_counts_as_none(monkeypatch: Patch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    buckets.client("s3://another/team")
    assert "AWS_ENDPOINT_URL" not in os.environ, "the client reads it, and panics"


def test_no_error_of_the_client_ends_the_upload(
    store: FakeStore, log: Path, monkeypatch: Patch
) -> None:
    class PanicError(BaseException):
        pass

    def panic(*_: object) -> None:
        raise PanicError("unwrap")

    with monkeypatch.context() as other:
        other.setattr(Uploads, "run", panic)
        running = service(log)
        add(running, "a")
        soon(lambda: "unwrap" in str(running.problem))
    soon(lambda: running.problem is None)
    running.close()
    running.upload(30)
    assert len(parts(store)) == 1


def test_only_stores_that_are_shared_are_taken(store: FakeStore, monkeypatch: Patch) -> None:
    monkeypatch.setenv("LOGS", "ftp://team")
    with pytest.raises(SettingsError, match="LOGS=ftp://team: expected a folder, or one of s3://"):
        prediction_log.folder("staging")
