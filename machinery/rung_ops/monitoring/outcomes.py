"""Outcomes: what really happened, read from data/outcomes, and joined to what was predicted.

Each file holds the target, and either the `id` of the prediction or the columns by which the
contract tells rows apart. Outcomes may come late, in any order, and be corrected: the file that
comes last by its name counts. The variable OUTCOMES names another folder than data/outcomes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.data import blocks
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
    ".parquet": blocks.scan,
    ".csv": lambda path: pl.read_csv(path, try_parse_dates=True, infer_schema_length=None).lazy(),
}


@dataclass(frozen=True)
class Outcomes:
    """Known outcomes, each once, or files of which the last counts."""

    by_id: pl.DataFrame | pl.LazyFrame  # columns `id` and `truth`
    by_key: pl.DataFrame | pl.LazyFrame  # the key columns and `truth`
    problems: list[str] = field(default_factory=list)  # what could not be used, each a sentence


def read(contract: Mapping[str, Any], folder: Path | None = None) -> Outcomes:
    """Read all files of outcomes."""
    files = scan(contract, folder)
    by_id, by_key = (_last(side.lazy().collect()) for side in (files.by_id, files.by_key))
    return Outcomes(by_id, by_key, files.problems)


def scan(contract: Mapping[str, Any], folder: Path | None = None) -> Outcomes:
    """Check all files of outcomes; join() reads those of the answers that it gets."""
    folder = outcomes_folder() if folder is None else folder
    key = {
        column["name"]: dtype_of(column["polars"])
        for column in contract["columns"]
        if column["name"] in contract["key"]
    }
    classes = kind_in(contract).classes
    kind = pl.Enum(classes) if classes else pl.Float64()
    by_id = [pl.LazyFrame(schema={ID: pl.String(), TRUTH: kind})]
    by_key = [pl.LazyFrame(schema={**key, TRUTH: kind})]
    problems = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in READERS):
        try:
            file = _scan(path, contract["target"], key, kind)
        except OpsError as error:
            problems.append(str(error))
        else:
            (by_key if key and set(key) <= {*file.collect_schema()} else by_id).append(file)
    return Outcomes(pl.concat(by_id), pl.concat(by_key), problems)


def _last(outcomes: pl.DataFrame) -> pl.DataFrame:
    names = [name for name in outcomes.columns if name != TRUTH]
    return outcomes.unique(names or None, keep="last", maintain_order=True)


def _known(outcomes: pl.DataFrame | pl.LazyFrame, of_answers: pl.DataFrame) -> pl.DataFrame:
    """Return the outcomes, once read; of files those of some answers."""
    if isinstance(outcomes, pl.DataFrame):
        return outcomes
    names = of_answers.columns
    found = outcomes.join(of_answers.lazy(), on=names, how="semi", maintain_order="left")
    return _last(found.collect(engine="streaming"))


def join(log: pl.DataFrame, outcomes: Outcomes) -> pl.DataFrame:
    """Join outcomes to their predictions as `truth`: 0 and 1, a value, or a class; null if unknown."""
    truths = [
        keys.join(_known(known, keys), on=keys.columns, how="left", maintain_order="left")[TRUTH]
        for keys, known in _sides(log, outcomes)
    ]
    return log.with_columns(pl.coalesce(truths).alias(TRUTH))


def _sides(
    log: pl.DataFrame, outcomes: Outcomes
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame | pl.LazyFrame]]:
    """Yield the ids of answers, and the key of their rows if it is logged, with the outcomes by it."""
    yield log.select(ID), outcomes.by_id
    key = {n: t for n, t in outcomes.by_key.lazy().collect_schema().items() if n != TRUTH}
    row = log.schema["row"]
    logged = {each.name for each in row.fields} if isinstance(row, pl.Struct) else set()
    if key and set(key) <= logged:
        fields = pl.col("row").struct
        yield (
            log.select(fields.field(n).cast(t, strict=False).alias(n) for n, t in key.items()),
            outcomes.by_key,
        )


BLOCK, PLACE = "number of the block", "place in the block"


def join_blocks(
    answers: Iterable[pl.DataFrame], rows: int, outcomes: Outcomes, scratch: Path
) -> Iterator[pl.DataFrame]:
    """Join outcomes to blocks of so many answers as join() does, and read each file of outcomes once.

    Answers and outcomes whose ids, or keys, have the same hash make a share, and are joined apart from
    the others. All pass through files of the folder `scratch`.
    """
    held = iter(answers)
    first, second = next(held), next(held, None)
    if second is None:
        yield join(first, outcomes)
        return
    all_known = [known.lazy() for _, known in _sides(first, outcomes)]
    # None of none: the first rows of nothing do not show how wide it is.
    heights = [blocks.height(known) for known in all_known]
    shares = [
        1 + max(rows, height) // blocks.block_rows(known) if height else 0
        for known, height in zip(all_known, heights, strict=True)
    ]
    count = 0
    for number, block in enumerate(chain([first, second], held)):
        count += 1
        block.write_parquet(scratch / f"block {number}.parquet", compression="lz4")
        for side, (keys, _) in enumerate(_sides(block, outcomes)):
            if not shares[side]:
                continue
            placed = keys.with_row_index(PLACE).with_columns(pl.lit(number).alias(BLOCK))
            share = _share(keys.columns, shares[side])
            _write_groups(placed, share, scratch / f"{side} answers", number)
    del first, second, block
    for side, known in enumerate(all_known):
        if shares[side]:
            _find(known, shares[side], scratch, side)
    unknown = pl.lit(None, all_known[0].collect_schema()[TRUTH])
    for number in range(count):
        (block,) = _taken([scratch / f"block {number}.parquet"])
        places = block.select(pl.row_index(PLACE))
        found = (_joined(scratch / f"{side} found" / str(number)) for side in range(len(all_known)))
        truths = [
            places.join(truth, on=PLACE, how="left", maintain_order="left")[TRUTH]
            for truth in found
            if truth is not None
        ]
        yield block.with_columns(pl.coalesce(*truths, unknown).alias(TRUTH))


def _find(known: pl.LazyFrame, shares: int, scratch: Path, side: int) -> None:
    """Write the outcomes of answers, by block."""
    names, file = [n for n in known.collect_schema() if n != TRUTH], scratch / f"{side}.parquet"
    known.sink_parquet(file, compression="lz4")
    for number, part in enumerate(blocks.in_blocks(blocks.scan(file))):
        _write_groups(part, _share(names, shares), scratch / f"{side} known", number)
    file.unlink()
    for share in range(shares):
        spread = [_joined(scratch / f"{side} {what}" / str(share)) for what in ("answers", "known")]
        if spread[0] is not None and spread[1] is not None:
            found = spread[0].join(_last(spread[1]), on=names).select(BLOCK, PLACE, TRUTH)
            _write_groups(found, pl.col(BLOCK), scratch / f"{side} found", share)


def _share(names: list[str], shares: int) -> pl.Expr:
    return pl.struct(names).hash() % shares


def _write_groups(rows: pl.DataFrame, by: pl.Expr, folder: Path, number: int) -> None:
    """Write the rows of each group, in their order, as a file of the group's folder."""
    for (group,), part in rows.group_by(by, maintain_order=True):
        path = folder / str(group) / f"{number:08}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_parquet(path, compression="lz4")


