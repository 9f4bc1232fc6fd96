"""The promises of load() and of the raw files, and the sample that other promises are checked with."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from rung_ops import contract
from rung_ops.contract import calling, explain, raw_file
from rung_ops.contract.raw_file import read, refuse_large_frame, refuse_too_large
from rung_ops.contract.row_checks import inspect_labelled
from rung_ops.errors import StageError
from rung_ops.features import EntityFeature
from rung_ops.features.point_in_time import join, of_forecast
from rung_ops.features.sources import Events
from rung_ops.model.columns import time_zone
from rung_ops.project import current
from rung_ops.project.paths import links_refused, raw_files, raw_files_in, shown

MOST_RAW_ROWS = 50
SEPARATORS = ",;\t|"
ENCODINGS = ("utf-8", "latin-1")  # the second reads any bytes, and writes them as they were


@dataclass(frozen=True)
class RawTable:
    """The first rows of a raw file, as text of a CSV file, which alone has a separator and an encoding."""

    path: Path
    frame: pl.DataFrame
    separator: str = ""
    encoding: str = ""

    @contextmanager
    def written(self, frame: pl.DataFrame) -> Iterator[Path]:
        """Lend a file of this name and kind with other rows or columns."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / self.path.name
            if not self.separator:
                frame.write_parquet(path)
            else:
                with path.open("w", encoding=self.encoding, newline="") as file:
                    writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
                    writer.writerows([frame.columns, *frame.iter_rows()])
            yield path


def read_raw_table(path: Path) -> RawTable | None:
    """Read the first rows of a Parquet or CSV file; None of another, and of what load() does not read."""
    if raw_file.is_row_file(path):
        return None
    if path.suffix == ".parquet":
        return RawTable(path, pl.read_parquet(path, n_rows=MOST_RAW_ROWS))
    if path.suffix != ".csv":
        return None
    for encoding in ENCODINGS:
        try:
            return _csv(path, encoding)
        except UnicodeDecodeError:
            continue
        except csv.Error:
            break
    return None


def _csv(path: Path, encoding: str) -> RawTable | None:
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline()
        separator = max(SEPARATORS, key=first.count)
        file.seek(0)
        header, *rows = islice(csv.reader(file, delimiter=separator), MOST_RAW_ROWS + 1) or [[]]
    if len(set(header)) < len(header) or any(len(row) != len(header) for row in rows):
        return None
    frame = pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String), orient="row")
    return RawTable(path, frame, separator, encoding)


KEYS = (pl.String, pl.Boolean, pl.Date)  # and whole numbers; a float has no exact text


def well_declared() -> None:
    """Entity features have unique names, and are looked up by columns that a caller sends."""
    declared = contract.ENTITY_FEATURES
    if not isinstance(declared, list) or not all(isinstance(e, EntityFeature) for e in declared):
        raise StageError("features.py: ENTITY_FEATURES must be a list of EntityFeature.")
    columns = {name: kind.type for name, kind in contract.Row.to_schema().dtypes.items()}
    for name, times in Counter(feature.name for feature in declared).items():
        if times > 1:
            raise StageError(f"features.py: {times} entity features are called `{name}`.")
        if name in columns:
            raise StageError(
                f"features.py: the entity feature `{name}` has the name of a column of Row."
            )
    for feature in declared:
        for key in feature.entity:
            what = f"features.py: the entity of `{feature.name}` is `{key}`, which"
            if key not in columns or key == contract.TARGET:
                raise StageError(f"{what} is not a column of Row that a caller sends.")
            if not (columns[key].is_integer() or columns[key] in KEYS):
                raise StageError(
                    f"{what} is of type {columns[key]}; name an entity by text, whole numbers, "
                    "booleans or dates."
                )
        time = of_forecast(feature).at
        # Equality, as pandera gives the class of a date and an instance of a datetime.
        if time is None or columns.get(time) not in (pl.Date, pl.Datetime):
            raise StageError(
                f"features.py: the entity feature `{feature.name}` needs the time of a row: set TIME "
                "in dataset.py, or `at`, to a column of Row that is a date or a datetime."
            )


