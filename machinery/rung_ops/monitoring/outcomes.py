"""Outcomes: what really happened, read from data/outcomes, and joined to what was predicted.

Each file holds the target, and either the `id` of the prediction or the columns by which the
contract tells rows apart. Outcomes may come late, in any order, and be corrected: the file that
comes last by its name counts. The variable OUTCOMES names another folder than data/outcomes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.errors import OpsError
from rung_ops.model.columns import dtype_of, time_zone
from rung_ops.model.target import kind_in
from rung_ops.project.paths import placed, shown


def outcomes_folder() -> Path:
    """Return the folder of the outcomes: $OUTCOMES, or data/outcomes."""
    return placed("OUTCOMES", "data/outcomes")


TRUTH = "truth"
ID = "id"
READERS = {
    ".parquet": pl.read_parquet,
    ".csv": lambda path: pl.read_csv(path, try_parse_dates=True, infer_schema_length=None),
}


@dataclass(frozen=True)
class Outcomes:
    """Known outcomes, each once."""

    by_id: pl.DataFrame  # columns `id` and `truth`
    by_key: pl.DataFrame  # the key columns and `truth`
    problems: list[str] = field(default_factory=list)  # what could not be used, each a sentence


def read(contract: Mapping[str, Any], folder: Path | None = None) -> Outcomes:
    """Read all files of outcomes."""
    folder = outcomes_folder() if folder is None else folder
    key = {
        column["name"]: dtype_of(column["polars"])
        for column in contract["columns"]
        if column["name"] in contract["key"]
    }
    classes = kind_in(contract).classes
    kind = pl.Enum(classes) if classes else pl.Float64()
    by_id = [pl.DataFrame(schema={ID: pl.String(), TRUTH: kind})]
    by_key = [pl.DataFrame(schema={**key, TRUTH: kind})]
    problems = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in READERS):
        try:
            frame = _read(path, contract["target"], key, kind)
        except OpsError as error:
            problems.append(str(error))
        else:
            (by_key if key and set(key) <= set(frame.columns) else by_id).append(frame)
    return Outcomes(
        pl.concat(by_id).unique(ID, keep="last", maintain_order=True),
        pl.concat(by_key).unique(list(key) or None, keep="last", maintain_order=True),
        problems,
    )


def join(log: pl.DataFrame, outcomes: Outcomes) -> pl.DataFrame:
    """Join outcomes to their predictions as `truth`: 0 and 1, a value, or a class; null if unknown."""
    joined = log.join(outcomes.by_id, on=ID, how="left", maintain_order="left")
    key = {n: t for n, t in outcomes.by_key.schema.items() if n != TRUTH}
    row = log.schema["row"]
    logged = {each.name for each in row.fields} if isinstance(row, pl.Struct) else set()
    if outcomes.by_key.is_empty() or not set(key) <= logged:
        return joined
    of_the_row = [
        pl.col("row").struct.field(name).cast(dtype, strict=False).alias(f"row {name}")
        for name, dtype in key.items()
    ]
    joined = joined.with_columns(of_the_row).join(
        outcomes.by_key.rename({TRUTH: "row truth"}),
        left_on=[f"row {name}" for name in key],
        right_on=list(key),
        how="left",
        maintain_order="left",
    )
    return joined.with_columns(pl.coalesce(TRUTH, "row truth").alias(TRUTH)).select(
        *log.columns, TRUTH
    )


def _read(
    path: Path, target: str, key: Mapping[str, pl.DataType], kind: pl.DataType
) -> pl.DataFrame:
    """Read one file as `id` or the key columns, and `truth`; without outcomes not known yet."""
    try:
        frame = READERS[path.suffix](path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).strip().splitlines()[0]
        raise OpsError(f"{shown(path)} cannot be read: {reason}") from error
    if target not in frame.columns:
        raise OpsError(f"{shown(path)} lacks the column `{target}`: what happened")
    if ID in frame.columns and ID not in key:
        named: Mapping[str, pl.DataType] = {ID: pl.String()}
    elif key and set(key) <= set(frame.columns):
        named = key
    else:
        also = f", or all of {', '.join(f'`{name}`' for name in key)}" if key else ""
        raise OpsError(f"{shown(path)} lacks the column `{ID}`{also}: whose outcome it is")
    known = frame.filter(pl.col(target).is_not_null())
    read = []
    for name, dtype in [*named.items(), (target, kind)]:
        column = _cast(known[name], dtype)
        strange = known[name].filter(column.is_null() & known[name].is_not_null())
        if len(strange):
            wanted = dtype if name in named else "outcome"
            if isinstance(dtype, pl.Enum) and name not in named:
                wanted = f"class of {', '.join(dtype.categories)}"
            raise OpsError(f"{shown(path)}: column `{name}` holds {strange[0]!r}, no {wanted}")
        read.append(column.alias(name if name in named else TRUTH))
    return pl.DataFrame(read)


def _cast(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Cast values; null if that cannot be."""
    try:
        if isinstance(dtype, pl.Enum):  # classes named 1, 2, 3 are read from CSV as numbers
            values = values.cast(pl.String)
        if values.dtype == pl.String and dtype.is_temporal():
            values = values.str.to_datetime(strict=False)
        if time_zone(values.dtype) and not time_zone(dtype):
            return pl.Series(values.name, [None] * len(values), dtype=dtype)
        return values.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series(values.name, [None] * len(values), dtype=dtype)
