"""The bucket of $LOGS: a service uploads its parts of the log, and readers download what they lack.

Below the address of an environment are the same files as in its folder on a machine: parts, counts of
`other_times`, and figures for Prometheus. A part is uploaded as it is, so encrypted with LOG_KEYS, is
there as a whole or not at all, and never changes. One that a larger part covers is deleted. A service
uploads from a thread that no request waits for.
"""

import logging
import os
import re
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
import polars as pl
from obstore import exceptions

from rung_ops import prediction_log
from rung_ops.prediction_log import AUTOPILOT_PROM, MONITOR_PROM, Part, other_times, sealed
from rung_ops.system import buckets, files
from rung_ops.system.patience import without_retries
from rung_ops.system.printable import counted

PART = re.compile(rf"predictions/date=\d{{4}}-\d\d-\d\d/{prediction_log.PART_NAME.pattern}")
COUNTS = re.compile(r"other_times/\w+\.json")
SINGLE_SECONDS = 60.0  # by then a file of a busy service was merged into a larger one
KEEP = timedelta(hours=1)  # after its day, when all of that is merged, a service keeps a part
LOOKS = 3  # at the bucket, while services replace parts by larger ones


def download(
    log: Path, address: str, since: datetime | None = None, until: datetime | None = None
) -> None:
    """Bring the parts and counts that a machine lacks to the folder of a log.

    Args:
        since: parts from its day on are enough, or those of the newest day until `until`.

    Raises:
        BucketError: one of them cannot be read, is damaged, or is encrypted with another key.
    """
    with buckets.in_words(address):
        store = buckets.client(address)
        for left in reversed(range(LOOKS)):
            listed = {stored["path"]: stored for stored in buckets.listed(store)}
            try:
                for key in _lacking(log, listed, since, until):
                    _download(store, log.parent / key, listed[key])
                break
            except FileNotFoundError:  # a larger part has taken its place since
                if not left:
                    raise
    for day in log.glob("date=*"):
        prediction_log.delete_merged(day)


def _lacking(
    log: Path, listed: dict[str, Any], since: datetime | None, until: datetime | None
) -> list[str]:
    """Name the parts that are not here, and not covered by others, and the counts that are older here."""
    keys = [key for key in listed if PART.fullmatch(key)]
    first = _folder(since) if since else ""
    read = [
        day for key in keys if (day := key.rpartition("/")[0]) <= _folder(until or datetime.max)
    ]
    first = min(first, max(read, default=first))
    parts = _uncovered([key for key in keys if key >= first], log)
    counts = [key for key in listed if COUNTS.fullmatch(key)]
    return [key for key in parts if not (log.parent / key).exists()] + [
        key for key in counts if _changed_at(log.parent / key) < _modified(listed[key])
    ]


def _folder(moment: datetime) -> str:
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"predictions/date={utc:%Y-%m-%d}"


def _uncovered(keys: list[str], log: Path) -> list[str]:
    in_bucket = {part for key in keys if (part := prediction_log.part_of(log.parent / key))}
    days = {part.path.parent for part in in_bucket}
    here = [part for day in days for part in prediction_log.all_parts(day)]
    return [
        part.path.relative_to(log.parent).as_posix()
        for part in prediction_log.uncovered({*here, *in_bucket})
        if part in in_bucket
    ]


def _download(store: Any, path: Path, stored: dict[str, Any]) -> None:
    files.private_folder(path.parent.parent)
    files.private_folder(path.parent)
    key, size = stored["path"], stored["size"]
    with files.writing(path, writer=prediction_log.writer_name(), private=True) as draft:
        with draft.open("wb") as written:
            for part in buckets.parts(store, key, size):
                written.write(part)
        if PART.fullmatch(key):
            _check(draft, key)
        else:
            os.utime(draft, (_modified(stored), _modified(stored)))


