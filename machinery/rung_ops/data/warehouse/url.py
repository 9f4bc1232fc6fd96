"""Where the warehouse is: what WAREHOUSE_URL says, and how to speak of it without its password.

Rung keeps this file; set WAREHOUSE_URL in the environment or in .env.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from rung_ops.data.warehouse.errors import WarehouseError
from rung_ops.data.warehouse.settings import sample_warehouse
from rung_ops.project import current
from rung_ops.project.paths import shown

VARIABLE = "WAREHOUSE_URL"
UNSET = f"$({VARIABLE})"  # what Azure Pipelines gives for a variable that is not there
POSTGRESQL = {"postgresql", "postgres"}
# Of libpq, in seconds: without them it waits for minutes if no server answers, and for hours if
# a connection has died without a word.
PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
SECRET = {"password", "sslpassword"}


@dataclass(frozen=True)
class Address:
    """A warehouse's address.

    Attributes:
        shown: how to speak of it: without what is secret.
        url: the whole, for PostgreSQL's driver; never to be printed.
        file: DuckDB's file; None for PostgreSQL.
        is_sample: it is the sample's own, as WAREHOUSE_URL is not set.
    """

    shown: str
    url: str = field(default="", repr=False)
    file: Path | None = None
    is_sample: bool = False

    def scrub(self, message: str) -> str:
        """Remove the password from a text."""
        parts = urlsplit(self.url)
        secrets = {parts.password, unquote(parts.password or ""), os.environ.get("PGPASSWORD")}
        secrets |= {value for name, value in parse_qsl(parts.query) if name in SECRET}
        message = message.replace(self.url, self.shown) if self.url else message
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            message = message.replace(secret, "***")
        return message


def read() -> Address:
    """Read WAREHOUSE_URL; unset or empty it means the sample's own warehouse.

    Raises:
        WarehouseError: no driver reads such an address. The message does not repeat it, as it
            holds a password.
    """
    url = os.environ.get(VARIABLE, "").strip()
    if url in ("", UNSET):
        return Address(shown(sample_warehouse()), file=sample_warehouse(), is_sample=True)
    scheme = url.partition(":")[0].lower()
    if scheme == "duckdb":
        file = current().root / unquote(urlsplit(url).path)
        return Address(shown(file), file=file)
    if scheme not in POSTGRESQL or "://" not in url:
        raise WarehouseError(
            f"{VARIABLE} begins with neither `postgresql://` nor `duckdb:`, and there is no driver "
            "for anything else."
        )
    return _postgresql(url)


def _postgresql(url: str) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port
        clear = parts.netloc.count("@") <= 1 and not parts.fragment
    except ValueError:
        clear = False
    if not clear:
        raise WarehouseError(
            f"{VARIABLE} cannot be read as postgresql://USER@HOST:PORT/DATABASE, with "
            "USER:PASSWORD in the place of USER. Signs such as @ : / ? # % in the password are "
            "written as %40 %3A %2F %3F %23 %25."
        )
    asked = dict(parse_qsl(parts.query))
    waits = urlencode({name: value for name, value in PATIENCE.items() if name not in asked})
    patient = parts._replace(query="&".join(filter(None, [parts.query, waits]))).geturl()
    user = f"{parts.username}@" if parts.username else ""
    host = f"{parts.hostname or 'localhost'}{f':{port}' if port else ''}"
    return Address(f"postgresql://{user}{host}{parts.path}", url=patient)
