"""The client of the object store: lists its objects, fetches them, and names what goes wrong."""

import errno
import os
import re
import shutil
import time
from configparser import ConfigParser
from configparser import Error as Malformed
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import botocore.exceptions as raised
import botocore.session
import polars as pl
from botocore.config import Config
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from rung_ops.data.object_store.settings import Settings
from rung_ops.errors import OpsError
from rung_ops.project import current
from rung_ops.project.paths import BESIDE
from rung_ops.system import files, key_names
from rung_ops.system.files import is_full, md5

MD5 = re.compile(r"[0-9a-f]{32}")  # what an ETag is where it is the MD5 of the content
CREDENTIALS = "the environment, or .env (.env.example lists them)"

# What the store says, by its code, in words; and what to do.
KNOWN_ERRORS: dict[str, tuple[str, str]] = {
    "InvalidAccessKeyId": (
        "the store does not know this access key",
        f"Look at AWS_ACCESS_KEY_ID in {CREDENTIALS}.",
    ),
    "SignatureDoesNotMatch": (
        "the secret key does not belong to the access key",
        f"Look at AWS_SECRET_ACCESS_KEY in {CREDENTIALS}: no character may be missing.",
    ),
    "AccessDenied": (
        "this key may not do that",
        "The administrator of the bucket can allow it to list the bucket and to read its objects "
        "(s3:ListBucket, s3:GetObject).",
    ),
    "ExpiredToken": (
        "the credentials have expired",
        f"Get new ones, put all three into {CREDENTIALS}, and type it again: it goes on where "
        "it was.",
    ),
    "InvalidToken": (
        "the session token is not valid",
        f"Look at AWS_SESSION_TOKEN in {CREDENTIALS}; leave it empty for keys that last.",
    ),
    "RequestTimeTooSkewed": (
        "the clock of this machine is wrong by minutes, and the store takes no such requests",
        "Set the clock (`timedatectl set-ntp true`), and type it again.",
    ),
    "NoSuchBucket": (
        "there is no such bucket",
        "Look at `bucket` and `endpoint` in ops/store.toml, or make the bucket.",
    ),
    "NoSuchKey": ("the object is gone", "Type it again: the store is listed again."),
    "PreconditionFailed": (
        "the object changed while it was fetched",
        "Type it again: it is fetched from its beginning.",
    ),
    "AuthorizationHeaderMalformed": (
        "the bucket is in another region",
        "Name its region in AWS_DEFAULT_REGION.",
    ),
    "SlowDown": ("the store asks for fewer requests", "Wait some minutes, and type it again."),
}
SAME = {
    "403": "AccessDenied",
    "404": "NoSuchBucket",
    "412": "PreconditionFailed",
    "Forbidden": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "RequestExpired": "RequestTimeTooSkewed",
    "PermanentRedirect": "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException": "AuthorizationHeaderMalformed",
    "Throttling": "SlowDown",
    "ServiceUnavailable": "SlowDown",
}

BROKEN_OFF = (
    HTTPError,
    raised.ConnectionClosedError,
    raised.IncompleteReadError,
    raised.ReadTimeoutError,
    raised.ResponseStreamingError,
)
AGAIN = "Type it again when the connection is back: it goes on where it was."
LOGGED_OUT = (
    raised.CredentialRetrievalError,
    raised.MetadataRetrievalError,
    raised.SSOError,
    raised.TokenRetrievalError,
)


def store_error(error: Exception, where: str) -> OpsError:
    """Say in words what botocore or the system raised about `s3://bucket/key at ENDPOINT`."""
    what, remedy = _cause(error)
    return OpsError(f"{where}: {what}.", remedy)


def _cause(error: Exception) -> tuple[str, str]:
    if isinstance(error, raised.ClientError):
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", ""))
        known = KNOWN_ERRORS.get(SAME.get(code, code))
        return known or (
            f"the store answers {code} ({answer.get('Message') or 'and says no more'})",
            "Check ops/store.toml, or ask the administrator of the store.",
        )
    if isinstance(error, raised.NoCredentialsError | raised.PartialCredentialsError):
        return (
            "there are no credentials for the store",
            f"Put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into {CREDENTIALS}.",
        )
    if isinstance(error, LOGGED_OUT):
        return f"the credentials cannot be fetched ({error})", "Sign in again, and type it again."
    if isinstance(error, raised.SSLError):
        return f"the store's certificate is not trusted ({error})", "AWS_CA_BUNDLE names your own."
    if isinstance(error, BROKEN_OFF):
        return f"the connection broke off ({type(error).__name__})", AGAIN
    if isinstance(error, raised.ConnectionError):
        return (
            "nothing answers there",
            "Is the store running, and `endpoint` in ops/store.toml its address? " + AGAIN,
        )
    if is_full(error):
        return "the disk is full here", "Make room, and type it again: nothing is half written."
    if isinstance(error, OSError):
        return f"cannot be written here ({error.strerror or error})", "Look at who may write."
    if isinstance(error, ResponseParserError):
        return (
            "what answers there does not speak as an object store does",
            "Type it again. If it stays so, look at `endpoint` in ops/store.toml: it is the address "
            "for programs, not that of the console.",
        )
    return f"cannot be asked ({error})", "Look at ops/store.toml and at the AWS_ variables."