def _check(draft: Path, key: str) -> None:
    """Refuse a part of which some is missing, or that was changed after it was encrypted."""
    try:
        sealed.scan([draft]).collect_schema()
    except (pl.exceptions.PolarsError, sealed.SealedError) as error:
        reason = str(error).replace(str(draft), "it").splitlines()[0]
        raise buckets.BucketError(
            f"{key} in the bucket cannot be read: {reason}. If it is damaged, a restart of the service "
            "that wrote it replaces it; where that is gone, delete it there: its rows are lost."
        ) from error


def _changed_at(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _modified(stored: dict[str, Any]) -> float:
    return float(stored["last_modified"].timestamp())


def upload_figures(path: Path, address: str) -> None:
    """Upload figures for Prometheus, which services download."""
    with buckets.in_words(address):
        obstore.put(buckets.client(address), path.name, path)


class Uploads:
    """What one process of a service uploads: its own files, and those that earlier ones left here.

    Args:
        log: folder of the log.
        writer: name of this process in the log.
        address: of the environment in the bucket.
    """

    def __init__(self, log: Path, writer: str, address: str) -> None:
        self.waiting = 0  # parts that the bucket lacks, at the end of run()
        self._log, self._writer, self._address = log, writer, address
        self._left = set(log.glob("date=*/*.parquet")) | set(other_times.folder(log).glob("*.json"))
        self._stored: dict[str, int] | None = None  # length of the parts in the bucket, by key
        self._counts: dict[Path, bytes] = {}  # as they were uploaded
        self._tags: dict[str, str] = {}  # of the figures that were downloaded

    def run(self, everything: bool = False) -> None:
        """Upload what is ready, or everything; then remove what is not needed any more.

        Raises:
            BucketError: the bucket cannot be used; what it lacks stays here.
        """
        own = self._own()
        with buckets.in_words(self._address):
            store = buckets.client(self._address)
            if self._stored is None:
                listed = {stored["path"]: stored for stored in buckets.listed(store)}
                self._pass_over(listed)
                self._stored = {key: listed[key]["size"] for key in listed if PART.fullmatch(key)}
                own = self._own()
            for part in own:
                self._upload(store, part, everything)
            for path in other_times.folder(self._log).glob("*.json"):
                if path.stem == self._writer or path in self._left:
                    self._upload_counts(store, path)
            for name in (MONITOR_PROM, AUTOPILOT_PROM):
                self._download_figures(store, name)
            self._delete_covered(store)
        for part in own:
            self._forget(part.path)

    def _own(self) -> list[Part]:
        """List the parts here that this process has to bring to the bucket, and count what it lacks."""
        parts = [part for day in self._log.glob("date=*") for part in prediction_log.parts(day)]
        own = [part for part in parts if part.writer == self._writer or part.path in self._left]
        self.waiting = sum(self._key(part.path) not in (self._stored or {}) for part in own)
        return own

    def _pass_over(self, listed: dict[str, Any]) -> None:
        """Leave out what a reader downloaded to this folder: the bucket has it, or what replaced it."""
        in_bucket = [
            part for key in listed if (part := prediction_log.part_of(self._log.parent / key))
        ]
        here = [part for path in self._left if (part := prediction_log.part_of(path))]
        kept = {part.path for part in prediction_log.uncovered({*here, *in_bucket})}
        self._left -= {part.path for part in here if part.path not in kept}
        for path in other_times.folder(self._log).glob("*.json"):
            stored = listed.get(self._key(path))
            if stored and _modified(stored) >= _changed_at(path):
                self._left.discard(path)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._log.parent).as_posix()

    def _upload(self, store: Any, part: Part, everything: bool) -> None:
        assert self._stored is not None
        key = self._key(part.path)
        try:
            status = part.path.stat()
        except FileNotFoundError:  # it was merged, and its numbers are in a larger one
            return
        may_be_merged = part.first == part.last and part.writer == self._writer and not everything
        is_young = time.time() - status.st_mtime < SINGLE_SECONDS
        if self._stored.get(key) == status.st_size or (may_be_merged and is_young):
            return
        with suppress(FileNotFoundError):
            content = part.path.read_bytes()
            obstore.put(store, key, content, chunk_size=buckets.PART, max_concurrency=1)
            self._stored[key] = len(content)
            self.waiting -= 1

    def _upload_counts(self, store: Any, path: Path) -> None:
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            if content != self._counts.get(path):
                obstore.put(store, self._key(path), content)
                self._counts[path] = content

    def _download_figures(self, store: Any, name: str) -> None:
        options: Any = {"if_none_match": self._tags[name]} if name in self._tags else None
        with suppress(exceptions.NotModifiedError, FileNotFoundError):
            found = obstore.get(store, name, options=options)
            content = bytes(found.bytes())
            files.private_folder(self._log.parent)
            files.write(self._log.with_name(name), content)
            if tag := found.meta["e_tag"]:
                self._tags[name] = tag

    def _delete_covered(self, store: Any) -> None:
        """Delete the parts in the bucket that larger ones there cover; where that is denied, they stay."""
        assert self._stored is not None
        own = [part for key in self._stored if (part := prediction_log.part_of(Path(key)))]
        own = [part for part in own if part.writer == self._writer]
        covered = [part.path.as_posix() for part in set(own) - set(prediction_log.uncovered(own))]
        if covered:
            with suppress(exceptions.BaseError, FileNotFoundError):
                obstore.delete(store, covered)
        for key in covered:
            del self._stored[key]

    def _forget(self, path: Path) -> None:
        """Delete a part here that was uploaded, once no merging needs it."""
        newest_day = f"date={datetime.now(UTC) - KEEP:%Y-%m-%d}"
        if self._key(path) in (self._stored or {}) and path.parent.name < newest_day:
            path.unlink(missing_ok=True)


