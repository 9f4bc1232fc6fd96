"""The first rows of a raw file as a table, to try what load() makes of the file once it is changed."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from rung_ops.contract import raw_file

MOST_ROWS = 50
SEPARATORS = ",;\t|"
ENCODINGS = ("utf-8", "latin-1")  # the second reads any bytes, and writes them as they were


@dataclass(frozen=True)
class RawTable:
    """The first rows of a raw file.

    Attributes:
        path: of the file.
        frame: its rows, of a CSV file as text.
        separator: of a CSV file.
        encoding: of a CSV file.
    """

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


def read(path: Path) -> RawTable | None:
    """Read the first rows of a Parquet or CSV file; None of another, and of what load() does not read."""
    if raw_file.is_row_file(path):
        return None
    if path.suffix == ".parquet":
        return RawTable(path, pl.read_parquet(path, n_rows=MOST_ROWS))
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
        header, *rows = islice(csv.reader(file, delimiter=separator), MOST_ROWS + 1) or [[]]
    if len(set(header)) < len(header) or any(len(row) != len(header) for row in rows):
        return None
    frame = pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String), orient="row")
    return RawTable(path, frame, separator, encoding)
