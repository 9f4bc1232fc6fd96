"""Cut the rows into periods: months if they have a time, otherwise tenths in their order."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from rung_ops import contract
from rung_ops.contract.raw_file import read
from rung_ops.contract.row_checks import inspect_labelled
from rung_ops.errors import OpsError
from rung_ops.gate import rules
from rung_ops.project.paths import params, raw_files, shown

MONTH, TENTH = "month", "tenth"
MIN_MONTHS = 4  # rows of fewer are cut into tenths
MOST_MONTHS = 24  # replayed, unless `--from` names an earlier one
TENTHS = 10
SAMPLE = 2  # periods that the first release is trained on; more if the gate needs more rows
WHEN = "time of the request"  # in UTC; not the name of a column in Row

# Rows without a time: each tenth counts as a month, starting here.
START = datetime(2001, 1, 1, tzinfo=UTC)
LASTS = timedelta(days=30)


@dataclass(frozen=True)
class Period:
    """A part of the rows."""

    name: str  # such as 2013-03, or tenth 3
    rows: pl.DataFrame  # columns of Row and WHEN, ordered by WHEN
    start: datetime  # start (inclusive) and end (exclusive), in UTC
    end: datetime

    @property
    def id(self) -> str:
        """Its name without spaces."""
        return self.name.replace(" ", "-")


def all_rows() -> pl.DataFrame:
    """Read all raw files of the project."""
    frames = []
    for path in raw_files():
        typed, problems, _ = inspect_labelled(read(path), shown(path))
        if problems:
            raise OpsError(f"{problems[0]}: fix it first (`uv run poe validate`).")
        frames.append(typed)
    if not frames:
        raise OpsError("There is no data: put a file into data/sample.")
    return pl.concat(frames)


def cut(rows: pl.DataFrame) -> tuple[str, list[Period]]:
    """Cut rows into periods, earliest first, whose unit is MONTH or TENTH."""
    time = contract.TIME
    if time is not None and rows[time].dtype.is_temporal() and rows[time].dtype != pl.Time:
        rows = rows.sort(time, maintain_order=True)
        when = pl.col(time).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        rows = rows.with_columns(when.alias(WHEN))
        months = rows.with_columns(pl.col(WHEN).dt.truncate("1mo").alias("its month"))
        if months["its month"].n_unique() >= MIN_MONTHS:
            parts = months.partition_by("its month", include_key=False, maintain_order=True)
            return MONTH, [_month(part) for part in parts]
    elif time is not None:
        rows = rows.sort(time, maintain_order=True)
    return TENTH, _tenths(rows)


def beginning(periods: list[Period], start: str | None = None) -> int:
    """Return how many periods the first release is trained on: those before `start`.

    By default they are the fewest that leave no more than MOST_MONTHS to replay.
    """
    least = _least(periods)
    if start is None:
        return max(least, len(periods) - MOST_MONTHS)
    for number, period in enumerate(periods):
        if number >= least and start in (period.name, period.id):
            return number
    allowed = ", ".join(period.id for period in periods[least:])
    raise OpsError(f"--from: got {start!r}; expected one of {allowed}.")


def _least(periods: list[Period]) -> int:
    """Return how many periods the first release needs to have enough test rows for the gate."""
    share = params()["split"]["test_share"]
    wanted = rules.read().min_rows / share
    rows = 0
    for number, period in enumerate(periods, 1):
        rows += period.rows.height
        if number >= SAMPLE and rows >= wanted and number < len(periods):
            return number
    raise OpsError(
        f"There are {rows:,} rows. The first release needs {wanted:,.0f} of them, as the gate "
        f"needs {wanted * share:,.0f} test rows (ops/gate.toml), so none would be left to replay."
    )


def _month(rows: pl.DataFrame) -> Period:
    start: datetime = rows[WHEN].dt.truncate("1mo")[0]
    end: datetime = rows[WHEN].dt.truncate("1mo").dt.offset_by("1mo")[0]
    return Period(f"{start:%Y-%m}", rows, start, end)


def _tenths(rows: pl.DataFrame) -> list[Period]:
    if rows.height < TENTHS * SAMPLE:
        raise OpsError(f"There are {rows.height} rows: too few to cut them into {TENTHS} parts.")
    bounds = [round(rows.height * number / TENTHS) for number in range(TENTHS + 1)]
    periods = []
    for number in range(TENTHS):
        part = rows[bounds[number] : bounds[number + 1]]
        if WHEN in part.columns:
            start, end = part[WHEN][0], part[WHEN][-1] + timedelta(microseconds=1)
        else:
            start = START + number * LASTS
            end = start + LASTS
            step = LASTS / part.height
            times = [start + step * index for index in range(part.height)]
            kind = pl.Datetime("us", "UTC")
            part = part.with_columns(pl.Series(WHEN, times).cast(kind))
        periods.append(Period(f"tenth {number + 1}", part, start, end))
    return periods
