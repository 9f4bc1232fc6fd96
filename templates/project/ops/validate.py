"""Stage: hold every ingested file against Row; only clean rows go on.

Rung keeps this file; change it through src/ and params.toml.
"""

import json
import sys

import polars as pl

from ops import contract
from ops.ingest import source_of
from ops.quality import Problem, inspect
from ops.settings import INGESTED, ROWS, VALIDATION, shown


def clean_rows() -> tuple[pl.DataFrame, list[Problem], dict[str, int]]:
    """Inspect all ingested files together.

    Returns:
        The rows of all files, the problems found, and the number of rows by file.
    """
    schema = contract.Row.to_schema()
    frames: list[pl.DataFrame] = []
    problems: list[Problem] = []
    counts: dict[str, int] = {}
    for path in sorted(INGESTED.rglob("*.parquet")):
        source = source_of(path)
        typed, found = inspect(pl.read_parquet(path), schema, source)
        frames.append(typed)
        problems += found
        counts[source] = typed.height
    if not problems:
        problems = _keys_in_two_files(frames, list(counts), schema.unique or [])
    return pl.concat(frames), problems, counts


def _keys_in_two_files(
    frames: list[pl.DataFrame], sources: list[str], key: list[str]
) -> list[Problem]:
    if not key:
        return []
    keys = pl.concat(
        frame.select(key).with_row_index("row", offset=1).with_columns(source=pl.lit(source))
        for frame, source in zip(frames, sources, strict=True)
    )
    twice = keys.filter(pl.struct(key).is_duplicated())
    return [
        Problem(
            str(source),
            ", ".join(key),
            f"must be unique over all files, and these rows stand in {others} too",
            tuple(group["row"].to_list()),
        )
        for (source,), group in twice.group_by("source", maintain_order=True)
        if (others := ", ".join(sorted(set(twice["source"]) - {source})))
    ]


def main() -> int:
    """Validate; write the rows and the record, or name what is wrong. Return the exit code."""
    ROWS.unlink(missing_ok=True)
    VALIDATION.parent.mkdir(parents=True, exist_ok=True)
    rows, problems, counts = clean_rows()
    record = {"rows": counts, "problems": [str(problem) for problem in problems]}
    VALIDATION.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(
            "Nothing was trained. Mend the rows in the file, or the rule in dataset.py.",
            file=sys.stderr,
        )
        return 1
    rows.write_parquet(ROWS)
    print(f"validated {rows.height:,} rows of {len(counts)} file(s) into {shown(ROWS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
