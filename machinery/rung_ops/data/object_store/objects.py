"""The objects in the store, and the client that asks for them."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

from rung_ops.data.object_store.errors import named
from rung_ops.data.object_store.settings import Settings
from rung_ops.project.paths import BESIDE

# botocore is what DVC asks the store with: what lets one in lets the other in.
RAISED = (BotoCoreError, ClientError, ResponseParserError, ValueError)
SOME_REGION = "us-east-1"  # requests are signed for a region, also where a store has none


@dataclass(frozen=True)
class StoredObject:
    """One object that the project takes.

    Attributes:
        key: its name in the bucket.
        name: its path below data/incoming: the key without the prefix.
        size: bytes.
        etag: changes when the content does.
        modified: when it was last written.
    """

    key: str
    name: str
    size: int
    etag: str
    modified: datetime


def client(settings: Settings) -> Any:
    """Make a client; the credentials are those of the environment.

    Raises:
        StoreError: the settings are invalid.
    """
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
        raise named(error, settings.location()) from error


def credentials(settings: Settings) -> Any:
    """Find the credentials that the client uses: access_key, secret_key and token.

    Raises:
        StoreError: there are none.
    """
    try:
        credentials = botocore.session.get_session().get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return credentials.get_frozen_credentials()
    except RAISED as error:
        raise named(error, settings.location()) from error


def region() -> str:
    """Name the region that requests are signed for."""
    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    return region or botocore.session.get_session().get_config_variable("region") or SOME_REGION


def listed(client: Any, settings: Settings) -> tuple[list[StoredObject], list[str]]:
    """List what the project takes, by key; and the keys that cannot name a raw file here.

    Raises:
        StoreError: the store cannot be asked, or says no.
    """
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
                stored.append(
                    StoredObject(
                        key=entry["Key"],
                        name=name,
                        size=entry["Size"],
                        etag=entry["ETag"].strip('"'),
                        modified=entry["LastModified"],
                    )
                )
    except RAISED as error:
        raise named(error, settings.location()) from error
    return stored, unfit


def fits(name: str) -> bool:
    """Tell whether a key below the prefix can be a raw file's path below data/incoming.

    A key may be any text: it must not lead out of the folder, nor pass for what is beside data.
    """
    parts = name.split("/")
    plain = name.isprintable() and "\\" not in name and ":" not in name
    hidden = any(not part or part.startswith(".") or part != part.strip() for part in parts)
    return plain and not hidden and PurePosixPath(name).suffix not in BESIDE
