"""A small warehouse in a file of DuckDB, and a place to take its rows to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from rung_ops.data.warehouse import duckdb as embedded
from rung_ops.data.warehouse import pull
from rung_ops.data.warehouse.settings import Address, Settings

ROW = {"sold": pl.Datetime("us"), "item": pl.String(), "price": pl.Float64()}
QUERY = (
    "SELECT sold, item, price FROM sales WHERE sold >= $since AND sold < $until ORDER BY sold, item"
)
NOW = datetime(2024, 1, 10, 12)


@dataclass
class Shop:
    """A warehouse of one table, sales, and a project that takes its rows.

    Attributes:
        now: what the warehouse's clock says.
        printed: what pulls have printed.
    """

    place: Path
    now: datetime = NOW
    watermark: str = "sold"
    window: int = 1
    lag: int = 0
    is_sample: bool = False
    printed: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.place / "incoming"

    def do(self, *statements: str) -> None:
        """Change the warehouse."""
        with duckdb.connect(self.place / "shop.duckdb") as connection:
            for statement in statements:
                connection.execute(statement)

    def sell(self, at: str, item: str = "tea") -> None:
        """Add a row."""
        self.do(f"INSERT INTO sales (sold, item, price) VALUES ('{at}', '{item}', 1.5)")

    def ask(self, query: str) -> None:
        """Write the query."""
        (self.place / "rows.sql").write_text(query)

    def pull(self) -> int:
        """Take what is new; return the number of rows."""
        query = str(self.place / "rows.sql")
        settings = Settings(query, self.watermark, date(2024, 1, 1), self.window, self.lag)
        file = self.place / "shop.duckdb"
        address = Address("the shop", file=file, is_sample=self.is_sample)
        return pull.pull(settings, address, self.folder, self.printed.append)

    def files(self) -> dict[str, bytes]:
        """Read everything that was written."""
        return {path.name: path.read_bytes() for path in sorted(self.folder.glob("*"))}

    def rows(self) -> pl.DataFrame:
        """Read all rows that were taken."""
        return pl.concat(pl.read_parquet(path) for path in sorted(self.folder.glob("*.parquet")))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop without sales, on the tenth of January 2024."""
    made = Shop(tmp_path)
    made.do("CREATE TABLE sales (sold TIMESTAMP, item VARCHAR, price DOUBLE)")
    made.ask(QUERY)
    clock: Callable[[object], datetime] = lambda source: made.now  # noqa: E731
    monkeypatch.setattr(embedded.Embedded, "now", clock)
    monkeypatch.setattr(pull, "row_types", lambda: dict(ROW))
    return made
