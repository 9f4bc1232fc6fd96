"""How data/incoming compares with the store, and how one object of it comes here.

store.lock records what was fetched, by file. Commit it: it says which object a file came from.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rung_ops.data.object_store.client import StoredObject, fetch, narrow, store_error
from rung_ops.data.object_store.settings import ObjectStoreError, Settings
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import atomic, locks
from rung_ops.system.files import md5


def record_file() -> Path:
    """Return the path of store.lock."""
    # At the root, not beside the data: the stage `ingest` runs again when data/incoming changes.
    return current().root / "store.lock"


@dataclass(frozen=True)
class Fetched:
    """One file that was fetched.

    Attributes:
        source: the object it came from.
        etag: the object's, then.
        size: bytes of the file here.
        part: which columns and rows were taken; empty if it is the object as it is.
    """

    source: str
    etag: str
    size: int
    part: str = ""


def read_record() -> dict[str, Fetched]:
    """Read the record; by the file's path below data/incoming.

    Raises:
        ObjectStoreError: it cannot be read.
    """
    if not record_file().exists():
        return {}
    try:
        entries = json.loads(record_file().read_text(encoding="utf-8"))
        return {name: Fetched(**entry) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ObjectStoreError(
            f"{shown(record_file())}: cannot be read ({error}). Take the committed one "
            f"(`git checkout -- {shown(record_file())}`), or delete it: files that are the same are known "
            "again."
        ) from error


def write_record(record: dict[str, Fetched]) -> None:
    """Write the record; the old one stays until the new one is whole."""
    text = json.dumps({name: asdict(record[name]) for name in sorted(record)}, indent=2)
    atomic.write(record_file(), f"{text}\n".encode())


def is_table(name: str) -> bool:
    """Tell whether a file is one that columns and rows can be taken from."""
    return Path(name).suffix in {".parquet", ".csv"}


def part_of(stored: StoredObject, settings: Settings) -> str:
    """Say which part of an object is taken; empty if it is all."""
    return settings.part if is_table(stored.name) else ""


def path_of(stored: StoredObject, settings: Settings) -> Path:
    """Find the place of an object's file; a part of a CSV file is written as Parquet."""
    path = current().incoming / stored.name
    narrowed = part_of(stored, settings) and path.suffix != ".parquet"
    return path.with_name(f"{path.name}.parquet") if narrowed else path


def draft_of(path: Path, etag: str) -> Path:
    """Find the place of what was fetched of a file so far. Git, DVC and load() pass it over."""
    plain = "".join(letter for letter in etag if letter.isalnum())
    return path.with_name(f"{_drafts_begin(path)}{plain[:40]}.tmp")


def old_drafts(path: Path, etag: str) -> list[Path]:
    """List what was fetched of a file when its object was another one."""
    drafts = path.parent.glob(f"{_drafts_begin(path)}*.tmp")
    return [draft for draft in drafts if draft != draft_of(path, etag)]


def _drafts_begin(path: Path) -> str:
    # Of a fixed length, whatever a key is called.
    return f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}."


HERE = "here"
NEW = "new"
CHANGED = "changed"  # in the store, since it was fetched
OWN = "own"  # what is here under that name did not come from the store, or was edited


def state_of(stored: StoredObject, settings: Settings, known: dict[str, Fetched]) -> str:
    """Tell how an object's file stands: HERE, NEW, CHANGED or OWN."""
    path = path_of(stored, settings)
    entry = known.get(path.relative_to(current().incoming).as_posix())
    if not path.exists():
        return NEW
    same = entry and entry.etag == stored.etag and entry.part == part_of(stored, settings)
    if same and draft_of(path, stored.etag).exists():
        return CHANGED  # the last pull was killed before it had put the new file in its place
    if entry is None or path.stat().st_size != entry.size:
        return OWN
    return HERE if same else CHANGED


def is_the_object(path: Path, stored: StoredObject) -> bool:
    """Tell whether a file holds what the object holds, as far as its ETag can say."""
    return path.stat().st_size == stored.size and md5(path) == stored.etag


def left_behind(
    stored: list[StoredObject], settings: Settings, known: dict[str, Fetched]
) -> list[str]:
    """List the files here that came from the store, and are there no longer."""
    there = {
        path_of(entry, settings).relative_to(current().incoming).as_posix() for entry in stored
    }
    return sorted(
        name for name in known if name not in there and (current().incoming / name).exists()
    )


LOCK = ".pull.tmp"  # git, DVC and load() pass it over


@contextmanager
def alone() -> Iterator[None]:
    """Be the only one who pulls; the kernel frees the lock when the process ends.

    Raises:
        ObjectStoreError: somebody else pulls.
    """
    try:
        current().incoming.mkdir(parents=True, exist_ok=True)
        lock = locks.try_lock(current().incoming / LOCK)
    except OSError as error:
        raise store_error(error, shown(current().incoming)) from error
    if lock is None:
        raise ObjectStoreError(
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
        ObjectStoreError: it could not be fetched or written; what was there before is as it was.
    """
    path, part = path_of(stored, settings), part_of(stored, settings)
    draft = draft_of(path, stored.etag)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in old_drafts(path, stored.etag):
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
        write_record(known)
        atomic.put(draft, path)
    except OSError as error:
        raise store_error(error, shown(path)) from error
    return path


def adopt(settings: Settings, stored: StoredObject, known: dict[str, Fetched]) -> None:
    """Note a file that is the object already, wherever it came from."""
    path = path_of(stored, settings)
    known[path.relative_to(current().incoming).as_posix()] = Fetched(
        f"s3://{settings.bucket}/{stored.key}", stored.etag, path.stat().st_size
    )
    write_record(known)


def can_be_adopted(settings: Settings, stored: StoredObject) -> bool:
    """Tell whether a file that is not in the record is still the object."""
    path = path_of(stored, settings)
    return not part_of(stored, settings) and is_the_object(path, stored)


def _hide(path: Path) -> None:
    """Keep a raw file out of git, with the line that DVC would write for it."""
    name = "".join(f"\\{sign}" if sign in "\\*?[]!# " else sign for sign in path.name)
    ignore = path.parent / ".gitignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    if f"/{name}" not in lines:
        ignore.write_text("".join(f"{line}\n" for line in [*lines, f"/{name}"]), encoding="utf-8")
