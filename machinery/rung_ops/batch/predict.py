"""Score a file of rows: `uv run poe predict INPUT [OUTPUT]`, here or by a backend of an add-on."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click
import numpy as np
import pandera.polars as pa
import polars as pl

from rung_ops import contract
from rung_ops.command import verb
from rung_ops.contract import raw_file
from rung_ops.contract.row_checks import Problem
from rung_ops.data.blocks import in_blocks, scan, streamed
from rung_ops.data.blocks import write as write_blocks
from rung_ops.data.inspection import Inspection
from rung_ops.errors import StageError
from rung_ops.features.point_in_time import beyond_events, fill_defaults, join, needed_times
from rung_ops.features.sources import Events
from rung_ops.model.added_columns import DEFAULTS_USED, PREDICTION, PROBABILITY, PROBLEM
from rung_ops.model.rules import missing as missing_values
from rung_ops.model.target import HIGH, INTERVAL, LOW, Kind, columns, shape
from rung_ops.project import active_addons, current
from rung_ops.project.paths import parameters, shown
from rung_ops.system import files
from rung_ops.system.files import is_full
from rung_ops.system.printable import counted, printable
from rung_ops.training import estimator, refit

WRITERS: dict[str, Callable[[pl.LazyFrame, BinaryIO], object]] = {
    ".parquet": pl.LazyFrame.sink_parquet,
    ".csv": pl.LazyFrame.sink_csv,
}
AS_TEXT = pl.col(DEFAULTS_USED).list.join(", ").replace("", None)  # as CSV has no lists


def read(path: Path, scratch: Path) -> pl.LazyFrame:
    """Read a file to score with load() of dataset.py, as training does.

    What load() reads as a stream is in a file of the folder `scratch`, to be read in blocks.
    """
    if not path.is_file():
        raise StageError(f"{shown(path)}: there is no such file.")
    return raw_file.read_lazily(path, scratch / "rows.parquet")


class Scoring:
    """Rows of a source, scored block by block.

    Attributes:
        rows: how many were scored until now.
        bad: how many of them have no prediction.
        missing: how many have no value, by column or entity feature.
        needed: of each block, needed_times().
    """

    def __init__(self, rows: pl.LazyFrame, source: str, events: Events | None = None) -> None:
        self.inspection = Inspection(rows, schema(), source)
        self.events = events or Events(current().root)
        self.rows = self.bad = 0
        self.missing: Counter[str] = Counter()
        self.needed: list[pl.DataFrame] = []

    def blocks(self) -> Iterator[pl.DataFrame]:
        """Predict every row that satisfies the contract: each block as score_rows() returns it.

        Raises:
            StageError: columns are missing, or there are no rows.
        """
        model = None
        for rows, typed, problems in self.inspection.blocks():
            refuse(problems)
            if model is None:
                model = estimator.load(refit.served_model())
            scored = score_rows(rows, typed, problems, model, self.events)
            self.rows += scored.height
            self.bad += int(scored[PROBLEM].is_not_null().sum())
            self.missing.update(missing_counts(scored))
            self.needed.append(needed_times(scored))
            yield scored
            del rows, typed, scored  # before the next block is read


def score(rows: pl.DataFrame, source: str) -> tuple[pl.DataFrame, list[Problem]]:
    """Predict rows in memory; return them as score_rows() does, and the problems."""
    scoring = Scoring(rows.lazy(), source)
    return pl.concat(scoring.blocks()), scoring.inspection.problems


def schema() -> pa.DataFrameSchema:
    """Return the schema of Row without the target."""
    row = contract.Row.to_schema()
    return row.remove_columns([contract.TARGET] if contract.TARGET in row.columns else [])


def refuse(problems: list[Problem]) -> None:
    """Raise StageError for a problem of the whole file, such as a missing column."""
    for problem in problems:
        if not problem.rows:
            raise StageError(str(problem))


def score_rows(
    rows: pl.DataFrame,
    typed: pl.DataFrame,
    problems: list[Problem],
    model: Any,
    events: Events | None = None,
) -> pl.DataFrame:
    """Predict every row without a problem.

    Args:
        rows: as read, shape (n_rows, n_columns).
        typed: the same rows with the types of Row.
        problems: of these rows.
        model: from estimator.load().
        events: of entity features; they are read now by default.

    Returns:
        All rows in their order, with columns of rung_ops.model.added_columns.
    """
    messages: dict[int, list[str]] = {}
    for problem in problems:
        for row in problem.rows:
            messages.setdefault(row - 1, []).append(f"{problem.column}: {problem.what}")
    # Where all rows are good, as nearly always, no column of them is copied.
    is_good = pl.Series(np.isin(np.arange(rows.height), list(messages), invert=True))
    good = typed.filter(is_good) if messages else typed
    joined = join(good, with_defaults=False, events=events) if good.height else good
    predicted = _columns(estimator.predict(model, fill_defaults(joined)) if good.height else None)
    added = pl.DataFrame([*predicted, _without_value(joined)])
    notes = pl.Series(PROBLEM, [None], dtype=pl.String).new_from_index(0, rows.height)
    if messages:
        place = pl.select(pl.when(is_good).then(is_good.cum_sum() - 1)).to_series()
        added = added.select(pl.all().gather(place))
        texts = pl.Series(["; ".join(sorted(words)) for words in messages.values()])
        notes = notes.scatter(list(messages), texts)
    # Replace these columns in a file that was scored before.
    before = [column.name for column in predicted]
    kept = rows.drop(*before, DEFAULTS_USED, PROBLEM, strict=False)
    return kept.hstack([*added, notes])


def _without_value(rows: pl.DataFrame) -> pl.Series:
    """Name the columns of each row that have no value: null, or NaN."""
    empty = {column.name: missing_values(column) for column in rows}
    names = [
        pl.when(pl.lit(where)).then(pl.lit(name)).alias(name)
        for name, where in empty.items()
        if where.any()
    ]
    if not names:
        return pl.Series(DEFAULTS_USED, [[]], pl.List(pl.String)).new_from_index(0, rows.height)
    listed = pl.concat_list(names).list.drop_nulls().alias(DEFAULTS_USED)
    return rows.select(listed).to_series()


def missing_counts(scored: pl.DataFrame) -> dict[str, int]:
    """Count the rows without a value, by column or entity feature."""
    names = scored[DEFAULTS_USED].explode().drop_nulls()
    return dict(sorted(names.value_counts().iter_rows()))


def refuse_missing(missing: Mapping[str, int], rows: int) -> None:
    """Refuse predictions that rest on defaults because events of features are missing."""
    names = {each.name for each in contract.ENTITY_FEATURES}
    if not names:
        return
    most = parameters().predict.most_missing
    above = {name: n for name, n in missing.items() if name in names and n > most * rows}
    if above:
        raise StageError(
            f"{'; '.join(_shares(above, rows, 'has no value in'))}: events are missing, or the "
            "entities are new, so the predictions would rest on defaults. Nothing was written.",
            f"Bring the events, or set `most_missing` under [predict] in params.toml: {most:g} may "
            "be without a value now; 1 refuses nothing.",
        )


def _shares(missing: Mapping[str, int], rows: int, verb: str = "in") -> Iterable[str]:
    return (
        f"`{printable(name)}` {verb} {number:,} of {counted(rows, 'row')} ({number / rows:.1%})"
        for name, number in missing.items()
    )


def _columns(predicted: np.ndarray | None) -> list[pl.Series]:
    """Write predictions as columns; empty ones where there are none."""
    kind = estimator.kind()
    one, *beside = columns(np.zeros(shape(0, kind)) if predicted is None else predicted, kind)
    if not beside:
        return [one]
    each = beside[0].struct
    return [one, *(each.field(name).alias(column) for name, column in _beside(kind).items())]


def _beside(kind: Kind) -> dict[str, str]:
    """Name the columns beside the prediction by the field that they come from."""
    if kind.classes:
        return {name: f"{PROBABILITY}{name}" for name in kind.classes}
    return {name: f"{INTERVAL}_{name}" for name in (LOW, HIGH)}


def predictions_of(scored: pl.DataFrame) -> np.ndarray:
    """Read the predictions of scored rows back, as estimator.predict() returned them."""
    kind = estimator.kind()
    if not kind.width:
        return scored[PREDICTION].to_numpy()
    names = list(_beside(kind).values())
    return scored.select(names if kind.classes else [names[0], PREDICTION, names[1]]).to_numpy()


def refuse_other_rows(path: Path) -> None:
    """Raise StageError for a file of rows without predictions: `poe predict *.csv` names two."""
    if not path.is_file() or not path.stat().st_size:
        return
    scan = pl.scan_csv if path.suffix == ".csv" else pl.scan_parquet
    with suppress(pl.exceptions.PolarsError):
        if PREDICTION in scan(path, glob=False).collect_schema():
            return
    raise StageError(
        f"{shown(path)} exists and holds no predictions, so it is not written over: name another "
        "output, or delete it."
    )


Change = Callable[[pl.DataFrame], pl.DataFrame]
# Lends what maps blocks of scored rows to the rows that are written. Both raise StageError if
# nothing may be written. It ends before the output gets its name.
BeforeWriting = Callable[[], AbstractContextManager[Change]]


def as_scored(scored: pl.DataFrame) -> pl.DataFrame:
    """Return scored rows as they are."""
    return scored


@contextmanager
def unchanged() -> Iterator[Change]:
    """Lend what writes scored rows as they are."""
    yield as_scored


@contextmanager
def as_add_ons_do() -> Iterator[Change]:
    """Lend what the active add-ons do to scored rows, one after another."""
    with ExitStack() as stack:
        lent = [stack.enter_context(lend()) for _, lend in active_addons.targets("before_writing")]
        changes = [change for change in lent if change is not as_scored]
        if not changes:
            yield as_scored
        else:
            yield lambda scored: reduce(lambda rows, change: change(rows), changes, scored)


def write(
    blocks: Iterable[pl.DataFrame], path: Path, before_writing: BeforeWriting = unchanged
) -> None:
    """Write scored rows atomically, in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        files.opened(path) as draft,
        before_writing() as changed,
        streamed(map(changed, blocks)) as scored,
    ):
        text = [AS_TEXT] if path.suffix == ".csv" else []
        try:
            WRITERS[path.suffix](scored.with_columns(text), draft)
        except pl.exceptions.PolarsError as error:
            if is_full(error):
                raise
            raise StageError(
                f"{shown(path)} cannot be written as {path.suffix} ({printable(str(error))}); "
                "name a .parquet file."
            ) from error


