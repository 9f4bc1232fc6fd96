"""Where the warehouse is and how rows are taken: WAREHOUSE_URL and ops/warehouse.toml."""

import os
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
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
    """Rows cannot be taken; `gone` names a column that the warehouse no longer has, if that is why."""

    def __init__(self, message: str, gone: str | None = None) -> None:
        super().__init__(message)
        self.gone = gone


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows are taken, as in ops/warehouse.toml."""

    query: str
    watermark: str  # the column that says when a row came; empty if each pull takes all rows
    first: date  # the first day of the first window; unused without a watermark
    window_days: Annotated[int, msgspec.Meta(ge=1)]
    lag_hours: Annotated[int, msgspec.Meta(ge=0)]  # how long rows may still come or change
    # "sample": all rows are judged in the warehouse, and only the training sample and the test come
    rows: Literal["all", "sample"] = "all"


def settings_file() -> Path:
    """Return the path of ops/warehouse.toml."""
    return current().root / "ops/warehouse.toml"


def read(file: Path | None = None) -> Settings:
    """Read ops/warehouse.toml."""
    file = settings_file() if file is None else file
    if not file.is_file():
        raise SettingsError(f"{shown(file)} is missing: take it back from git.")
    return settings.read(file, Settings)


@dataclass(frozen=True)
class Address:
    """A warehouse's address."""

    shown: str  # how to speak of it: without what is secret
    url: str = field(default="", repr=False)  # for PostgreSQL's driver; never to be printed
    file: Path | None = None  # DuckDB's file; None for PostgreSQL
    is_sample: bool = False  # it is the sample's own, as WAREHOUSE_URL is not set

    def scrub(self, message: str) -> str:
        """Remove the password from a text."""
        parts = urlsplit(self.url)
        secrets = {parts.password, unquote(parts.password or ""), os.environ.get("PGPASSWORD")}
        secrets |= {value for name, value in parse_qsl(parts.query) if name in SECRET}
        message = message.replace(self.url, self.shown) if self.url else message
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            message = message.replace(secret, "***")
        return message


def sample_address() -> Address:
    """Return the address of the warehouse that is made of data/sample."""
    file = current().root / "data/warehouse.duckdb"
    return Address(shown(file), file=file, is_sample=True)


def read_address() -> Address:
    """Read WAREHOUSE_URL; unset it means the sample's own. Errors repeat nothing of it: its password."""
    url = os.environ.get(VARIABLE, "").strip()
    if url in ("", UNSET):
        return sample_address()
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
    parameters = dict(parse_qsl(parts.query))
    waits = urlencode({name: value for name, value in PATIENCE.items() if name not in parameters})
    patient = parts._replace(query="&".join(filter(None, [parts.query, waits]))).geturl()
    user = f"{parts.username}@" if parts.username else ""
    host = f"{parts.hostname or 'localhost'}{f':{port}' if port else ''}"
    return Address(f"postgresql://{user}{host}{parts.path}", url=patient)
