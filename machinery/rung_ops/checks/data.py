"""The promises of load() and of the raw files, and the sample that other promises are checked with."""

from functools import cache
from pathlib import Path

import polars as pl

from rung_ops import contract
from rung_ops.checks import raw_table
from rung_ops.checks.entity_features import with_entity_features
from rung_ops.checks.raw_table import RawTable
from rung_ops.checks.user_code import calling
from rung_ops.contract import ContractError, explain, raw_file
from rung_ops.contract.raw_file import read, refuse_large_frame, refuse_too_large
from rung_ops.contract.row_checks import inspect
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import links_refused, raw_files, raw_files_in, shown

MOST_ROWS = 2_000  # enough for a model, quick to fit


def raw_files_keep_row() -> None:
    """load() reads every raw file, and its rows keep the rules of Row."""
    if refused := links_refused():
        raise ContractError("\n".join(refused))
    if not raw_files():
        raise ContractError("There is no data: put a file into data/sample.")
    for path in raw_files():
        frame = _loaded(path)
        _, problems = inspect(frame, contract.Row.to_schema(), shown(path))
        if problems:
            raise ContractError("\n".join(map(str, problems)))


def _loaded(path: Path) -> pl.DataFrame:
    refuse_too_large(path)
    with calling(f"load() of {shown(path)}"):
        frame = raw_file.load_rows(path)
        if isinstance(frame, pl.LazyFrame):
            refuse_large_frame(frame, path)
            frame = frame.collect()
    if not isinstance(frame, pl.DataFrame):
        kind = type(frame).__name__
        raise ContractError(
            f"dataset.py: load() returns {kind}; it must be a Polars DataFrame or LazyFrame."
        )
    return frame


def target_may_be_missing() -> None:
    """load() reads a file without the target, as `poe predict` reads rows to predict with it."""
    for path in raw_files():
        table = raw_table.read(path)
        names = _of_target(table) if table else []
        if not table or not names:
            continue  # another format, or columns of the inputs make the target
        with table.written(table.frame.drop(names)) as without:
            try:
                read(without)
            except StageError as error:
                shown_names = " and ".join(f"`{name}`" for name in names)
                sentence = explain(
                    f"load() of a file without {shown_names}", error.__cause__ or error
                )
                raise ContractError(f"{sentence} Rows to predict have no target yet.") from error
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
    rows = inspect(_loaded(path), contract.Row.to_schema(), shown(path))[0]
    return rows.sample(min(MOST_ROWS, rows.height), seed=1)


@cache
def featured_sample() -> pl.DataFrame:
    """Add the entity features to the sample."""
    return with_entity_features(sample())