class Result(NamedTuple):
    """What came of scoring: number of rows, of bad ones and of those without a value, and notes."""

    rows: int
    bad: int
    problems: list[Problem]
    missing: Mapping[str, int]
    notes: list[str]


def left_out(path: Path, rows: int) -> list[str]:
    """Say how many rows of a file load() did not return; nothing where it is all of them."""
    held = raw_file.row_count(path) or 0
    text = (
        f"load() returned {rows:,} of the {counted(held, 'row')} of {shown(path)}: those that it left "
        "out have no prediction."
    )
    return [text] if held > rows else []


def in_process(source: Path, output: Path, before_writing: BeforeWriting = unchanged) -> Result:
    """Score a file in this process."""
    if source.is_dir():  # backends of add-ons may score one
        raise StageError(f"{shown(source)} is a folder: name one of its files.")
    if output.is_dir():
        raise StageError(f"{shown(output)} is a folder: name a file for the output.")
    if output.suffix not in WRITERS:
        raise StageError(
            f"{shown(output)}: got suffix `{output.suffix}`; expected {' or '.join(WRITERS)}."
        )
    refuse_other_rows(output)
    events = Events(current().root)
    with files.draft_folder(output.parent) as folder:
        scoring = Scoring(read(source, folder), shown(source), events)
        parts = _until_all_are_scored(scoring, folder / "scored.parquet")
        missing = dict(sorted(scoring.missing.items()))
        refuse_missing(missing, scoring.rows - scoring.bad)
        write(parts, output, before_writing)
    needed = pl.concat(scoring.needed)
    notes = [*left_out(source, scoring.rows), *beyond_events(needed, events)]
    return Result(scoring.rows, scoring.bad, scoring.inspection.problems, missing, notes)


