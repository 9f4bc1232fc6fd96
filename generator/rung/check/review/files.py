"""The files of a repository that count, read within limits.

Links are not followed, and only plain files are opened. What is not read is counted by reason.
"""

import contextlib
import os
import re
import stat
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import islice, takewhile
from pathlib import Path

import msgspec
from pathspec import GitIgnoreSpec

from rung.errors import RungError
from rung.levels import ladder

CACHE_BYTES = 24_000_000
WALK = 0.6  # part of the time that listing the files may take
CHEAP = 20_000  # bytes; larger files are read after all others
SOURCES = (".py", ".sh", ".yml", ".yaml", ".tf", "dockerfile", "makefile")

# A file is opened without following links, without blocking, as bytes. Windows has only O_BINARY.
PLAIN_FLAGS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
PLAIN = os.O_RDONLY | sum(getattr(os, name, 0) for name in PLAIN_FLAGS)

# Limits of .gitignore files.
IGNORE_BYTES = 64_000
IGNORE_LINES = 500
IGNORE_LENGTH = 200  # characters of one pattern
IGNORE_DEPTH = 8  # nested folders whose ignore files apply
TEST = re.compile(
    r"(?:^|/)(?:tests?|e2e)/|(?:^|/)(?:test_[^/]*|[^/]*_tests?|conftest)\.py$", re.IGNORECASE
)
DOCUMENTATION = re.compile(r"(?:^|/)(?:docs?|documentation)/", re.IGNORECASE)
WILDCARDS = 3  # per pattern: the time to match its regular expression grows exponentially with them

MATCHES_NOTHING = re.compile(r"(?!)")


@dataclass(frozen=True)
class Limits:
    """Bounds that keep a hostile or huge repository from exhausting the machine."""

    # Processor time of the review, so that a busy machine reads as much as an idle one.
    seconds: float = 4.5
    files: int = 200_000
    depth: int = 64
    text: int = 500_000  # bytes of a text file; larger ones are left out
    notebook: int = 4_000_000  # bytes of a notebook, which includes its pictures
    data: int = 400_000  # bytes of a YAML, TOML or JSON file
    line: int = 1_000  # characters of a line; the rest of a longer one is ignored


