"""Task: list the raw data in the store, or fetch what is new there into data/incoming.

store.lock records what was fetched, by file. Commit it: it says which object a file came from.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from rung_ops.command import verb
from rung_ops.data.object_store import client, settings
from rung_ops.data.object_store.client import StoredObject, store_error
from rung_ops.data.object_store.settings import Settings
from rung_ops.errors import OpsError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import files
from rung_ops.system.files import md5
from rung_ops.system.printable import in_bytes


def record_file() -> Path:
    """Return the path of store.lock."""
    # At the root, not beside the data: the stage `ingest` runs again when data/incoming changes.
    return current().root / "store.lock"


class Fetched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file that was fetched."""

    source: str
    etag: str  # the object's, then
    size: int  # bytes of the file here
    part: str = ""  # which columns and rows were taken; empty if it is the object as it is


def read_record() -> dict[str, Fetched]:
    """Read the record; by the file's path below data/incoming."""
    if not record_file().exists():
        return {}
    try:
        return msgspec.json.decode(record_file().read_bytes(), type=dict[str, Fetched])
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise OpsError(
            f"{shown(record_file())}: cannot be read ({error}). Take the committed one "
            f"(`git checkout -- {shown(record_file())}`), or delete it: files that are the same are known "
            "again."
        ) from error


def part_of(stored: StoredObject, location: Settings) -> str:
    """Say which part of an object, which has to be a table, is taken; empty if it is all."""
    return location.part if Path(stored.name).suffix in {".parquet", ".csv"} else ""


def path_of(stored: StoredObject, location: Settings) -> Path:
    """Find the place of an object's file; a part of a CSV file is written as Parquet."""
    path = current().incoming / stored.name
    narrowed = part_of(stored, location) and path.suffix != ".parquet"
    return path.with_name(f"{path.name}.parquet") if narrowed else path


def draft_of(path: Path, etag: str) -> Path:
    """Find the place of what was fetched of a file so far. Git, DVC and load() pass it over."""
    plain = "".join(letter for letter in etag if letter.isalnum())
    return path.with_name(f"{_drafts_begin(path)}{plain[:40]}.tmp")


def _drafts_begin(path: Path) -> str:
    # Of a fixed length, whatever a key is called.
    return f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}."


HERE = "here"
NEW = "not here"
CHANGED = "changed"  # in the store, since it was fetched
OWN = "other here"  # what is here under that name did not come from the store, or was edited


def _name(path: Path) -> str:
    """Name a file as the record does."""
    return path.relative_to(current().incoming).as_posix()


def state_of(stored: StoredObject, location: Settings, known: dict[str, Fetched]) -> str:
    """Tell how an object's file stands: HERE, NEW, CHANGED or OWN."""
    path = path_of(stored, location)
    entry = known.get(_name(path))
    if not path.exists():
        return NEW
    same = entry and entry.etag == stored.etag and entry.part == part_of(stored, location)
    if same and draft_of(path, stored.etag).exists():
        return CHANGED  # the last pull was killed before it had put the new file in its place
    if entry is None or path.stat().st_size != entry.size:
        return OWN
    return HERE if same else CHANGED


LOCK = ".pull.tmp"  # git, DVC and load() pass it over


@contextmanager
def alone() -> Iterator[None]:
    """Be the only one who pulls; the kernel frees the lock when the process ends."""
    try:
        current().incoming.mkdir(parents=True, exist_ok=True)
        lock = files.try_lock(current().incoming / LOCK)
    except OSError as error:
        raise store_error(error, shown(current().incoming)) from error
    if lock is None:
        raise OpsError(
            f"{shown(current().incoming)}: another `poe data pull` is at work here. Wait for its end."
        )
    try:
        yield
    finally:
        os.close(lock)


def bring(
    connection: Any, location: Settings, stored: StoredObject, known: dict[str, Fetched]
) -> Path:
    """Fetch an object that is NEW or CHANGED, put it in its place, and record it; return its file."""
    path = path_of(stored, location)
    draft = draft_of(path, stored.etag)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in path.parent.glob(f"{_drafts_begin(path)}*.tmp"):
            if other != draft:  # what was fetched when the object was another one
                other.unlink()
        if part_of(stored, location):
            client.narrow(location, stored, draft)
        else:
            client.fetch(connection, location, stored, draft)
        _hide(path)
        # First the record, then the file: a draft beside a file that is known is one that was
        # not put in its place yet.
        _record(known, location, stored, draft.stat().st_size)
        files.put(draft, path)
    except OSError as error:
        raise store_error(error, shown(path)) from error
    return path