# botocore is what DVC asks the store with: what lets one in lets the other in.
RAISED = (raised.BotoCoreError, raised.ClientError, ResponseParserError, ValueError)
SOME_REGION = "us-east-1"  # requests are signed for a region, also where a store has none


@dataclass(frozen=True)
class StoredObject:
    """One object that the project takes."""

    key: str  # its name in the bucket
    name: str  # its path below data/incoming: the key without the prefix
    size: int
    etag: str  # changes when the content does
    modified: datetime


def client(settings: Settings) -> Any:
    """Make a client; the credentials are those of the environment."""
    key_names.drop_unset()
    config = Config(
        connect_timeout=10,  # seconds
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 3},
        # AWS has a host name for each bucket; few other stores do.
        s3={"addressing_style": "path" if settings.endpoint else "auto"},
        # Length and MD5 are checked when a file is complete, also after a broken connection.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return botocore.session.get_session().create_client(
            "s3", endpoint_url=settings.endpoint or None, region_name=region(), config=config
        )
    except RAISED as error:
        raise store_error(error, settings.location()) from error


def region() -> str:
    """Name the region that requests are signed for."""
    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    return region or botocore.session.get_session().get_config_variable("region") or SOME_REGION


def listed(client: Any, settings: Settings) -> tuple[list[StoredObject], list[str]]:
    """List what the project takes, by key; and the keys that cannot name a raw file here."""
    stored: list[StoredObject] = []
    unfit: list[str] = []
    try:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=settings.bucket, Prefix=settings.root
        )
        for page in pages:
            for entry in page.get("Contents", []):
                name = entry["Key"].removeprefix(settings.root)
                if not name or name.endswith("/") or not settings.takes(name):
                    continue  # the mark of a folder, or not selected
                if not fits(name):
                    unfit.append(entry["Key"])
                    continue
                etag = entry["ETag"].strip('"')
                stored.append(
                    StoredObject(entry["Key"], name, entry["Size"], etag, entry["LastModified"])
                )
    except RAISED as error:
        raise store_error(error, settings.location()) from error
    return stored, unfit


def fits(name: str) -> bool:
    """Tell whether a key below the prefix, which may be any text, can name a raw file."""
    parts = name.split("/")
    plain = name.isprintable() and "\\" not in name and ":" not in name
    hidden = any(not part or part.startswith(".") or part != part.strip() for part in parts)
    return plain and not hidden and PurePosixPath(name).suffix not in BESIDE


PIECE = 1 << 20  # bytes held in memory
TRIES = 6  # in a row that brought nothing
PAUSE = 0.5  # seconds before the second try; twice as long before each further one
LONGEST = 15.0  # seconds
ALL_OF_IT = 200  # what a store answers that sends no parts


def fetch(client: Any, settings: Settings, stored: StoredObject, draft: Path) -> None:
    """Write an object to a draft, going on with what the draft holds."""
    where = settings.location(stored.key)
    try:
        _room(stored.size, draft)
        with draft.open("ab") as written:
            digest_holds = _receive(client, settings, stored, written)
            files.sync(draft)
        complete = draft.stat().st_size == stored.size
        complete = complete and (not digest_holds or md5(draft) == stored.etag)
    except (*BROKEN_OFF, *RAISED, OSError) as error:
        if not _may_go_on(error):
            draft.unlink(missing_ok=True)
        raise store_error(error, where) from error
    if not complete:
        draft.unlink()
        raise OpsError(
            f"{where}: what arrived is not what the store lists ({stored.size:,} bytes, "
            f"{stored.etag}). Type it again; if it stays so, the object is damaged: upload it again."
        )


def _receive(client: Any, settings: Settings, stored: StoredObject, written: BinaryIO) -> bool:
    """Receive what is missing; tell whether the ETag is the MD5 of the content."""
    plain = bool(MD5.fullmatch(stored.etag))
    tries = 0
    while (have := written.tell()) < stored.size:
        broken: Exception = raised.IncompleteReadError(
            actual_bytes=have, expected_bytes=stored.size
        )
        try:
            answer = client.get_object(
                Bucket=settings.bucket,
                Key=stored.key,
                Range=f"bytes={have}-",
                IfMatch=f'"{stored.etag}"',
            )
            # With encryption by the owner's key, the ETag is not an MD5.
            plain = plain and "aws:kms" not in answer.get("ServerSideEncryption", "")
            plain = plain and "SSECustomerAlgorithm" not in answer
            if have and not answer.get("ContentRange", "").startswith(f"bytes {have}-"):
                if answer["ResponseMetadata"]["HTTPStatusCode"] != ALL_OF_IT:
                    raise broken  # the line was cut within the headers
                written.seek(0)
                written.truncate()
            # Not `with answer["Body"]`: what that gives ends without a word where the line is cut.
            with closing(answer["Body"]) as body:
                for piece in iter(lambda: body.read(PIECE), b""):
                    written.write(piece)
        except (*BROKEN_OFF, raised.ConnectionError) as error:
            broken = error
        written.flush()
        if written.tell() < stored.size:
            tries = 0 if written.tell() > have else tries + 1
            if tries >= TRIES:
                raise broken
            time.sleep(min(PAUSE * 2**tries, LONGEST))
    return plain