def _joined(folder: Path) -> pl.DataFrame | None:
    """Take the files that _write_groups() wrote into a folder, in the order of their numbers."""
    files = sorted(folder.glob("*.parquet"))
    return pl.concat(_taken(files)) if files else None


def _taken(files: list[Path]) -> Iterator[pl.DataFrame]:
    """Read files, and delete each: what was read needs no more room."""
    for file in files:
        yield pl.read_parquet(file, memory_map=False)
        file.unlink()


def _scan(
    path: Path, target: str, key: Mapping[str, pl.DataType], kind: pl.DataType
) -> pl.LazyFrame:
    """Check one file, and read it as `id` or the key columns, and `truth`, if that is known."""
    try:
        rows = READERS[path.suffix](path)
        held = rows.collect_schema()
        if target not in held:
            raise OpsError(f"{shown(path)} lacks the column `{target}`: what happened")
        if ID in held and ID not in key:
            named: Mapping[str, pl.DataType] = {ID: pl.String()}
        elif key and set(key) <= {*held}:
            named = key
        else:
            also = f", or all of {', '.join(f'`{name}`' for name in key)}" if key else ""
            raise OpsError(f"{shown(path)} lacks the column `{ID}`{also}: whose outcome it is")
        types = [*named.items(), (target, kind)]
        rows = rows.select(name for name, _ in types).filter(pl.col(target).is_not_null())
        typed = {
            name: pl.col(name).map_batches(
                partial(_cast, dtype=dtype),
                return_dtype=dtype,
                # How times are written is inferred from all of them.
                is_elementwise=not (held[name] == pl.String and dtype.is_temporal()),
            )
            for name, dtype in types
        }
        for name, dtype in types:
            is_strange = typed[name].is_null() & pl.col(name).is_not_null()
            strange = rows.filter(is_strange).select(name).head(1).collect(engine="streaming")
            if strange.height:
                wanted = dtype if name in named else "outcome"
                if isinstance(dtype, pl.Enum) and name not in named:
                    wanted = f"class of {', '.join(dtype.categories)}"
                raise OpsError(
                    f"{shown(path)}: column `{name}` holds {strange[name][0]!r}, no {wanted}"
                )
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).strip().splitlines()[0]
        raise OpsError(f"{shown(path)} cannot be read: {reason}") from error
    return rows.select(typed[name].alias(name if name in named else TRUTH) for name, _ in types)


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
