"""Measure what travels from a PostgreSQL of millions of rows: all of them, or the sample and the test.

With --entity-feature also the values of one: its events are the rows that came, or those there.
"""

import argparse
import os
import shutil
import socketserver
import sys
import tempfile
import threading
from pathlib import Path
from socket import SHUT_WR, create_connection, socket
from urllib.parse import urlsplit

import polars as pl
from adbc_driver_postgresql import dbapi
from large import END, PACKAGE, PARAMS, ROOT, SOURCES, generate, measured, project
from polars.testing import assert_frame_equal

SETTINGS = """query = "queries/rows.sql"
watermark = ""
first = 2020-01-01
window_days = 30
lag_hours = 48
rows = "{rows}"
"""
# Where events are, by what `rows` is.
EVENTS = {"all": "raw_rows", "sample": 'WarehouseEvents("queries/rows.sql")'}
ENTITY_FEATURE = """
from datetime import timedelta

from rung_ops.data.warehouse.events import WarehouseEvents
from rung_ops.features import EntityFeature, raw_rows

ENTITY_FEATURES = [
    EntityFeature(
        name="price_7d",
        entity=["shop"],
        source={events},
        time="at",
        aggregate=pl.col("price").mean(),
        window=timedelta(days=7),
        cadence=timedelta(hours=1),
    )
]
"""


class Counter(socketserver.ThreadingTCPServer):
    """Passes bytes between the client and the server, and counts what the server sends."""

    daemon_threads = True
    received = 0

    def __init__(self, host: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.to = host, port

    def finish_request(self, request: socket, client_address: object) -> None:  # type: ignore[override]
        with create_connection(self.to) as server:
            threading.Thread(target=self._pass_on, args=(request, server), daemon=True).start()
            while data := server.recv(1 << 16):
                self.received += len(data)
                request.sendall(data)

    def _pass_on(self, client: socket, server: socket) -> None:
        while data := client.recv(1 << 16):
            server.sendall(data)
        server.shutdown(SHUT_WR)


def fill(url: str, folder: Path, number: int) -> None:
    """Make the table `orders` of generated rows."""
    generate(folder, number, 500_000)
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS orders")
        for part in sorted(folder.glob("part-*.parquet")):
            table = pl.read_parquet(part).to_arrow(compat_level=pl.CompatLevel.oldest())
            cursor.adbc_ingest("orders", table, mode="create_append")
            part.unlink()
        connection.commit()


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="a PostgreSQL whose table `orders` may be replaced")
    parser.add_argument("folder", type=Path, help="room for a project and the rows")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--split", default="test_rows = 50_000\ntrain_rows = 200_000")
    parser.add_argument("--entity-feature", action="store_true")
    options = parser.parse_args()
    parts = urlsplit(options.url)
    server = Counter(str(parts.hostname), parts.port or 5432)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    user, _, _ = parts.netloc.rpartition("@")
    address = f"{user}@127.0.0.1:{server.server_address[1]}"
    os.environ["WAREHOUSE_URL"] = parts._replace(netloc=address).geturl()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="warehouse-", dir=options.folder) as room:
        made = project(Path(room))
        (made / "params.toml").write_text(PARAMS.format(split=options.split), "utf-8")
        fill(options.url, Path(room), options.rows)
        (made / "queries").mkdir(exist_ok=True)
        (made / "queries/rows.sql").write_text("select * from orders\n")
        for rows in ("all", "sample"):
            (made / "ops/warehouse.toml").write_text(SETTINGS.format(rows=rows))
            shutil.rmtree(made / "data/incoming/warehouse", ignore_errors=True)
            if options.entity_feature:
                text = SOURCES["features.py"] + ENTITY_FEATURE.format(events=EVENTS[rows])
                (made / "src" / PACKAGE / "features.py").write_text(text, "utf-8")
            server.received = 0
            costs = [measured(ROOT, made, "warehouse", "pull")]
            costs += [
                measured(ROOT, made, "stage", f"pipeline/{stage}.py")
                for stage in ("ingest", "validate", "split")
            ]
            here = [pl.read_parquet(made / f"data/{name}.parquet") for name in ("train", "test")]
            files = list((made / "data/incoming/warehouse").glob("*.parquet"))
            print(
                f'rows = "{rows}": {pl.scan_parquet(files).select(pl.len()).collect().item():,} rows '
                f"came, {server.received:,} bytes; train {here[0].height:,}, test {here[1].height:,}; "
                f"pull, then the stages: {costs}"
            )
            if options.entity_feature:
                server.received = 0
                cost = measured(ROOT, made, "features", "materialize", "--as-of", f"{END:%Y-%m-%d}")
                print(f"materialize: {cost}, {server.received:,} bytes")
            if rows == "all":
                before = here
        for one, two in zip(before, here, strict=True):
            assert_frame_equal(one.sort("order"), two.sort("order"), rel_tol=1e-12)
        print("the same training and test rows", file=sys.stderr)


if __name__ == "__main__":
    main()