def _room(size: int, draft: Path) -> None:
    """Make the draft's folder, and see that the object has room in it."""
    draft.parent.mkdir(parents=True, exist_ok=True)
    have = draft.stat().st_size if draft.exists() else 0
    if have > size:
        draft.unlink()
        have = 0
    if shutil.disk_usage(draft.parent).free < size - have:
        raise OSError(errno.ENOSPC, f"{size - have:,} more bytes are needed")


def _may_go_on(error: Exception) -> bool:
    """Tell whether another try can use what has arrived: the object is still the same."""
    if isinstance(error, raised.ClientError):
        return error.response.get("Error", {}).get("Code") not in ("PreconditionFailed", "412")
    # Some of botocore's are an OSError, too.
    return isinstance(error, (*BROKEN_OFF, raised.BotoCoreError)) or not isinstance(error, OSError)


RETRIES = 6


def narrow(settings: Settings, stored: StoredObject, draft: Path) -> None:
    """Write the columns and rows of a table to a draft; the table is never whole in memory or here."""
    where = settings.location(stored.key)
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        table = _scanned(settings, stored)
        if settings.rows:
            table = table.filter(pl.sql_expr(settings.rows))
        if settings.columns:
            table = table.select(settings.columns)
        with draft.open("wb") as opened:  # or an error may leave it: see files.opened()
            table.sink_parquet(opened)
        files.sync(draft)
    except (pl.exceptions.PolarsError, OSError) as error:
        draft.unlink(missing_ok=True)
        raise _table_error(error, where, settings) from error


def _scanned(settings: Settings, stored: StoredObject) -> pl.LazyFrame:
    url = f"s3://{settings.bucket}/{stored.key}"
    how: Any = {"storage_options": _options(settings), "credential_provider": None, "glob": False}
    if Path(stored.name).suffix == ".parquet":
        return pl.scan_parquet(url, **how)
    return pl.scan_csv(url, try_parse_dates=True, **how)


def _options(settings: Settings) -> dict[str, Any]:
    """Give Polars the address and the credentials that botocore finds."""
    try:
        found = botocore.session.get_session().get_credentials()
        if found is None:
            raise raised.NoCredentialsError
        found = found.get_frozen_credentials()
    except RAISED as error:
        raise store_error(error, settings.location()) from error
    options = {
        "aws_access_key_id": found.access_key,
        "aws_secret_access_key": found.secret_key,
        "aws_region": region(),
        "max_retries": RETRIES,
    }
    if found.token:
        options["aws_session_token"] = found.token
    if settings.endpoint:
        options["aws_endpoint_url"] = settings.endpoint
        options["aws_allow_http"] = "true"
        options["aws_virtual_hosted_style_request"] = "false"
    return options


def _table_error(error: Exception, where: str, settings: Settings) -> OpsError:
    if is_full(error):
        return store_error(error, where)
    message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, pl.exceptions.ColumnNotFoundError | pl.exceptions.SQLInterfaceError):
        return OpsError(f"{where}: {message}. Look at `columns` and `rows` in ops/store.toml.")
    return OpsError(
        f"{where}: cannot be read as a stream ({message.split(' (path:')[0]}). Type it again when the "
        f"connection is back. The credentials come from {CREDENTIALS}; `columns` and `rows` are "
        "those in ops/store.toml."
    )


def dvc_config() -> Path:
    """Return the path of DVC's settings."""
    return current().repository / ".dvc/config"


def remote_advice() -> str:
    """Ask the remote of .dvc/config, as DVC did, and say what is wrong and what to do."""
    try:
        remote = _remote()
        if remote is None:
            return "Look at the remote in .dvc/config: everybody must reach it."
        try:
            client(remote).list_objects_v2(Bucket=remote.bucket, Prefix=remote.root, MaxKeys=1)
        except RAISED as error:
            raise store_error(error, remote.location()) from error
    except OpsError as error:
        return str(error)
    return (
        f"{remote.location()} answers. Either the key may not read and write there (s3:GetObject, "
        "s3:PutObject), or the versions were never sent from where the files are."
    )


def _remote() -> Settings | None:
    """Read where DVC keeps its versions; None if that is not an object store."""
    config = ConfigParser(interpolation=None)
    try:
        config.read(dvc_config(), encoding="utf-8")
        remote = config[f"'remote \"{config['core']['remote']}\"'"]
        url = remote["url"]
    except (Malformed, KeyError, UnicodeDecodeError) as error:
        raise OpsError(f".dvc/config: names no remote ({error}). Fix it.") from error
    if not url.startswith("s3://"):
        return None
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return Settings(remote.get("endpointurl", ""), bucket, prefix.strip("/"))
