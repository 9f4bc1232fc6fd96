"""The prediction log: one row for each prediction, in Parquet files by day, written atomically.

Columns: `id`, `time` (UTC, of the prediction), `release` (that predicted), `arm` (serving, canary,
shadow or batch), `row` (the input columns), `features` (inputs of the model), `prediction`,
`probabilities` (by class, where the target is one of several; `prediction` then names the most
probable), `interval` (where there are QUANTILES; `prediction` is then the median), `defaults_used`
(columns that were filled with the contract's default), `reasons` (as they were
answered; null, or no column, if not asked for), and `sent` (entity features that the
caller sent, so that they were not looked up; no column for a release without such features).

Files and folders are for the user alone that writes them, as they hold rows of people; with LOG_KEYS
they are encrypted (`sealed`). `log_sync` and `log_bucket` share them between machines without
a common folder.

A folder holds `date=2026-01-31/WRITER.COLUMNS.FIRST-LAST.parquet`. A writer numbers its files. Merging them
gives one file with the range of their numbers; the small files are kept for a while for processes that are
reading them. So `read` skips a file whose numbers another one covers.
"""

import hashlib
import os
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rung_ops.model.added_columns import DEFAULTS_USED, PREDICTION
from rung_ops.model.rows import Rows, frame_of
from rung_ops.model.target import ONE_NUMBER, Kind, columns
from rung_ops.prediction_log import sealed
from rung_ops.project import paths
from rung_ops.system.files import private_folder, sync, writing

# Merged files are kept for processes that are reading them: the monitor, for minutes if rows are many.
KEEP_SECONDS = 600.0
STALE_SECONDS = 3600.0  # an unfinished file older than this is from a killed writer

PART_NAME = re.compile(r"(?P<writer>\w+)\.(?P<columns>\w+)\.(?P<first>\d+)-(?P<last>\d+)\.parquet")


class Part(NamedTuple):
    """A file of the log: numbers `first` to `last` of a writer, all with the same columns."""

    path: Path
    writer: str
    columns: str
    first: int
    last: int


def parts(day: Path) -> list[Part]:
    """List the files of a day's folder, without those that another one covers."""
    return uncovered(all_parts(day))


def all_parts(day: Path) -> list[Part]:
    """List all files of a day's folder; a file with another kind of name counts as a writer."""
    paths = sorted(day.glob("*.parquet"))
    return [part_of(path) or Part(path, path.name, path.name, 0, 0) for path in paths]


def part_of(path: Path) -> Part | None:
    """Read the name of a file; None for another kind of name."""
    if (name := PART_NAME.fullmatch(path.name)) is None:
        return None
    return Part(path, name["writer"], name["columns"], int(name["first"]), int(name["last"]))


def delete_merged(day: Path) -> None:
    """Delete files that were merged a while ago, and unfinished files of killed writers."""
    present = time.time()
    old = []
    for part, merged in _with_covering(all_parts(day)):
        with suppress(FileNotFoundError):  # another process was faster
            if (
                merged
                and present - min(other.path.stat().st_mtime for other in merged) > KEEP_SECONDS
            ):
                old.append(part.path)
    for path in old:
        path.unlink(missing_ok=True)
    for path in day.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if present - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


def uncovered(listed: Iterable[Part]) -> list[Part]:
    """Remove each file whose numbers another one of the same day, writer and columns covers."""
    return [part for part, merged in _with_covering(listed) if not merged]


def _with_covering(listed: Iterable[Part]) -> Iterator[tuple[Part, list[Part]]]:
    """Yield each file with those of the same day, writer and columns that cover its numbers."""
    by_writer: dict[tuple[Path, str, str], list[Part]] = defaultdict(list)
    for part in listed:
        by_writer[part.path.parent, part.writer, part.columns].append(part)
    for of_writer in by_writer.values():
        earlier: list[Part] = []  # that may cover what comes
        for part in sorted(of_writer, key=lambda part: (part.first, -part.last)):
            earlier = [other for other in earlier if other.last >= part.first]
            yield part, [other for other in earlier if other.last >= part.last]
            earlier.append(part)


