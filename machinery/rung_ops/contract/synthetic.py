"""Rows that are like those of the data, column by column, and of which none is a person's.

A bundle travels further than the data, and cannot forget anybody. So what it carries is drawn: each
column for itself, so that the combination of values in a row describes no one.
"""

import random
import re
import string
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import numpy as np
import polars as pl

GRID = 65  # quantiles between which a number is drawn
TRIES = 3  # of each text, as a pattern may refuse what is made of it
SLICE = 100_000  # rows of the data
MANY = 5  # rows that have to share a text for it to be taken


def rows(
    known: pl.DataFrame, columns: list[dict[str, Any]], number: int, seed: int
) -> pl.DataFrame:
    """Draw rows that satisfy the contract's rules for single columns.

    Numbers, dates and times lie between the quantiles of the data, texts are the contract's or
    those that MANY rows share, each as often as in the data, and as much is missing. Rows that the
    data holds are left out.

    Args:
        known: rows of the data, with all columns of the contract, shape (n_rows, n_columns).
        columns: of contract.json.
        number: the most rows.
        seed: the same gives the same rows.
    """
    generator = np.random.default_rng(seed)
    drawn = pl.DataFrame(
        [_drawn(known[column["name"]], column, number, generator) for column in columns]
    )
    return _apart(drawn, known)


def shuffled(known: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Put the values of each column in a separate random order: each keeps its distribution."""
    generator = np.random.default_rng(seed)
    return known.select(known[name][generator.permutation(known.height)] for name in known.columns)


def most_frequent(values: pl.Series, column: dict[str, Any]) -> Any:
    """Return the most frequent text or Boolean, or a text like it where few rows share it."""
    counted = _counted(values, column)
    return counted.sort("rows", descending=True, maintain_order=True)["level"][0]


def _apart(drawn: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Leave out what the data holds, unless that is everything, as where few rows are possible."""
    on = drawn.columns
    # In slices, as what a join compares by is built of all columns.
    parts = known.select(on).iter_slices(SLICE)
    data = pl.concat([part.join(drawn, on=on, how="semi", nulls_equal=True) for part in parts])
    others = drawn.join(data, on=on, how="anti", nulls_equal=True, maintain_order="left")
    return others if others.height else drawn


def _drawn(
    values: pl.Series, column: dict[str, Any], number: int, generator: np.random.Generator
) -> pl.Series:
    known = values.drop_nulls()
    if known.dtype.is_float():
        known = known.drop_nans()
    missing = generator.random(number) < 1 - len(known) / max(len(values), 1)
    if known.is_empty():
        return pl.Series(values.name, [None] * number, dtype=values.dtype)
    if column["isin"] or known.dtype in (pl.String, pl.Boolean):
        counted = _counted(known, column)
        shares = counted["rows"].to_numpy() / counted["rows"].sum()
        drawn = counted["level"][generator.choice(counted.height, number, p=shares)]
    else:
        drawn = _between(known, number, generator)
    return (
        pl.select(
            pl.when(pl.Series(missing & (values.null_count() > 0))).then(None).otherwise(drawn)
        )
        .to_series()
        .alias(values.name)
    )


def _counted(known: pl.Series, column: dict[str, Any]) -> pl.DataFrame:
    counted = known.rename("level").value_counts(sort=True, name="rows").sort("level")
    if column["isin"] or known.dtype != pl.String:
        return counted
    shared = counted.filter(pl.col("rows") >= MANY)
    if shared.height:
        return shared
    # Where no text is shared, such as a name or a number of a case, none of them is taken.
    invented = list(islice(unknown_texts(column, counted["level"]), GRID))
    if not invented:  # the pattern allows no other: the most frequent one has to do
        return counted.sort("rows", descending=True, maintain_order=True).head(1)
    return pl.DataFrame({"level": invented, "rows": [1] * len(invented)})


def _between(known: pl.Series, number: int, generator: np.random.Generator) -> pl.Series:
    """Draw numbers or times between the quantiles, as often as the data has them there."""
    physical = np.sort(known.to_physical().to_numpy())
    grid = physical[np.linspace(0, len(physical) - 1, GRID).astype(np.int64)]
    at = generator.random(number) * (GRID - 1)
    low = at.astype(np.int64)
    # Integers of 64 bits are kept as such, as a float holds 53 of them.
    step = (grid[low + 1] - grid[low]) * (at - low)
    if known.dtype.is_float():
        return pl.Series(grid[low] + step, dtype=known.dtype)
    drawn = grid[low] + np.rint(step).astype(physical.dtype)
    return pl.Series(drawn, dtype=known.to_physical().dtype).cast(known.dtype)


def unknown_texts(column: dict[str, Any], values: pl.Series) -> Iterator[str]:
    """Return texts that the data lacks and the contract allows: known ones with other letters.

    The letters are random, so that the known ones cannot be recovered.
    """
    known = set(values.unique().drop_nulls().to_list())
    draw = random.Random(0)  # the same texts each time
    for _, text in product(range(TRIES), sorted(known)):
        made = re.sub(r"[^\W_]", lambda match: draw.choice(_alphabet(match[0])), text)
        if made not in known and re.search(column["pattern"] or "", made):
            yield made


def _alphabet(character: str) -> str:
    if character.isdigit():
        return string.digits
    return string.ascii_uppercase if character.isupper() else string.ascii_lowercase
