"""Bring one object here: in pieces, whole or not at all, and on from where it broke off."""

import errno
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    IncompleteReadError,
)

from rung_ops.data.object_store.errors import BROKEN_OFF, StoreError, named
from rung_ops.data.object_store.objects import RAISED, StoredObject
from rung_ops.data.object_store.settings import Settings
from rung_ops.data.object_store.status import MD5, md5_of
from rung_ops.system import atomic

PIECE = 1 << 20  # bytes held in memory
TRIES = 6  # in a row that brought nothing
PAUSE = 0.5  # seconds before the second try; twice as long before each further one
LONGEST = 15.0  # seconds
ALL_OF_IT = 200  # what a store answers that sends no parts


def fetch(client: Any, settings: Settings, stored: StoredObject, draft: Path) -> None:
    """Write an object to a draft, going on with what the draft holds.

    Raises:
        StoreError: it could not be fetched. The draft is kept where another try can go on with it.
    """
    where = settings.location(stored.key)
    try:
        _room(stored.size, draft)
        with draft.open("ab") as written:
            digest_holds = _receive(client, settings, stored, written)
            atomic.sync(draft)
        complete = draft.stat().st_size == stored.size
        complete = complete and (not digest_holds or md5_of(draft) == stored.etag)
    except (*BROKEN_OFF, *RAISED, OSError) as error:
        if not _may_go_on(error):
            draft.unlink(missing_ok=True)
        raise named(error, where) from error
    if not complete:
        draft.unlink()
        raise StoreError(
            f"{where}: what arrived is not what the store lists ({stored.size:,} bytes, "
            f"{stored.etag}). Type it again; if it stays so, the object is damaged: upload it again."
        )


def _receive(client: Any, settings: Settings, stored: StoredObject, written: BinaryIO) -> bool:
    """Receive what is missing; tell whether the ETag is the MD5 of the content."""
    plain = bool(MD5.fullmatch(stored.etag))
    tries = 0
    while (have := written.tell()) < stored.size:
        broken: Exception = IncompleteReadError(actual_bytes=have, expected_bytes=stored.size)
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
        except (*BROKEN_OFF, ConnectionError) as error:
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
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code") not in ("PreconditionFailed", "412")
    # Some of botocore's are an OSError, too.
    return isinstance(error, (*BROKEN_OFF, BotoCoreError)) or not isinstance(error, OSError)
