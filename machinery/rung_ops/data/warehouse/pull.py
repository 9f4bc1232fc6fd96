"""Take what is new in the warehouse, one file for each window, or the whole as one file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rung_ops import contract
from rung_ops.data.warehouse import columns, extract, query, sample, windows
from rung_ops.data.warehouse.connect import connected
from rung_ops.data.warehouse.errors import WarehouseError
from rung_ops.data.warehouse.query import Query
from rung_ops.data.warehouse.settings import Settings
from rung_ops.data.warehouse.source import Ends, Rows, Source
from rung_ops.data.warehouse.url import Address
from rung_ops.data.warehouse.windows import Window
from rung_ops.project.paths import shown
from rung_ops.system.printable import printable

SNAPSHOT = "all-rows.parquet"  # the file of a project without a watermark

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pull:
    """A pull under way: from where, by which query, into which folder."""

    source: Source
    address: Address
    query: Query
    settings: Settings
    folder: Path
    say: Say

    def windows(self) -> int:
        """Take every window that is over and was not taken; return the number of rows."""
        limit = self.source.now() - self.settings.lag
        done = windows.taken(self.folder)
        rows = 0
        for run in windows.waiting(done, self.settings.first, limit, self.settings.window):
            empty = 0
            for window in run:
                came = self._take(self.folder / window.file_name, window.ends, f"{window}: ")
                rows += came
                empty = 0 if came else empty + 1
                # After 1, 2, 4, ... empty ones in a row: is there anything at all further on?
                if empty and empty & (empty - 1) == 0 and not self._more(window, run[-1]):
                    break
        return rows

    def snapshot(self) -> int:
        """Take all rows; return their number."""
        return self._take(self.folder / SNAPSHOT, None, "")

    def _more(self, window: Window, last: Window) -> bool:
        rest = Window(window.until, last.until)
        return rest.since < rest.until and self.source.holds_any(self.query, rest.ends)

    def _take(self, target: Path, ends: Ends, words: str) -> int:
        try:
            with self.source.rows(self.query, ends) as rows:
                self._refuse_others(rows)
                came = extract.write(target, rows, self._note(), self.settings.watermark, ends)
        except WarehouseError as error:
            raise self._explained(error) from None
        if came:
            self.say(f"{words}{came:,} rows: {shown(target)}")
        return came

    def _note(self) -> dict[str, Any]:
        # Nothing that differs between two machines: the same rows make the same file.
        return {"query": self.query.hash, "sample": self.address.is_sample}

    def _refuse_others(self, rows: Rows) -> None:
        actual = columns.types(columns.plain(rows.schema))
        if len(actual) != len(rows.schema):
            raise WarehouseError(f"{shown(self.query.file)} gives two columns of one name.")
        last = last_here(self.folder)
        before = columns.types(pq.read_schema(last)) if last else {}
        wrong = columns.differences(
            actual, row_types(), before, last.name if last else "", self.settings.watermark
        )
        if wrong:
            raise WarehouseError("\n".join([*map(printable, wrong), columns.MEANT]))

    def _explained(self, error: WarehouseError) -> WarehouseError:
        """Say what a column was that the query asks for and the warehouse no longer has."""
        last = last_here(self.folder)
        before = columns.types(pq.read_schema(last)) if last else {}
        if error.gone is None or error.gone not in row_types() | before:
            return error
        gone = columns.gone(error.gone, row_types(), before, last.name if last else "")
        return WarehouseError("\n".join([str(error), gone, columns.MEANT]))


def pull(settings: Settings, address: Address, folder: Path, say: Say = print) -> int:
    """Take what is new; return the number of rows.

    Raises:
        WarehouseError: the warehouse says no, or gives what must not be mixed with what is here.
    """
    asked = query.read(settings.query, settings.watermark)
    with extract.alone(folder):
        refuse_to_mix(settings, address, folder)
        if address.is_sample and address.file is not None and not address.file.exists():
            sample.fill(address.file)
            say(f"filled {address.shown} from data/sample, as WAREHOUSE_URL is not set")
        with connected(address) as source:
            under_way = Pull(source, address, asked, settings, folder, say)
            return under_way.windows() if asked.windowed else under_way.snapshot()


def refuse_to_mix(settings: Settings, address: Address, folder: Path) -> None:
    """Refuse where what is here is of another kind than what would come.

    Raises:
        WarehouseError: it is.
    """
    done = windows.taken(folder)
    snapshots = [path for path in (folder / SNAPSHOT, folder / f"{SNAPSHOT}.dvc") if path.exists()]
    if (settings.watermark and snapshots) or (not settings.watermark and done):
        other = SNAPSHOT if snapshots else done[0].file_name
        raise WarehouseError(
            f"{shown(folder / other)} was taken {'without' if snapshots else 'with'} a watermark, and "
            f"warehouse.toml now says otherwise. {_start_over(folder)}"
        )
    last = last_here(folder)
    if (done or snapshots) and last is None:
        raise WarehouseError(
            f"What was taken before is versioned, but not in {shown(folder)}, so that nothing can "
            "be compared with it: `uv run poe pull` fetches it."
        )
    if last and (extract.note(last).get("sample", False) != address.is_sample):
        came = "the warehouse of the sample" if not address.is_sample else "a warehouse of your own"
        now = "is not set" if address.is_sample else f"names {address.shown}"
        raise WarehouseError(
            f"{shown(last)} came out of {came}, and WAREHOUSE_URL {now}: rows of the two must not "
            f"be mixed. Fix WAREHOUSE_URL. {_start_over(folder)}"
        )


def last_here(folder: Path) -> Path | None:
    """Find the file taken last whose content is here."""
    names = [window.file_name for window in windows.taken(folder)] + [SNAPSHOT]
    return next((folder / name for name in reversed(names) if (folder / name).exists()), None)


def row_types() -> dict[str, Any]:
    """Name the columns of Row and their types."""
    return {name: column.dtype.type for name, column in contract.Row.to_schema().columns.items()}


def _start_over(folder: Path) -> str:
    return f"To start again, delete the folder {shown(folder)}, and pull."
