"""How data/incoming compares with the store."""

import hashlib
import re
from pathlib import Path

from rung_ops.data.object_store import record
from rung_ops.data.object_store.objects import StoredObject
from rung_ops.data.object_store.record import Fetched
from rung_ops.data.object_store.settings import Settings
from rung_ops.project import current

HERE = "here"
NEW = "new"
CHANGED = "changed"  # in the store, since it was fetched
OWN = "own"  # what is here under that name did not come from the store, or was edited

MD5 = re.compile(r"[0-9a-f]{32}")  # what an ETag is where it is the MD5 of the content


def of(stored: StoredObject, settings: Settings, known: dict[str, Fetched]) -> str:
    """Tell how an object's file stands: HERE, NEW, CHANGED or OWN."""
    path = record.path_of(stored, settings)
    entry = known.get(path.relative_to(current().incoming).as_posix())
    if not path.exists():
        return NEW
    same = entry and entry.etag == stored.etag and entry.part == record.part_of(stored, settings)
    if same and record.draft_of(path, stored.etag).exists():
        return CHANGED  # the last pull was killed before it had put the new file in its place
    if entry is None or path.stat().st_size != entry.size:
        return OWN
    return HERE if same else CHANGED


def is_the_object(path: Path, stored: StoredObject) -> bool:
    """Tell whether a file holds what the object holds, as far as its ETag can say."""
    return path.stat().st_size == stored.size and md5_of(path) == stored.etag


def md5_of(path: Path) -> str:
    """Compute the MD5 of a file's content, which is never whole in memory."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest()


def left_behind(
    stored: list[StoredObject], settings: Settings, known: dict[str, Fetched]
) -> list[str]:
    """List the files here that came from the store, and are there no longer."""
    there = {
        record.path_of(one, settings).relative_to(current().incoming).as_posix() for one in stored
    }
    return sorted(
        name for name in known if name not in there and (current().incoming / name).exists()
    )
