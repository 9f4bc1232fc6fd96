"""Fetch what the store has and data/incoming has not, and what changed there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rung_ops.data.object_store import record, status
from rung_ops.data.object_store.errors import StoreError, named
from rung_ops.data.object_store.fetch import fetch
from rung_ops.data.object_store.narrow import narrow
from rung_ops.data.object_store.objects import StoredObject
from rung_ops.data.object_store.record import Fetched
from rung_ops.data.object_store.settings import Settings
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import atomic, locks

LOCK = ".pull.tmp"  # git, DVC and load() pass it over


@contextmanager
def alone() -> Iterator[None]:
    """Be the only one who pulls; the kernel frees the lock when the process ends.

    Raises:
        StoreError: somebody else pulls.
    """
    try:
        current().incoming.mkdir(parents=True, exist_ok=True)
        lock = locks.try_lock(current().incoming / LOCK)
    except OSError as error:
        raise named(error, shown(current().incoming)) from error
    if lock is None:
        raise StoreError(
            f"{shown(current().incoming)}: another `poe data pull` is at work here. Wait for its end."
        )
    try:
        yield
    finally:
        os.close(lock)


def bring(client: Any, settings: Settings, stored: StoredObject, known: dict[str, Fetched]) -> Path:
    """Fetch one object, and put it in its place; the record knows it afterwards.

    Args:
        client: of botocore.
        settings: of the store.
        stored: an object that is NEW or CHANGED.
        known: the record; changed and written.

    Returns:
        Its file.

    Raises:
        StoreError: it could not be fetched or written; what was there before is as it was.
    """
    path, part = record.path_of(stored, settings), record.part_of(stored, settings)
    draft = record.draft_of(path, stored.etag)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in record.old_drafts(path, stored.etag):
            old.unlink()
        if part:
            narrow(settings, stored, draft)
        else:
            fetch(client, settings, stored, draft)
        _hide(path)
        # First the record, then the file: a draft beside a file that is known is one that was
        # not put in its place yet.
        size = draft.stat().st_size
        known[path.relative_to(current().incoming).as_posix()] = Fetched(
            f"s3://{settings.bucket}/{stored.key}", stored.etag, size, part
        )
        record.write(known)
        atomic.put(draft, path)
    except OSError as error:
        raise named(error, shown(path)) from error
    return path


def adopt(settings: Settings, stored: StoredObject, known: dict[str, Fetched]) -> None:
    """Note a file that is the object already, wherever it came from."""
    path = record.path_of(stored, settings)
    known[path.relative_to(current().incoming).as_posix()] = Fetched(
        f"s3://{settings.bucket}/{stored.key}", stored.etag, path.stat().st_size
    )
    record.write(known)


def can_be_adopted(settings: Settings, stored: StoredObject) -> bool:
    """Tell whether a file that is not in the record is still the object."""
    path = record.path_of(stored, settings)
    return not record.part_of(stored, settings) and status.is_the_object(path, stored)


def _hide(path: Path) -> None:
    """Keep a raw file out of git, with the line that DVC would write for it."""
    name = "".join(f"\\{one}" if one in "\\*?[]!# " else one for one in path.name)
    ignore = path.parent / ".gitignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    if f"/{name}" not in lines:
        ignore.write_text("".join(f"{line}\n" for line in [*lines, f"/{name}"]), encoding="utf-8")
