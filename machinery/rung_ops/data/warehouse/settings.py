"""Where the warehouse is and how rows are taken: WAREHOUSE_URL and ops/warehouse.toml."""

import os
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec

from rung_ops import settings
from rung_ops.errors import OpsError, SettingsError
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


class WarehouseError(OpsError):
    """Rows cannot be taken; the message says why and what to do.

    Attributes:
        gone: the column that the query asks for and the warehouse does not have, where that is why.
    """

    def __init__(self, message: str, gone: str | None = None) -> None:
        super().__init__(message)
        self.gone = gone


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    query: str
    watermark: str
    first: date
    window_days: Annotated[int, msgspec.Meta(ge=1)]
    lag_hours: Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True)
class Settings:
    """How rows are taken.

    Attributes:
        query: the SQL file.
        watermark: the column that says when a row came; None if each pull takes all rows.
        first: the first day of the first window; unused without a watermark.
        window: length of a window, in whole days.
        lag: how long rows may still come or change.
    """

    query: Path
    watermark: str | None
    first: date
    window: timedelta
    lag: timedelta


def settings_file() -> Path:
    """Return the path of ops/warehouse.toml."""
    return current().root / "ops/warehouse.toml"


def taken_folder() -> Path:
    """Return the folder of the rows that were taken from a warehouse."""
    return current().warehouse


def sample_warehouse() -> Path:
    """Return the path of the warehouse that the sample is in."""
    return current().root / "data/warehouse.duckdb"


def read(file: Path | None = None, root: Path | None = None) -> Settings:
    """Read ops/warehouse.toml.

    Args:
        file: the settings.
        root: the folder that `query` is relative to.

    Raises:
        SettingsError: it is missing, is not valid TOML, or has an unknown name or a wrong value.
    """
    file = settings_file() if file is None else file
    root = current().root if root is None else root
    if not file.is_file():
        raise SettingsError(f"{shown(file)} is missing: take it back from git.")
    content = settings.read(file, _File)
    return Settings(
        query=root / content.query,
        watermark=content.watermark or None,
        first=content.first,
        window=timedelta(days=content.window_days),
        lag=timedelta(hours=content.lag_hours),
    )


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


def read_address() -> Address:
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
    return _postgresql_address(url)


def _postgresql_address(url: str) -> Address:
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
