"""Roll back what an interrupted fast-forward has written, file by file, and nothing else.

A file that git was killed at is not there, or holds the new content or the beginning of it. What
holds anything else is the person's, who may have gone on working, and stays.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rung.errors import RungError
from rung.system import git

LINK, SUBMODULE, NOTHING = "120000", "160000", "000000"
STAGE = "rung-back"  # in the work tree's own folder of git's
Mark = tuple[int, ...] | None


@dataclass(frozen=True)
class Change:
    """A file that a climb changes: mode and id of its content before and after, as git says them."""

    path: str
    before: tuple[str, str]
    after: tuple[str, str]

    @property
    def is_new(self) -> bool:
        """Say whether the file was not there before."""
        return self.before[0] == NOTHING


@dataclass(frozen=True)
class Written:
    """What a climb has written.

    Args:
        remove: The files that hold something of the climb's.
        restore: The files that are to be there again.
        staged: The files whose new state is in git's index.
        yours: The files that the person has changed since.
    """

    remove: tuple[Change, ...] = ()
    restore: tuple[Change, ...] = ()
    staged: tuple[Change, ...] = ()
    yours: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is anything to roll back."""
        return bool(self.remove or self.restore or self.staged)


def changes(top: Path, before: str, pending: str) -> list[Change]:
    """Return what leads from a commit to another."""
    fields = git.run(top, "diff-tree", "-r", "-z", "--raw", "--no-renames", before, pending)
    parts = fields.split("\0")
    changes = []
    for about, path in zip(parts[0::2], parts[1::2], strict=False):
        old, new, old_id, new_id, _ = about.removeprefix(":").split(" ")
        if SUBMODULE not in (old, new):
            changes.append(Change(path, (old, old_id), (new, new_id)))
    return changes


def marks(top: Path, changed: Iterable[Change]) -> list[Mark]:
    """Return what tells each file from one that was written since."""
    marks: list[Mark] = []
    for change in changed:
        try:
            status = (top / change.path).lstat()
            marks.append((status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns))
        except OSError:
            marks.append(None)
    return marks


def written(top: Path, changed: Sequence[Change], before: str, pending: str) -> Written:
    """Find what a climb has written."""
    texts = _texts(top, {oid for one in changed for mode, oid in (one.before, one.after)})
    index = _index(top)
    remove, restore, yours = [], [], []
    for change in changed:
        match _state(top, change, texts, before, pending):
            case "climb's":
                remove.append(change)
                restore += [] if change.is_new else [change]
            case "missing":
                restore.append(change)
            case "yours":
                yours.append(change.path)
    staged = [one for one in changed if index.get(one.path, (NOTHING, "")) == _entry(one.after)]
    return Written(tuple(remove), tuple(restore), tuple(staged), tuple(yours))


def take_back(top: Path, written: Written, before: str) -> list[str]:
    """Go back to the old commit; return the files whose path is occupied.

    First what is new goes, which makes room. Each old file is written aside and then moved, so
    that the beginning of one is always the person's.
    """
    for change in written.remove:
        file = top / change.path
        file.unlink(missing_ok=True)
        if change.is_new:
            _forget_empty(file.parent, top)
    if written.staged:
        ordered = sorted(written.staged, key=lambda one: not one.is_new)
        lines = [f"{mode} {oid} 0\t{one.path}\0" for one in ordered for mode, oid in [one.before]]
        git.run(top, "update-index", "-z", "--index-info", stdin="".join(lines))
    stage = top / git.run(top, "rev-parse", "--git-dir").rstrip("\n") / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    obstructed = []
    # Attributes say how the others are written.
    for attributes in (True, False):
        paths = [
            one.path for one in written.restore if one.path.endswith(".gitattributes") is attributes
        ]
        if paths:
            _write_aside(top, before, paths, stage)
            obstructed += [path for path in paths if not _moved(stage / path, top, path)]
    shutil.rmtree(stage, ignore_errors=True)
    if written:
        git.answers(top, "update-index", "-q", "--refresh")
    return obstructed


def _state(top: Path, change: Change, texts: dict[str, bytes], before: str, pending: str) -> str:
    file = top / change.path
    old, new = texts[change.before[1]], texts[change.after[1]]
    if _is_elsewhere(top, change.path) or (file.is_dir() and not file.is_symlink()):
        return "old" if change.is_new else "missing"  # what is there may go, or else stays
    try:
        mode = file.lstat().st_mode
    except OSError:
        return "old" if change.is_new else "missing"
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        return "yours"
    linked = stat.S_ISLNK(mode)
    on_disk = os.fsencode(file.readlink()) if linked else file.read_bytes()
    if _kind(mode) == change.before[0] and _plain(on_disk) == _plain(old):
        return "old"
    if linked:
        return "climb's" if change.after[0] == LINK and on_disk == new else "yours"
    start = _plain(on_disk).rstrip(b"\r")
    if change.after[0] != NOTHING and _plain(new).startswith(start):
        return "climb's"
    if not change.is_new and start in (_plain(old), _shown(top, before, change.path)):
        return "old"
    content = None if change.after[0] == NOTHING else _shown(top, pending, change.path)
    return "climb's" if content is not None and content.startswith(start) else "yours"


def _shown(top: Path, commit: str, path: str) -> bytes | None:
    """Return a file as the person's filters write it to disk."""
    try:
        text = git.run(top, "cat-file", "--filters", f"{commit}:{path}")
    except RungError:
        return None
    return _plain(text.encode("utf-8", "surrogateescape"))


def _is_elsewhere(top: Path, path: str) -> bool:
    """Say whether the way to a file leads through a link or a file."""
    above = [top / up for up in PurePosixPath(path).parents if up.name]
    return any(up.is_symlink() or (up.exists() and not up.is_dir()) for up in above)


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return LINK
    return "100755" if mode & stat.S_IXUSR else "100644"


def _plain(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n")


def _entry(entry: tuple[str, str]) -> tuple[str, str]:
    return (NOTHING, "") if entry[0] == NOTHING else entry


def _index(top: Path) -> dict[str, tuple[str, str]]:
    entries = {}
    for line in filter(None, git.run(top, "ls-files", "--stage", "-z").split("\0")):
        about, _, path = line.partition("\t")
        mode, oid, _ = about.split(" ")
        entries[path] = (mode, oid)
    return entries


def _texts(top: Path, oids: set[str]) -> dict[str, bytes]:
    """Return contents by id; a missing file has none."""
    there = [oid for oid in sorted(oids) if oid.strip("0")]
    output = git.run(top, "cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in there))
    return dict.fromkeys(oids, b"") | git.blobs(output, there)


def _write_aside(top: Path, before: str, paths: Iterable[str], stage: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        extra = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git.run(top, "read-tree", before, extra=extra)
        arguments = ("checkout-index", "-f", "-z", "--stdin", f"--prefix={stage.resolve()}/")
        git.run(top, *arguments, stdin="".join(f"{path}\0" for path in paths), extra=extra)


def _moved(aside: Path, top: Path, path: str) -> bool:
    """Move a file to its path, unless something is there now."""
    file = top / path
    if _is_elsewhere(top, path) or os.path.lexists(file):
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(aside, file)
    return True


def _forget_empty(folder: Path, top: Path) -> None:
    while folder != top:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