def with_entity_features(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the entity features to rows of Row."""
    is_sample = bool(raw_files_in(current().sample))
    return join(rows, events=Events(current().root, is_sample))


MOST_ROWS = 2_000  # enough for a model, quick to fit


def raw_files_keep_row() -> None:
    """load() reads every raw file, and its rows keep the rules of Row."""
    if refused := links_refused():
        raise StageError("\n".join(refused))
    if not raw_files():
        raise StageError("There is no data: put a file into data/sample.")
    for path in raw_files():
        frame = _loaded(path)
        _, problems, _ = inspect_labelled(frame, shown(path))
        if problems:
            raise StageError("\n".join(map(str, problems)))


def _loaded(path: Path) -> pl.DataFrame:
    refuse_too_large(path)
    with calling(f"load() of {shown(path)}"):
        frame = raw_file.load_rows(path)
        if isinstance(frame, pl.LazyFrame):
            refuse_large_frame(frame, path)
            frame = frame.collect()
    if not isinstance(frame, pl.DataFrame):
        kind = type(frame).__name__
        raise StageError(
            f"dataset.py: load() returns {kind}; it must be a Polars DataFrame or LazyFrame."
        )
    return frame


def target_may_be_missing() -> None:
    """load() reads a file without the target, as `poe predict` reads rows to predict with it."""
    for path in raw_files():
        table = read_raw_table(path)
        names = _of_target(table) if table else []
        if not table or not names:
            continue  # another format, or columns of the inputs make the target
        with table.written(table.frame.drop(names)) as without:
            try:
                read(without)
            except StageError as error:
                what = f"load() of a file without {' and '.join(f'`{name}`' for name in names)}"
                sentence = explain(what, error.__cause__ or error)
                raise StageError(f"{sentence} Rows to predict have no target yet.") from error
        return


def _of_target(table: RawTable) -> list[str]:
    """List the columns of a raw file that only make the target: reordered, they change it alone."""
    if contract.TARGET in table.frame.columns:
        return [contract.TARGET]
    rows = _rows(table, table.frame)
    if rows is None:
        return []
    return [
        name
        for name in table.frame.columns
        if (other := _rows(table, table.frame.with_columns(pl.col(name).reverse()))) is not None
        and [each for each in rows.columns if not rows[each].equals(other[each])]
        == [contract.TARGET]
    ]


def _rows(table: RawTable, frame: pl.DataFrame) -> pl.DataFrame | None:
    """Read a changed file with load(); None if it is refused or lacks columns of Row."""
    with table.written(frame) as path:
        try:
            return read(path).select(list(contract.Row.to_schema().columns))
        except (StageError, pl.exceptions.PolarsError):
            return None


@cache
def sample() -> pl.DataFrame:
    """Take up to MOST_ROWS rows of the first raw file, in a random order."""
    path = (raw_files_in(current().sample) or raw_files())[0]
    rows = inspect_labelled(_loaded(path), shown(path))[0]
    return rows.sample(min(MOST_ROWS, rows.height), seed=1)


@cache
def featured_sample() -> pl.DataFrame:
    """Add the entity features to the sample."""
    return with_entity_features(sample())


OFFSET, ZONE = "+05:00", "Etc/GMT-5"  # the same; the sign of such a name is the other way round
CLOCK = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?$"


def times_are_not_moved() -> None:
    """load() does not move a time with an offset to UTC, where Row has times without a zone.

    The service refuses such a time. A file with one has to be refused as well, or to keep the clock
    that it shows: an hour of the day would be another number otherwise.
    """
    names = [
        name
        for name, column in contract.Row.to_schema().columns.items()
        if isinstance(column.dtype.type, pl.Datetime) and not time_zone(column.dtype.type)
    ]
    for path in raw_files() if names else []:
        if table := read_raw_table(path):
            return _try(table, names)


def _try(table: RawTable, names: list[str]) -> None:
    plain, expected = table.frame, _typed_rows(table, table.frame)
    if expected is None:
        return
    for name in names:
        with_offset = [_with_offset(plain[name])] if name in plain.columns else []
        moved = _typed_rows(table, plain.with_columns(with_offset)) if with_offset else None
        if moved is None or moved.height != expected.height:
            continue
        differs = moved[name].ne_missing(expected[name]).arg_true()
        if len(differs):
            before, after = expected[name][differs[0]], moved[name][differs[0]]
            raise StageError(
                f"dataset.py: load() moves times with an offset without a word: `{name}` was "
                f"{before.isoformat()}{OFFSET} and became {after and after.isoformat()}. Keep the "
                "time zone that Polars finds in the file, so that the file is refused, or make it a "
                "local time with `dt.convert_time_zone(...).dt.replace_time_zone(None)`."
            )


def _with_offset(values: pl.Series) -> pl.Series:
    """Give each time an offset, as text or by its type; others stay as they are."""
    if isinstance(values.dtype, pl.Datetime) and not time_zone(values.dtype):
        return values.dt.replace_time_zone(ZONE)
    if values.dtype != pl.String:
        return values
    column = pl.col(values.name)
    clock = pl.when(column.str.contains(CLOCK)).then(column + OFFSET).otherwise(column)
    return values.to_frame().select(clock.alias(values.name)).to_series()


def _typed_rows(table: RawTable, raw: pl.DataFrame) -> pl.DataFrame | None:
    """Read raw rows with load(); None if they are refused."""
    with table.written(raw) as path:
        try:
            rows, problems, _ = inspect_labelled(read(path), shown(table.path))
        except StageError:
            return None
    return None if problems else rows