LOG = logging.getLogger("service")

UPLOAD_SECONDS = 10.0  # between two looks at the folder
MAX_SECONDS = 300.0  # between two tries while the bucket cannot be used, twice as many each time
CLOSING_SECONDS = 0.5  # the same while the service ends


class LogUpload:
    """Brings what one process logs to the bucket; while that is away, all stays on this machine."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._failing_since = self._reason = ""
        self._closes: float | None = None  # monotonic seconds
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-upload", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str | None:
        """Why, and since when, the bucket lacks parts of the log; None if it does not."""
        if not self._reason:
            return None
        return (
            f"{self._reason}. Since {self._failing_since} the prediction log stays on this machine: "
            f"{counted(self._uploads.waiting, 'file')} to upload."
        )

    def close(self, seconds: float) -> None:
        """Upload all that is written, within `seconds`; what is left waits for the next start here."""
        self._closes = time.monotonic() + seconds
        self._wake.set()
        self._thread.join(seconds)
        if self._thread.is_alive() or self._reason:
            LOG.warning("Files of the prediction log are not in the bucket. %s", self.problem or "")

    def _run(self) -> None:
        wait = UPLOAD_SECONDS
        with without_retries():
            while self._closes is None:
                wait = UPLOAD_SECONDS if self._upload() else min(wait * 2, MAX_SECONDS)
                self._wake.wait(wait)
            while not self._upload(everything=True) and time.monotonic() < self._closes:
                time.sleep(CLOSING_SECONDS)

    def _upload(self, everything: bool = False) -> bool:
        try:
            self._uploads.run(everything)
        except BaseException as error:  # none may end this thread, nor may a panic of the client
            if not self._reason:
                self._failing_since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
                LOG.error("The prediction log cannot be uploaded: %s", error)
            self._reason = str(error).rstrip(".")
            return False
        self._reason = ""
        return True


def start_uploads(log: Path, writer: str, address: str) -> LogUpload:
    """Start to upload what a process of the service logs to a folder."""
    return LogUpload(Uploads(log, writer, address))
