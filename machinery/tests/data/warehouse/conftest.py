"""A small warehouse in a file of DuckDB, and a place to take its rows to."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from adbc_driver_postgresql import dbapi

from rung_ops.data.warehouse import duckdb as embedded
from rung_ops.data.warehouse import pull
from rung_ops.data.warehouse.query import Source
from rung_ops.data.warehouse.settings import Address, Settings
from rung_ops.training import warehouse as training

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


SERVER = "RUNG_TEST_POSTGRESQL"  # the address of an empty database


class Warehouse:
    """A DuckDB file, or a PostgreSQL server, with tables."""

    def __init__(self, address: Address) -> None:
        self.address = address

    @property
    def url(self) -> str:
        """As WAREHOUSE_URL has it."""
        return self.address.url or f"duckdb:{self.address.file}"

    def fill(self, rows: pl.DataFrame, name: str = "t") -> None:
        """Make a table of these rows."""
        table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self.address.file:
            with duckdb.connect(self.address.file) as connection:
                connection.register("rows", table)
                connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM rows")
            return
        with dbapi.connect(self.address.url) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(name, table, mode="replace")
            connection.commit()

    def pull(self, folder: Path) -> int:
        """Take the sample and the test into a folder."""
        query = folder / "rows.sql"
        query.write_text("SELECT * FROM t")
        settings = Settings(str(query), "", date(2024, 1, 1), 1, 0, "sample")
        return pull.pull(settings, self.address, folder, print, training.pull_sample)

    @contextmanager
    def source(self) -> Iterator[Source]:
        with pull.connected(self.address) as source, source.at_one_moment() as moment:
            yield moment


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def warehouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    if request.param == "duckdb":
        file = tmp_path_factory.mktemp("judged") / "w.duckdb"
        yield Warehouse(Address("here", file=file))
        return
    if SERVER not in os.environ:
        pytest.skip("tests/product/test_warehouse.py starts PostgreSQL, and runs this there")
    yield Warehouse(Address("there", url=os.environ[SERVER]))


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
