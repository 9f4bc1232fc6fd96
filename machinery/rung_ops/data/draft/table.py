"""A file of rows as somebody's program wrote it, and the code that reads such a file again."""

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rung_ops.errors import UsageError

LARGEST = 50_000_000  # bytes, unpacked: the sample is in git, which keeps every version
TEXT = (".csv", ".tsv", ".txt", ".data", "")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SNIFFED = 200  # lines whose fields are counted
# What programs write for a missing value, and what counts as one only among numbers and days.
MISSING = {"", "#N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
DASHES = {"?", "-", "--", "."}
NUMBERS_OR_DAYS = re.compile(r"[-+\s\d.,:/TZ€$£%]+")


@dataclass(frozen=True)
class Table:
    """The rows of a file."""

    name: str  # of the file, as it is kept in data/sample
    content: bytes  # its bytes, unpacked
    frame: pl.DataFrame
    form: str  # how it is written, in words
    reader: str  # the call that reads such a file, as Python; `path` is the file's path
    gaps: tuple[str, ...] = ()  # words among numbers that are read as missing


def read(path: Path) -> Table:
    """Read a file of rows."""
    try:
        content = path.read_bytes()
        name = path.name
        if content[:2] == b"\x1f\x8b":
            content, name = gzip.decompress(content), path.name.removesuffix(".gz")
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    if not content.strip():
        raise UsageError(f"{path} is empty. Give a file of rows.")
    if len(content) > LARGEST:
        raise UsageError(
            f"{path} holds {len(content) / 1e6:,.0f} MB. The sample of a project is in git, so it may "
            f"have {LARGEST / 1e6:,.0f} MB: give a part of the rows. From rung 2 on, DVC versions all "
            "of them in data/incoming."
        )
    if content[:4] == b"PAR1":
        try:
            frame = pl.read_parquet(content)
        except pl.exceptions.PolarsError as error:
            raise UsageError(f"{path} cannot be read as Parquet: {error}.") from error
        return Table(name, content, frame, "Parquet", "pl.read_parquet(path)")
    if content[:4] == b"PK\x03\x04" or content[:4] == b"\xd0\xcf\x11\xe0":
        raise UsageError(f"{path} is a workbook. Save the sheet as CSV, and give that file.")
    if b"\0" in content[:4_000] and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise UsageError(f"{path} is not text. Give a CSV or Parquet file.")
    if Path(name).suffix.lower() not in TEXT:
        raise UsageError(f"{path} is neither CSV nor Parquet. Give a file of one of these formats.")
    return _text(path, content, name if Path(name).suffix else f"{name}.csv")


def _text(path: Path, content: bytes, name: str) -> Table:
    encoding = _encoding(content)
    lines = content.decode(encoding).removeprefix("\ufeff").splitlines()
    # Excel writes and reads this first line, which names the separator.
    named = lines[0].lower().startswith("sep=") if lines else False
    separator = lines[0][4:5] if named else _separator(path, lines)
    options = [f"separator={quoted(separator)}"] if separator != "," else []
    settings = {"separator": separator, "infer_schema": False, "skip_rows": int(named)}
    if named:
        options.append("skip_rows=1")
    if encoding != "utf-8":
        options.append(f"encoding={quoted(encoding)}")
        settings["encoding"] = encoding
    try:
        header = next(csv.reader(lines[int(named) :], delimiter=separator))
        frame = pl.read_csv(content, **settings)  # type: ignore[arg-type]
    except (pl.exceptions.PolarsError, csv.Error, StopIteration) as error:
        reason = next(iter(str(error).splitlines()), "it is empty")
        raise UsageError(f"{path} cannot be read as CSV: {reason}. Correct the file.") from error
    _check_header(path, header)
    columns = [column.drop_nulls().unique().to_list() for column in frame]
    values = {value for column in columns for value in column}
    markers = {value for value in values if value.strip() in MISSING}
    dashes = (value for value in values if value.strip() in DASHES)
    markers |= {value for value in dashes if _marks_numbers(columns, value)}
    gaps = _words_among_numbers(columns) - markers
    markers |= gaps
    if markers:
        options.append(f"null_values=[{', '.join(map(quoted, sorted(markers)))}]")
        frame = pl.read_csv(content, **settings, null_values=sorted(markers))  # type: ignore[arg-type]
    form = f"CSV, {encoding}, {SEPARATORS.get(separator, separator)} between fields"
    call = ", ".join(["path", "infer_schema=False", *options])
    return Table(name, content, frame, form, f"pl.read_csv({call})", tuple(sorted(gaps)))


def quoted(text: str) -> str:
    """Return a text as Python and TOML write it."""
    return json.dumps(text, ensure_ascii=False)


def _encoding(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    for encoding in ("utf-8", "cp1252"):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _separator(path: Path, lines: list[str]) -> str:
    """Return the separator that splits most lines into as many fields as the first one."""

    def agreement(separator: str) -> tuple[float, int]:
        try:
            widths = [len(row) for row in csv.reader(lines[:SNIFFED], delimiter=separator) if row]
        except csv.Error:
            return 0, 0
        if not widths or widths[0] < 2:
            return 0, 0
        return Counter(widths)[widths[0]] / len(widths), widths[0]

    best = max(SEPARATORS, key=agreement)
    if agreement(best) == (0, 0):
        raise UsageError(
            f"{path} has one column, or none. Its fields have to be between commas, semicolons, tabs or |."
        )
    return best


def _check_header(path: Path, header: list[str]) -> None:
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise UsageError(f"{path} has two columns `{twice[0]}`. Give each a name of its own.")
    if any(_is_number(name) for name in header) and len(header) < 2 * sum(map(_is_number, header)):
        raise UsageError(
            f"The first line of {path} holds values ({', '.join(header[:3])}). Put a line with the "
            "names of the columns before it."
        )


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _marks_numbers(columns: Iterable[list[str]], marker: str) -> bool:
    """Say whether a dash stands among numbers or days somewhere, and so for a missing one."""
    for values in columns:
        if marker in values:
            begun = [value.strip()[:1].isdigit() for value in values if value.strip() not in DASHES]
            if begun and sum(begun) > 0.9 * len(begun):
                return True
            if marker.strip() == "?":  # nothing else is written so
                return True
    return False


def _words_among_numbers(columns: Iterable[list[str]]) -> set[str]:
    """Return the texts, such as `k. A.`, that stand only in columns of numbers or days."""
    among, elsewhere = set[str](), set[str]()
    for values in columns:
        words = {value for value in values if not NUMBERS_OR_DAYS.fullmatch(value)}
        (among if len(words) < 0.1 * len(values) else elsewhere).update(words)
    return {word for word in among - elsewhere if not re.search(r"\d", word)} - DASHES - {""}
