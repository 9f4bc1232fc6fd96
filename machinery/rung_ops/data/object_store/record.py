"""What was fetched, by file: store.lock. Commit it: it says which object a file came from."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rung_ops.data.object_store.errors import StoreError
from rung_ops.data.object_store.objects import StoredObject
from rung_ops.data.object_store.settings import Settings
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import atomic

# At the root, not beside the data: the stage `ingest` runs again when data/incoming changes.


def record_file() -> Path:
    """Return the path of store.lock."""
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


def read() -> dict[str, Fetched]:
    """Read the record; by the file's path below data/incoming.

    Raises:
        StoreError: it cannot be read.
    """
    if not record_file().exists():
        return {}
    try:
        entries = json.loads(record_file().read_text(encoding="utf-8"))
        return {name: Fetched(**entry) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{shown(record_file())}: cannot be read ({error}). Take the committed one "
            f"(`git checkout -- {shown(record_file())}`), or delete it: files that are the same are known "
            "again."
        ) from error


def write(record: dict[str, Fetched]) -> None:
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
    plain = "".join(one for one in etag if one.isalnum())
    return path.with_name(f"{_drafts_begin(path)}{plain[:40]}.tmp")


def old_drafts(path: Path, etag: str) -> list[Path]:
    """List what was fetched of a file when its object was another one."""
    drafts = path.parent.glob(f"{_drafts_begin(path)}*.tmp")
    return [draft for draft in drafts if draft != draft_of(path, etag)]


def _drafts_begin(path: Path) -> str:
    # Of a fixed length, whatever a key is called.
    return f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}."
