"""Walk a repository and read its files: no link is followed, nothing but plain files is opened."""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rung.check.review.globs import Names
from rung.check.review.ignore import IgnoreFile, is_ignored
from rung.check.review.limits import Clock, LeftOut, Limits
from rung.check.review.reading import Reading
from rung.errors import RungError

IGNORE_BYTES = 64_000
KEPT = 24_000_000  # bytes of cached files

# How a file is opened: no link, without waiting, byte for byte. Windows has but the last of these.
NAMES_OF_PLAIN = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
PLAIN = os.O_RDONLY | sum(getattr(os, name, 0) for name in NAMES_OF_PLAIN)


class Files:
    """The files of a repository that count, by their paths from its root."""

    def __init__(self, root: Path, reading: Reading, limits: Limits) -> None:
        """Walk the folder; raise a RungError if it is not a folder."""
        self.root = str(root)
        self.reading = reading
        self.limits = limits
        self.clock = Clock(limits.seconds)
        self.left_out = LeftOut()
        self.kept: dict[str, bytes | None] = {}
        self.kept_bytes = 0
        self.file_count = 0
        if not root.is_dir():
            raise RungError(f"{root} is not a folder. Name the folder of a repository.")
        self.names = Names(self._walk())

    def find(self, *globs: str) -> list[str]:
        """Return the paths with one of the names, each once."""
        return list(dict.fromkeys(path for glob in globs for path in self.names.find(glob)))

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        try:
            return os.lstat(os.path.join(self.root, path)).st_size  # noqa: PTH118 it is hot
        except OSError:
            return 0

    def read(self, path: str, most: int | None = None) -> bytes | None:
        """Return what a file holds, or None when it is too large or cannot be read.

        Args:
            path: from the root.
            most: bytes; larger files are left out, and counted.
        """
        if path in self.kept:
            return self.kept[path]
        if path not in self.names.lower:
            return None
        content = self._read(path, most or self.limits.text)
        size = len(content or b"")
        if self.kept_bytes + size > KEPT:
            self.kept.clear()
            self.kept_bytes = 0
        self.kept[path] = content
        self.kept_bytes += size
        return content

    def _read(self, path: str, most: int) -> bytes | None:
        try:
            # Not blocking, for what was a file a moment ago may be a pipe by now.
            handle = os.open(
                os.path.join(self.root, path),  # noqa: PTH118
                PLAIN,
            )
        except OSError:
            self.left_out.note_file("could not be opened", path)
            return None
        try:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                self.left_out.note_file("not plain files", path)
                return None
            if facts.st_size > most:
                self.left_out.note_file("too large to be read", path)
                return None
            return os.read(handle, facts.st_size + 1)
        except OSError:
            self.left_out.note_file("could not be read", path)
            return None
        finally:
            os.close(handle)

    def _walk(self) -> Iterator[str]:
        """Give the paths of all plain files that are not left out, nearest to the root first."""
        level: list[tuple[str, tuple[tuple[str, IgnoreFile], ...]]] = [("", ())]
        depth = 0
        while level:
            if depth > self.limits.depth:
                self.left_out.note("folders nested too deep", level[0][0], len(level))
                return
            below: list[tuple[str, tuple[tuple[str, IgnoreFile], ...]]] = []
            for folder, stack in level:
                if self.clock.is_up():
                    self.left_out.out_of_time = True
                    return
                for entry, path, rules in self._entries(folder, stack):
                    if self._is_file(entry, path):
                        self.file_count += 1
                        yield path
                    elif entry.is_dir(follow_symlinks=False):
                        below.append((f"{path}/", rules))
                    if self.file_count >= self.limits.files:
                        self.left_out.note(f"all after the first {self.limits.files:,} files", path)
                        return
            level = below
            depth += 1

    def _entries(
        self, folder: str, stack: tuple[tuple[str, IgnoreFile], ...]
    ) -> Iterator[tuple[os.DirEntry[str], str, tuple[tuple[str, IgnoreFile], ...]]]:
        try:
            with os.scandir(os.path.join(self.root, folder)) as scanned:  # noqa: PTH118
                entries = []
                for entry in scanned:
                    entries.append(entry)
                    if len(entries) + self.file_count > self.limits.files:
                        break
        except OSError:
            self.left_out.note("could not be opened", folder)
            return
        if any(entry.name == ".gitignore" for entry in entries):
            stack = (*stack, (folder.lower(), self._ignore_file(f"{folder}.gitignore")))
        leave = self.reading.leaves_out
        for entry in sorted(entries, key=lambda entry: entry.name):
            if self.clock.is_up():
                self.left_out.out_of_time = True
                return
            name = entry.name.lower()
            path = folder + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and leave(name) and not self._holds_sources(name, path):
                if name != ".git":
                    self.left_out.note("fixtures, vendored and generated folders", path)
            elif is_folder and ("{{" in name or "{%" in name):
                self.left_out.note("unrendered templates", path)
            elif not stack or not is_ignored(stack, path.lower(), name, is_folder):
                yield entry, path, stack

    def _holds_sources(self, name: str, path: str) -> bool:
        """Say whether a folder that is usually generated was written by hand."""
        if name not in self.reading.unless_sources:
            return False
        names: list[str] = []
        waiting = [os.path.join(self.root, path)]  # noqa: PTH118
        for folder in waiting:
            try:
                with os.scandir(folder) as scanned:
                    entries = list(islice(scanned, 200))
            except OSError:
                continue
            names += [entry.name.lower() for entry in entries]
            if len(waiting) == 1:
                waiting += [one.path for one in entries if one.is_dir(follow_symlinks=False)][:20]
        return self.reading.holds_sources(names)

    def _ignore_file(self, path: str) -> IgnoreFile:
        content = self._read(path, IGNORE_BYTES) or b""
        rules = IgnoreFile(content.decode("utf-8", "replace"))
        if rules.left_out:
            self.left_out.note("lines of ignore files", path, rules.left_out)
        return rules

    def _is_file(self, entry: os.DirEntry[str], path: str) -> bool:
        if entry.is_symlink():
            self.left_out.note("links", path)
            return False
        if entry.is_file(follow_symlinks=False):
            return True
        if not entry.is_dir(follow_symlinks=False):
            self.left_out.note("not plain files", path)
        return False