def _until_all_are_scored(scoring: Scoring, scratch: Path) -> Iterable[pl.DataFrame]:
    """Score all blocks; what is more than a block waits in a file, as the totals may refuse all."""
    blocks = scoring.blocks()
    first, second = next(blocks), next(blocks, None)
    if second is None:
        return [first]
    all_blocks = chain([first, second], blocks)
    del first, second  # which would be in memory until the last block is written
    write_blocks(all_blocks, scratch)
    return in_blocks(scan(scratch))


@verb("poe predict")
@click.argument("input", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path), required=False)
@click.option("--backend", metavar="NAME", help="of an add-on: score there, not in this process")
def main(input: Path, output: Path | None, backend: str | None) -> int:
    """Score rows.

    INPUT: rows to score, in a file that load() reads; some backends take a folder of them. OUTPUT: a
    .parquet or .csv file, in reports/ by default.
    """
    score_into = active_addons.backend(backend) if backend is not None else in_process
    name = "reports/scored" if input.is_dir() else "reports/scored.parquet"
    target = output or current().root / name
    if not current().model_file.exists():
        raise StageError("There is no model yet: `uv run poe train` creates one.")
    result: Result = score_into(input, target, as_add_ons_do)
    for sentence in (*result.problems, *result.notes):
        print(sentence, file=sys.stderr)
    good = result.rows - result.bad
    bad = f", {result.bad:,} not (see the column `{PROBLEM}`)" if result.bad else ""
    print(f"{counted(good, 'row')} scored{bad}: {shown(target)}")
    if result.missing:
        shares = ", ".join(_shares(result.missing, good))
        print(f"without a value: {shares} (see the column `{DEFAULTS_USED}`)")
    return 0