TIME = pl.Datetime("us", "UTC")
# Figures for Prometheus, beside the folder of a log: the service passes them on.
MONITOR_PROM, AUTOPILOT_PROM = "monitor.prom", "autopilot.prom"
LOAD_TEST = "load-"  # of the request ids of every load test, which are no traffic
SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "time": TIME,
    "release": pl.String(),
    "arm": pl.String(),
    "row": pl.Struct([]),
    "features": pl.Struct([]),
    PREDICTION: pl.Float64(),
    DEFAULTS_USED: pl.List(pl.String()),
}
REASON = {"columns": pl.List(pl.String()), "text": pl.String(), "effect": pl.Float64()}


class Batch(NamedTuple):
    """Predictions of one release at one time; frames and lists of equal length.

    Attributes:
        time: microseconds since 1970, UTC.
        ids, release, arm: as the module says.
        rows, features: shape (n_rows, n_columns) and (n_rows, n_features).
        predictions: shape (n_rows,), (n_rows, n_classes) or (n_rows, 3), as `kind` has it.
        defaults: names of the defaulted columns of each row; None if no row has any.
        reasons: of each row, as rung_ops.model.reasons.Reason; None if not asked for.
        sent: names of the entity features of each row that the caller sent; None if it has none.
    """

    time: int
    ids: Sequence[str]
    release: str
    arm: str
    rows: Rows
    features: Rows
    predictions: np.ndarray
    defaults: Sequence[Sequence[str]] | None = None
    reasons: Sequence[Sequence[Any]] | None = None
    kind: Kind = ONE_NUMBER
    sent: Sequence[Sequence[str]] | None = None


def logs() -> Path:
    """Return the folder of the logs of all environments: $LOGS, or logs/; see paths.share()."""
    return paths.share("LOGS", "logs")


def folder(environment: str) -> Path:
    """Return the folder of an environment's log."""
    return logs() / environment / "predictions"


def address(environment: str) -> str:
    """Return the address of an environment's logs in the bucket of $LOGS; empty where it is a folder."""
    return paths.bucket_address("LOGS", environment)


def now() -> int:
    """Return the current time in the log's unit: microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def assemble(batches: Sequence[Batch]) -> pl.DataFrame:
    """Build rows of the log from batches with the same columns and kind.

    Either all have reasons, or none; and so with entity features that were sent.

    Raises:
        polars.exceptions.PolarsError, ValueError: the parts of a batch differ in length.
    """
    lengths = [len(batch.ids) for batch in batches]
    origin = pl.DataFrame(
        {
            "time": pl.Series([batch.time for batch in batches], dtype=pl.Int64).cast(TIME),
            "release": [batch.release for batch in batches],
            "arm": [batch.arm for batch in batches],
        }
    )[np.repeat(np.arange(len(batches)), lengths)]
    rows = frame_of([batch.rows for batch in batches])
    features = frame_of([batch.features for batch in batches])
    predictions = np.concatenate([batch.predictions for batch in batches])
    ids = [identity for batch in batches for identity in batch.ids]
    if not len(ids) == rows.height == features.height == len(predictions):
        raise ValueError(f"got {len(ids)} ids, {rows.height} rows, {len(predictions)} predictions")
    optional = [_reasons(batches)] if batches[0].reasons is not None else []
    if batches[0].sent is not None:
        sent = [list(names) for batch in batches for names in batch.sent or ()]
        optional.append(pl.Series("sent", sent, dtype=pl.List(pl.String())))
    return pl.DataFrame(
        [
            pl.Series("id", ids, dtype=pl.String),
            *origin.get_columns(),
            rows.to_struct("row"),
            features.to_struct("features"),
            *columns(predictions, batches[0].kind),
            _defaults(batches, lengths),
            *optional,
        ]
    )


def _defaults(batches: Sequence[Batch], lengths: list[int]) -> pl.Series:
    kind = pl.List(pl.String())
    if not any(batch.defaults for batch in batches):
        return pl.Series(DEFAULTS_USED, [[]], dtype=kind).new_from_index(0, sum(lengths))
    names = [
        list(of_row)
        for batch, length in zip(batches, lengths, strict=True)
        for of_row in (batch.defaults or [()] * length)
    ]
    return pl.Series(DEFAULTS_USED, names, dtype=kind)


def _reasons(batches: Sequence[Batch]) -> pl.Series:
    reasons_of_rows = [
        [{name: getattr(each, name) for name in REASON} for each in of_row]
        for batch in batches
        for of_row in batch.reasons or ()
    ]
    return pl.Series("reasons", reasons_of_rows, dtype=pl.List(pl.Struct(REASON)))


def columns_of(frame: pl.DataFrame) -> str:
    """Return a short hash of the schema of a frame of the log."""
    return hashlib.sha256(repr(frame.schema).encode()).hexdigest()[:8]


def writer_name() -> str:
    """Return a unique name for a writer."""
    return f"w{int(time.time())}{secrets.token_hex(4)}"


def write(frame: pl.DataFrame, folder: Path, writer: str, first: int, last: int) -> Part:
    """Write rows of one day as one file, atomically; no file is left where that fails.

    `first` and `last` are the numbers of the files of this writer that it replaces, equal for a new
    one.
    """
    day = datetime.fromtimestamp(frame["time"][0].timestamp(), UTC).date()
    columns = columns_of(frame)
    path = folder / f"date={day}" / f"{writer}.{columns}.{first:08}-{last:08}.parquet"
    private_folder(folder)
    private_folder(path.parent)
    with writing(path, private=True) as draft:
        sealed.write(frame, draft)
    return Part(path, writer, columns, first, last)


def write_predictions(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Write rows of the log once, as batch scoring does: one file for each day."""
    writer = writer_name()
    days = frame.group_by(pl.col("time").dt.date(), maintain_order=True)
    return [write(day, folder, writer, n, n).path for n, (_, day) in enumerate(days, 1)]