def adopt(location: Settings, stored: StoredObject, known: dict[str, Fetched]) -> bool:
    """Note a file that is not in the record and still is the object, as far as its ETag can say."""
    path = path_of(stored, location)
    size = path.stat().st_size
    if part_of(stored, location) or size != stored.size or md5(path) != stored.etag:
        return False
    _record(known, location, stored, size)
    return True


def _record(known: dict[str, Fetched], location: Settings, stored: StoredObject, size: int) -> None:
    source, part = f"s3://{location.bucket}/{stored.key}", part_of(stored, location)
    known[_name(path_of(stored, location))] = Fetched(source, stored.etag, size, part)
    text = json.dumps(msgspec.to_builtins(dict(sorted(known.items()))), indent=2)
    files.write(record_file(), f"{text}\n".encode())


def _hide(path: Path) -> None:
    """Keep a raw file out of git, with the line that DVC would write for it."""
    name = "".join(f"\\{sign}" if sign in "\\*?[]!# " else sign for sign in path.name)
    ignore = path.parent / ".gitignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    if f"/{name}" not in lines:
        ignore.write_text("".join(f"{line}\n" for line in [*lines, f"/{name}"]), encoding="utf-8")


def show() -> int:
    """Print what the store holds, and how data/incoming differs; return the exit code."""
    location = settings.read()
    stored, unfit = client.listed(client.client(location), location)
    known = read_record()
    states = [state_of(entry, location, known) for entry in stored]
    print(f"{location.location()}\n")
    for entry, state in zip(stored, states, strict=True):
        when = f"{entry.modified:%Y-%m-%d %H:%M}"
        print(f"{in_bytes(entry.size, 99.5):>9}  {when}  {state:<10}  {entry.name}")
    total = in_bytes(sum(entry.size for entry in stored), 99.5)
    wanted = sum(state in (NEW, CHANGED) for state in states)
    rest = f"{wanted} to fetch: `uv run poe data pull`" if wanted else "nothing to fetch"
    print(f"\n{len(stored)} objects, {total}; {rest}." if stored else _nothing(location))
    for key in unfit:
        print(f"left out: {key!r} (no name for a raw file)")
    stored_names = {_name(path_of(entry, location)) for entry in stored}
    for name in sorted(known.keys() - stored_names):
        if (current().incoming / name).exists():
            print(f"no longer in the store: {shown(current().incoming / name)}")
    return 0


def pull() -> int:
    """Fetch what is new or changed; return the exit code."""
    location = settings.read()
    connection = client.client(location)
    stored, _ = client.listed(connection, location)
    if not stored:
        print(_nothing(location))
        return 0
    own: list[StoredObject] = []
    fetched = 0
    with alone():
        known = read_record()
        for number, entry in enumerate(stored, 1):
            state = state_of(entry, location, known)
            if state == HERE:
                continue
            if state == OWN:
                if not adopt(location, entry, known):
                    own.append(entry)
                continue
            path = bring(connection, location, entry, known)
            fetched += 1
            size = in_bytes(path.stat().st_size, 99.5)
            print(f"fetched {shown(path)} ({size}, {number} of {len(stored)})", flush=True)
    for entry in own:
        print(
            f"{shown(path_of(entry, location))}: not fetched, as another file of that name is "
            "here. Delete it, or give it another name, and type it again.",
            file=sys.stderr,
        )
    print(f"{fetched} fetched, {len(stored) - fetched - len(own)} were here already.")
    if fetched:
        print(f"Commit {shown(record_file())} and what git shows of {shown(current().incoming)}.")
    return 1 if own else 0


def _nothing(location: Settings) -> str:
    patterns = ", ".join(location.files)
    return f"There is nothing in {location.location()} that `files` in ops/store.toml asks for ({patterns})."


@verb("poe data")
@click.argument(
    "action", metavar="[list|pull]", type=click.Choice(["list", "pull"]), default="list"
)
def main(action: str) -> int:
    """List the raw data in the store, or fetch what is new there."""
    try:
        return pull() if action == "pull" else show()
    except KeyboardInterrupt:
        print("Stopped. Type it again: it goes on where it was.", file=sys.stderr)
        return 130
