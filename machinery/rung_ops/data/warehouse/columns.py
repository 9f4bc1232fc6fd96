"""The columns that come: in types that a raw file holds, and the same as before."""

from collections.abc import Callable

import polars as pl
import pyarrow as pa

from rung_ops.model.columns import time_zone

Types = dict[str, pl.DataType]

MEANT = (
    "Nothing was written. Write into queries/rows.sql what gives the columns as they were "
    "(`new_name AS name`, `CAST(column AS type)`). Where the change is meant, change Row in "
    "dataset.py too, and take all windows again: delete the folder data/incoming/warehouse, then "
    "`uv run poe data pull`."
)


def plain(schema: pa.Schema) -> pa.Schema:
    """Choose the types of a raw file: what only the warehouse knows becomes text or a number."""
    return pa.schema([pa.field(field.name, _plain(field.type)) for field in schema])


def cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Bring a batch to the types of plain()."""
    columns = [
        (column.storage if isinstance(column, pa.ExtensionArray) else column).cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def types(schema: pa.Schema) -> Types:
    """Name the columns' types as dataset.py does."""
    frame = pl.from_arrow(schema.remove_metadata().empty_table())
    assert isinstance(frame, pl.DataFrame)
    return dict(frame.schema)


def differences(
    actual: Types, wanted: Types, before: Types, before_in: str, watermark: str | None
) -> list[str]:
    """Name the columns that are not what they should be; their order does not matter.

    Args:
        actual: what the warehouse gives.
        wanted: the columns of Row.
        before: the columns of the window before; empty if there is none.
        before_in: its file.
        watermark: a column that Row need not have.
    """
    differing = []
    for name in wanted | before:
        if name not in actual:
            differing.append(gone(name, wanted, before, before_in))
        elif name in before and actual[name] != before[name]:
            differing.append(
                f"column `{name}` has another type: it is {actual[name]}, and {before_in} has "
                f"{before[name]}."
            )
        elif name in wanted and not _fits(actual[name], wanted[name]):
            differing.append(f"column `{name}` is {actual[name]}, and Row wants {wanted[name]}.")
    for name, dtype in actual.items():
        if name not in wanted and name != watermark and name not in before:
            differing.append(f"column `{name}` is new: it is {dtype}, and Row has no such column.")
    return differing


def gone(name: str, wanted: Types, before: Types, before_in: str) -> str:
    """Say what a column was that the warehouse no longer gives."""
    expected = [f"Row wants {wanted[name]}"] if name in wanted else []
    expected += [f"{before_in} has {before[name]}"] if name in before else []
    return f"column `{name}` is gone: {', '.join(expected)}."


def _plain(dtype: pa.DataType) -> pa.DataType:
    if getattr(dtype, "type_name", None) == "numeric" or pa.types.is_decimal(dtype):
        return pa.float64()
    if isinstance(dtype, pa.BaseExtensionType):
        return dtype.storage_type
    if pa.types.is_dictionary(dtype):
        return dtype.value_type
    return dtype


def _fits(actual: pl.DataType, wanted: pl.DataType) -> bool:
    if time_zone(actual) and not time_zone(wanted):
        return False
    # What the types say; whether each value survives is for quality.py to tell, row by row.
    kinds: tuple[Callable[[pl.DataType], bool], ...] = (
        lambda dtype: dtype.is_numeric(),
        lambda dtype: dtype in (pl.Date, pl.Datetime),
        lambda dtype: dtype in (pl.String, pl.Categorical, pl.Enum),
    )
    return actual == wanted or any(kind(actual) and kind(wanted) for kind in kinds)