def publish(drafts: Path, folder: Path) -> None:
    """Bring all files that write() wrote into a folder of drafts to the log's folder, or none.

    Killed on its way, it leaves those that it has brought.
    """
    published: list[Path] = []
    try:
        for draft in sorted(drafts.glob("date=*/*.parquet")):
            path = folder / draft.relative_to(drafts)
            private_folder(path.parent)
            os.replace(draft, path)
            published.append(path)
        for day in {path.parent for path in published}:
            sync(day)
    except BaseException:  # Ctrl-C, too
        for path in published:
            path.unlink(missing_ok=True)
        raise


def read(
    folder: Path, since: datetime | None = None, until: datetime | None = None
) -> pl.LazyFrame:
    """Read the log from `since` until before `until`, with a time zone; as read_days() returns it."""
    return read_days(folder, since, until).filter(within(since, until))


def within(since: datetime | None, until: datetime | None) -> pl.Expr:
    """Tell which rows of the log are from `since` on and before `until`, with a time zone."""
    chosen = pl.lit(True)
    if since is not None:
        chosen &= pl.col("time") >= since.astimezone(UTC)
    if until is not None:
        chosen &= pl.col("time") < until.astimezone(UTC)
    return chosen


def read_days(
    folder: Path, since: datetime | None = None, until: datetime | None = None
) -> pl.LazyFrame:
    """Read the whole days of the log that hold rows of within().

    Returns:
        The columns of SCHEMA. If releases differ in their columns, `row` and `features` have the
        columns of all, null if a release lacks one. Collect it within minutes: files that were
        merged into a larger one are removed then.
    """
    by_columns: dict[str, list[Path]] = defaultdict(list)
    for day in sorted(folder.glob("date=*")):
        date = day.name.removeprefix("date=")
        if since is not None and date < str(since.astimezone(UTC).date()):
            continue
        if until is not None and date > str(until.astimezone(UTC).date()):
            continue
        for part in parts(day):
            by_columns[part.columns].append(part.path)
    if not by_columns:
        return pl.LazyFrame(schema=SCHEMA)
    scans = [sealed.scan(files) for files in by_columns.values()]
    return scans[0] if len(scans) == 1 else pl.concat(scans, how="diagonal_relaxed")