@dataclass
class LeftOut:
    """What was not read: counts by reason, with an example of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    out_of_time: bool = False
    unread: set[tuple[str, str]] = field(default_factory=set)

    def note_file(self, reason: str, path: str) -> None:
        """Count a file that was left out, once per reason."""
        if (reason, path) not in self.unread:
            self.unread.add((reason, path))
            self.note(reason, path)

    def note(self, reason: str, path: str, number: int = 1, *, partial: bool = False) -> None:
        """Count something that was left out, and say whether the result is partial for it."""
        self.out_of_time |= partial
        self.counts[reason] += number
        self.examples.setdefault(reason, path)


class Clock:
    """A limit on processor time, which begins when the object is made."""

    def __init__(self, seconds: float) -> None:
        self.end = time.process_time() + seconds
        self.next_check = 0.0  # on the wall clock, which takes a tenth of the time to read

    def is_up(self) -> bool:
        """Return whether time is up.

        A single thread cannot use more processor time than wall time passes. So until the time left
        at the last check has passed on the wall clock, time cannot be up, and is not checked.
        """
        now = time.perf_counter()
        if now < self.next_check:
            return False
        left = self.end - time.process_time()
        self.next_check = now + left
        return left < 0

    @contextlib.contextmanager
    def share(self, part: float) -> Iterator[None]:
        """Let a step of the review use at most this part of the time that is left."""
        whole, now = self.end, time.process_time()
        self.end, self.next_check = now + max(whole - now, 0) * part, 0.0
        try:
            yield
        finally:
            self.end, self.next_check = whole, 0.0


class MachineLearning(msgspec.Struct, frozen=True):
    """The packages and modules of Python, and packages of R, by which a repository is recognised."""

    packages: tuple[str, ...]
    modules: tuple[str, ...]
    r: tuple[str, ...]


class LeftOutFolders(msgspec.Struct, frozen=True):
    """The names of folders that are left out, some unless they hold files written by hand."""

    folders: frozenset[str]
    endings: tuple[str, ...]
    unless_sources: tuple[str, ...]
    generated: tuple[str, ...]


class CIVendor(msgspec.Struct, frozen=True):
    """A CI vendor, by expressions for the paths or texts of its files, and what advice names."""

    path: str
    schedule: str
    says: str = ""
    new: str = ""
    request: str = "pull request"
    owners: str = ".github/CODEOWNERS"


class Tracker(msgspec.Struct, frozen=True):
    """What logs a run with a tracker, and what registers its model."""

    log: str
    register: str


class Reading(msgspec.Struct, frozen=True):
    """The content of levels/reading.yml: which files are CI, roots, dependencies or left out."""

    machine_learning: MachineLearning
    ci: tuple[str, ...]
    ci_by_content: tuple[tuple[str, ...], ...]
    ci_vendors: tuple[CIVendor, ...]
    trackers: dict[str, Tracker]
    dependencies: tuple[str, ...]
    roots: tuple[str, ...]
    called_by_frameworks: tuple[str, ...]
    left_out: LeftOutFolders
    by_answers: tuple[str, ...]

    def leaves_out(self, name: str) -> bool:
        """Return whether a folder with this lower-case name is left out."""
        names = {name, name.strip("_.-")}  # `_vendor` is a folder `vendor`
        return not names.isdisjoint(self.left_out.folders) or (
            name in self.left_out.unless_sources or name.endswith(self.left_out.endings)
        )

    def holds_sources(self, names: Sequence[str]) -> bool:
        """Return whether files with these lower-case names were written by hand, not generated."""
        if any(
            glob_regex(glob).fullmatch(name) for name in names for glob in self.left_out.generated
        ):
            return False
        return any(name.endswith(SOURCES) for name in names)


def load_reading(folder: Path) -> Reading:
    """Read `reading.yml` in the folder `levels`."""
    return ladder.decoded(folder / "reading.yml", Reading)


@cache  # every repository of a fleet is read with the same globs
def glob_regex(glob: str) -> re.Pattern[str]:
    """Return the regular expression of a glob, for `fullmatch` with a lower-case path.

    Globs are those of `.gitignore`, from the root: `**/` is any number of folders, `*` stays within
    a folder. Unlike there, a glob does not match what is below a folder, unless it ends in `**`.
    """
    line = f"/{glob.lower()}{'/*' if glob.endswith('**') else ''}"
    try:
        (pattern,) = GitIgnoreSpec.from_lines([line]).patterns
    except (ValueError, re.error):  # the glob may come from a command of the repository
        return MATCHES_NOTHING
    return pattern.regex or MATCHES_NOTHING


def ignore_rules(text: str) -> tuple[GitIgnoreSpec, int]:
    """Return the rules of an ignore file, in lower case, and the number of lines left out."""
    lines = [line for line in text.lower().splitlines() if line.strip() and line[0] != "#"]
    rules = [rule for line in lines[:IGNORE_LINES] if (rule := _rule(line)) is not None]
    return GitIgnoreSpec(pattern for rule in rules for pattern in rule.patterns), (
        len(lines) - len(rules)
    )


def _rule(line: str) -> GitIgnoreSpec | None:
    """Return the rule of a line; None if the line is no pattern or would be slow to match."""
    if len(line) > IGNORE_LENGTH or len(re.findall(r"\*+", line)) > WILDCARDS:
        return None
    try:
        return GitIgnoreSpec.from_lines([line.strip()])
    except (ValueError, re.error):
        return None


def is_bare(folder: Path) -> bool:
    """Return whether a folder is a repository without files to work on, as servers keep them."""
    marks = [(folder / name).exists() for name in ("HEAD", "objects", "refs", ".git")]
    return marks == [True, True, True, False]


IgnoreFiles = tuple[tuple[str, GitIgnoreSpec], ...]  # folder and rules, the innermost last


class Files:
    """The files of a repository that count, by path from its root.

    Attributes:
        lower: Every path with its lower-case form, nearest to the root first.

    Raises:
        RungError: The root is not a folder, or a bare repository.
    """

    def __init__(self, root: Path, reading: Reading, limits: Limits) -> None:
        self.root = str(root)
        self.reading = reading
        self.limits = limits
        self.clock = Clock(limits.seconds)
        self.left_out = LeftOut()
        self.cache: dict[str, bytes | None] = {}
        self.cached_bytes = 0
        self.file_count = 0
        if not root.is_dir():
            raise RungError(f"{root} is not a folder. Name the folder of a repository.")
        if is_bare(root):
            raise RungError(
                f"{root} is a bare repository, which has no files to read. `rung fleet {root}` reads a clone."
            )
        with self.clock.share(WALK):
            self.lower = {path: path.lower() for path in self._walk()}
        self.order = {path: number for number, path in enumerate(self.lower)}
        self.by_ending: dict[str, list[str]] = defaultdict(list)
        for path, lower in self.lower.items():
            name = lower.rpartition("/")[2]
            self.by_ending[name.rpartition(".")[2] if "." in name else ""].append(path)
        self.by_glob: dict[str, list[str]] = {}

    @cached_property
    def folders(self) -> set[str]:
        """The paths of all folders with files that count."""
        folders: set[str] = set()
        for path in self.lower:
            folder = path.rpartition("/")[0]
            while folder and folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
        return folders

    def has(self, path: str) -> bool:
        """Return whether a path is a file or a folder that counts."""
        return path in self.lower or path in self.folders

    def find(self, *globs: str) -> list[str]:
        """Return the paths that match one of the globs."""
        return list(dict.fromkeys(path for glob in globs for path in self._matching(glob)))

    def _matching(self, glob: str) -> list[str]:
        if glob not in self.by_glob:
            literal = re.split(r"[*?\[\]/]", glob.lower())[-1]  # the end of the name
            ending = literal.rpartition(".")[2]
            if "." in literal:
                endings = [ending]
            else:
                endings = [other for other in self.by_ending if not other or other.endswith(ending)]
            paths = [path for ending in endings for path in self.by_ending.get(ending, ())]
            if glob.lower() != f"**/*.{ending}":
                # Most paths lack the longest literal of a glob, and are not matched with its regex.
                literals = ("",) if "[" in glob else re.split(r"[*?]+", glob.lower())
                longest = max((part.strip("/") for part in literals), key=len)
                matches = glob_regex(glob).fullmatch
                paths = [
                    path
                    for path in paths
                    if longest in (lower := self.lower[path]) and matches(lower)
                ]
            self.by_glob[glob] = sorted(paths, key=self.order.__getitem__)
        return self.by_glob[glob]

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        try:
            return os.lstat(os.path.join(self.root, path)).st_size  # noqa: PTH118 called often
        except OSError:
            return 0

    def cheap_first(self, paths: Iterable[str]) -> list[str]:
        """Return the paths in their order, but large files last: time may not suffice for them."""
        return sorted(paths, key=lambda path: self.size(path) > CHEAP)

    def stops(self, path: str) -> bool:
        """Return whether time is up; if so, mark the result as partial and note where it stopped."""
        if not self.clock.is_up():
            return False
        if not self.left_out.out_of_time:
            self.left_out.note("not reached in time", path, partial=True)
        return True

    def in_time(self, paths: Iterable[str]) -> Iterator[str]:
        """Yield the paths, large files last, until time is up."""
        return takewhile(lambda path: not self.stops(path), self.cheap_first(paths))

    def read(self, path: str, max_bytes: int | None = None) -> bytes | None:
        """Return the bytes of a file, or None if it is too large, which is counted, or unreadable."""
        if path in self.cache:
            return self.cache[path]
        if path not in self.lower:
            return None
        content = self._read(path, max_bytes or self.limits.text)
        size = len(content or b"")
        if self.cached_bytes + size > CACHE_BYTES:
            self.cache.clear()
            self.cached_bytes = 0
        self.cache[path] = content
        self.cached_bytes += size
        return content

    def _read(self, path: str, max_bytes: int) -> bytes | None:
        try:
            # Without blocking: the file may have been replaced by a pipe since the walk.
            handle = os.open(os.path.join(self.root, path), PLAIN)  # noqa: PTH118
        except OSError:
            self.left_out.note_file("could not be opened", path)
            return None
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                self.left_out.note_file("not plain files", path)
                return None
            if status.st_size > max_bytes:
                self.left_out.note_file("too large to be read", path)
                return None
            return os.read(handle, status.st_size + 1)
        except OSError:
            self.left_out.note_file("could not be read", path)
            return None
        finally:
            os.close(handle)

    def _walk(self) -> Iterator[str]:
        """Yield the paths of all plain files that are not left out, nearest to the root first."""
        level: list[tuple[str, IgnoreFiles]] = [("", ())]
        depth = 0
        while level:
            if depth > self.limits.depth:
                self.left_out.note("folders nested too deep", level[0][0], len(level))
                return
            below: list[tuple[str, IgnoreFiles]] = []
            for folder, ignore_files in level:
                if self.clock.is_up():
                    self.left_out.out_of_time = True
                    return
                for entry, path, rules in self._entries(folder, ignore_files):
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
        self, folder: str, ignore_files: IgnoreFiles
    ) -> Iterator[tuple[os.DirEntry[str], str, IgnoreFiles]]:
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
        names = {entry.name for entry in entries}
        if folder and ".git" in names:  # a submodule or another clone
            self.left_out.note("repositories within it", folder)
            return
        if ".gitignore" in names:
            rules = self._ignore_file(f"{folder}.gitignore")
            ignore_files = (*ignore_files, (folder.lower(), rules))[-IGNORE_DEPTH:]
        for entry in sorted(entries, key=lambda entry: entry.name):
            if self.clock.is_up():
                self.left_out.out_of_time = True
                return
            name = entry.name.lower()
            path = folder + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and self.reading.leaves_out(name) and not self._is_handwritten(name, path):
                if name != ".git":
                    self.left_out.note("fixtures, vendored and generated folders", path)
            elif is_folder and ("{{" in name or "{%" in name):
                self.left_out.note("unrendered templates", path)
            elif not _is_ignored(ignore_files, f"{path.lower()}/" if is_folder else path.lower()):
                yield entry, path, ignore_files

    def _is_handwritten(self, name: str, path: str) -> bool:
        """Return whether a folder with a name that is usually of generated ones contains sources."""
        if name not in self.reading.left_out.unless_sources:
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
                folders = (entry for entry in entries if entry.is_dir(follow_symlinks=False))
                waiting += [entry.path for entry in islice(folders, 20)]
        return self.reading.holds_sources(names)

    def _ignore_file(self, path: str) -> GitIgnoreSpec:
        content = self._read(path, IGNORE_BYTES) or b""
        rules, left_out = ignore_rules(content.decode("utf-8", "replace"))
        if left_out:
            self.left_out.note("lines of ignore files", path, left_out)
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


def _is_ignored(ignore_files: IgnoreFiles, lower: str) -> bool:
    """Return whether the innermost ignore file with a matching rule ignores a lower-case path."""
    for folder, rules in reversed(ignore_files):
        ignored = rules.check_file(lower[len(folder) :]).include
        if ignored is not None:
            return ignored
    return False


def is_test(path: str) -> bool:
    """Return whether a file is part of the tests."""
    return TEST.search(path) is not None


def is_documentation(path: str) -> bool:
    """Return whether a file is part of the documentation."""
    return DOCUMENTATION.search(path) is not None
