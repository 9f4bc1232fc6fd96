"""Bring a part of a table here: the columns and rows that ops/store.toml names, as a stream."""

from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.data.object_store import objects
from rung_ops.data.object_store.errors import CREDENTIALS, StoreError, named
from rung_ops.data.object_store.objects import StoredObject
from rung_ops.data.object_store.settings import Settings
from rung_ops.system import atomic
from rung_ops.system.disk import is_full

RETRIES = 6


def narrow(settings: Settings, stored: StoredObject, draft: Path) -> None:
    """Write the columns and rows of a table to a draft; the table is never whole in memory or here.

    Of a Parquet file only the columns that are needed travel, and no group of rows that cannot
    hold one that is asked for.

    Raises:
        StoreError: it could not be read, has no such column, or could not be written.
    """
    where = settings.location(stored.key)
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        table = _scanned(settings, stored)
        if settings.rows:
            table = table.filter(pl.sql_expr(settings.rows))
        if settings.columns:
            table = table.select(settings.columns)
        table.sink_parquet(draft)
        atomic.sync(draft)
    except (pl.exceptions.PolarsError, OSError) as error:
        draft.unlink(missing_ok=True)
        raise _named(error, where, settings) from error


def _scanned(settings: Settings, stored: StoredObject) -> pl.LazyFrame:
    url = f"s3://{settings.bucket}/{stored.key}"
    options = _options(settings)
    if Path(stored.name).suffix == ".parquet":
        return pl.scan_parquet(url, storage_options=options, credential_provider=None, glob=False)
    return pl.scan_csv(
        url,
        storage_options=options,
        credential_provider=None,
        glob=False,
        try_parse_dates=True,
    )


def _options(settings: Settings) -> dict[str, Any]:
    """Give Polars the address and the credentials that botocore finds."""
    credentials = objects.credentials(settings)
    options = {
        "aws_access_key_id": credentials.access_key,
        "aws_secret_access_key": credentials.secret_key,
        "aws_region": objects.region(),
        "max_retries": RETRIES,
    }
    if credentials.token:
        options["aws_session_token"] = credentials.token
    if settings.endpoint:
        options["aws_endpoint_url"] = settings.endpoint
        options["aws_allow_http"] = "true"
        options["aws_virtual_hosted_style_request"] = "false"
    return options


def _named(error: Exception, where: str, settings: Settings) -> StoreError:
    if is_full(error):
        return named(error, where)
    message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, pl.exceptions.ColumnNotFoundError | pl.exceptions.SQLInterfaceError):
        return StoreError(f"{where}: {message}. Look at `columns` and `rows` in ops/store.toml.")
    return StoreError(
        f"{where}: cannot be read as a stream ({message.split(' (path:')[0]}). Type it again when the "
        f"connection is back. The credentials come from {CREDENTIALS}; `columns` and `rows` are "
        "those in ops/store.toml."
    )
