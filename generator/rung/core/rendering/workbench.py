"""A temporary git repository beside a project's, in which trees are made, compared and merged.

It reads the project's objects and writes none there, and no hook, filter or merge driver of the project
runs. `keep` copies the final commit into the project; the rest is deleted with the bench (decision 19, trees).
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rung.core import cache
from rung.errors import RungError
from rung.system import git

SETTINGS = git.QUIET | {
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.quotePath": "false",
    "gc.auto": "0",
    "merge.directoryRenames": "false",  # a new file stays where the template puts it
    "merge.renames": "true",
    "diff.renames": "true",
}
READABLE = 1_000_000  # bytes; larger files are not read, and no settings file is larger


@dataclass(frozen=True)
class Entry:
    """A file in a tree: git's mode, such as 100644, and the id of its content."""

    mode: str
    oid: str

    @property
    def is_text_file(self) -> bool:
        """Say whether it is a plain file, not a link or a submodule."""
        return self.mode.startswith("100")


Files = Mapping[str, Entry]  # by path


class Workbench:
    """A temporary repository that reads a project's objects and those of the cache of renders."""

    def __init__(self, top: Path, folder: Path, renders: Path) -> None:
        self.top, self.folder, self.renders = top, folder, renders
        self.repository = folder / "bench.git"
        # Caches: the content of an id never changes. Missing objects are not remembered.
        self._files: dict[str, dict[str, Entry]] = {}
        self._sizes: dict[str, int] = {}
        self._contents: dict[str, bytes] = {}
        self._environment = {
            "GIT_DIR": str(self.repository),
            "GIT_INDEX_FILE": str(folder / "index"),
            **git.NO_USER_CONFIG,
        }

    def git(self, *arguments: str, stdin: str = "", extra: Mapping[str, str] | None = None) -> str:
        """Run git on the bench."""
        named = self._environment | dict(extra or {})
        return git.run(self.folder, *arguments, settings=SETTINGS, stdin=stdin, extra=named)

    def attempt(self, *arguments: str) -> tuple[int, str]:
        """Run git on the bench; return exit code and output, also of a failure."""
        done = git.completed(self.folder, *arguments, settings=SETTINGS, extra=self._environment)
        text = done.stdout if done.returncode < 2 else done.stdout + done.stderr
        return done.returncode, text.decode("utf-8", "surrogateescape")

    def read_also(self, objects: Path) -> None:
        """Let the bench read another repository's objects."""
        file = self.repository / "objects/info/alternates"
        quoted = str(objects).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        known = file.read_text("utf-8") if file.exists() else ""
        if f'"{quoted}"\n' not in known:
            file.write_text(f'{known}"{quoted}"\n', "utf-8")

    def files(self, tree: str) -> dict[str, Entry]:
        """Return the files of a tree by path."""
        if tree in self._files:
            return self._files[tree]
        entries = {}
        for line in filter(None, self.git("ls-tree", "-r", "-z", "--full-tree", tree).split("\0")):
            about, _, path = line.partition("\t")
            mode, _, oid = about.split(" ")[:3]
            entries[path] = Entry(mode, oid)
        self._files[tree] = entries
        return entries

    def sizes(self, oids: Iterable[str]) -> dict[str, int]:
        """Return the sizes in bytes by id, without missing objects."""
        wanted = list(oids)
        if new := "".join(f"{oid}\n" for oid in wanted if oid not in self._sizes):
            answers = self.git("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=new)
            pairs = (line.split() for line in answers.splitlines())
            self._sizes |= {oid: int(size) for oid, size in pairs if size != "missing"}
        return {oid: self._sizes[oid] for oid in wanted if oid in self._sizes}

    def contents(self, oids: Iterable[str]) -> dict[str, bytes]:
        """Return contents by id, without those over READABLE bytes."""
        small = [oid for oid, size in self.sizes(dict.fromkeys(oids)).items() if size <= READABLE]
        if new := [oid for oid in small if oid not in self._contents]:
            text = self.git("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in new))
            self._contents |= git.blobs(text, new)
        return {oid: self._contents[oid] for oid in small}

    def content(self, entry: Entry | None) -> bytes:
        """Return the content of a file; empty if there is no file, or it is over READABLE bytes."""
        return self.contents([entry.oid]).get(entry.oid, b"") if entry else b""

    def store(self, content: bytes) -> str:
        """Store a content on the bench and return its id."""
        text = content.decode("utf-8", "surrogateescape")
        return self.git("hash-object", "-w", "--no-filters", "--stdin", stdin=text).strip()

    def edited(self, tree: str, changes: Mapping[str, Entry | None]) -> str:
        """Return a tree with files replaced or added; None removes a file."""
        if not changes:
            return tree
        gone = "0" * len(tree)
        self.git("read-tree", tree)
        lines = [f"0 {gone}\t{path}\0" for path, entry in changes.items() if entry is None]
        lines += [f"{new.mode} {new.oid}\t{path}\0" for path, new in changes.items() if new]
        self.git("update-index", "-z", "--index-info", stdin="".join(lines))
        return self.git("write-tree").strip()

    def inside(self, tree: str, prefix: str) -> str:
        """Return the tree of a folder within a tree, or the empty tree if there is no such folder."""
        if not prefix:
            return self.git("rev-parse", f"{tree}^{{tree}}").strip()
        literal = {"GIT_LITERAL_PATHSPECS": "1"}
        arguments = ("ls-tree", "-z", "--full-tree", "--", tree, prefix)
        listed = self.git(*arguments, extra=literal).rstrip("\0")
        about = listed.partition("\t")[0].split()
        return about[2] if about[1:2] == ["tree"] else self.empty()

    def empty(self) -> str:
        """Return the tree without files."""
        return self.git("mktree").strip()

    def grafted(self, tree: str, prefix: str, part: str) -> str:
        """Return a tree in which the folder `prefix` is replaced by the tree `part`."""
        if not prefix:
            return part
        first, _, rest = prefix.partition("/")
        lines = [
            line
            for line in self.git("ls-tree", "-z", "--full-tree", tree).split("\0")
            if line and line.partition("\t")[2] != first
        ]
        below = self.inside(tree, first) if rest else part
        lines.append(f"040000 tree {self.grafted(below, rest, part)}\t{first}")
        return self.git("mktree", "-z", stdin="".join(f"{line}\0" for line in lines)).strip()

    def commit(self, tree: str, parents: Iterable[str], message: str) -> str:
        """Make a commit on the bench, with the user's name as the project's git knows it."""
        options = [word for parent in parents for word in ("-p", parent)]
        return self.git(
            "commit-tree", tree, *options, stdin=message, extra=self._identity()
        ).strip()

    def _identity(self) -> dict[str, str]:
        known = git.has_identity(self.top)
        variables = {}
        for what, setting in (("name", "user.name"), ("email", "user.email")):
            value = git.output(self.top, "config", setting) if known else git.RUNG_IDENTITY[setting]
            for who in ("AUTHOR", "COMMITTER"):
                if value:
                    variables[f"GIT_{who}_{what.upper()}"] = value
        return {name: os.environ.get(name) or value for name, value in variables.items()}

    def keep(self, before: str, commit: str) -> None:
        """Copy a commit, with the objects that the commit `before` lacks, into the project.

        The objects are piped from git to git, as files may be larger than the memory.
        """
        fields = self.git("diff-tree", "-r", "-t", "-z", "--no-renames", before, commit).split("\0")
        changed = (facts[1:].split(" ") for facts in fields[0:-1:2])  # a path follows each
        new = {oid for _, mode, _, oid, state in changed if state != "D" and mode != git.SUBMODULE}
        wanted = "\n".join([commit, self.git("rev-parse", f"{commit}^{{tree}}").strip(), *new, ""])
        packing = git.started(
            self.folder,
            "pack-objects",
            "--threads=1",
            "--quiet",
            "--stdout",
            extra=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert packing.stdin is not None and packing.stdout is not None
        packing.stdin.write(wanted.encode())
        packing.stdin.close()
        unpacking = git.completed(self.top, "unpack-objects", "-q", stdin=packing.stdout)
        packing.stdout.close()
        arguments = packing.stderr.read() if packing.stderr else b""
        if packing.wait() or unpacking.returncode:
            problem = (unpacking.stderr or arguments).decode(errors="replace").strip()
            raise RungError(f"The files of the climb could not be stored in {self.top}:\n{problem}")


@contextlib.contextmanager
def opened(top: Path) -> Iterator[Workbench]:
    """Yield a bench for a project, and delete it at the end."""
    kind = git.output(top, "rev-parse", "--show-object-format") or "sha1"
    with (
        cache.renders(kind) as rendered,
        tempfile.TemporaryDirectory(prefix="rung-", ignore_cleanup_errors=True) as folder,
        _temporary_files_in(folder),
    ):
        directory = Path(folder)
        options = ("--quiet", "--bare", "--template=", f"--object-format={kind}")
        git.run(directory, "init", *options, "bench.git", extra=git.NO_USER_CONFIG)
        (directory / "bench.git/objects/info").mkdir(parents=True, exist_ok=True)
        bench = Workbench(top, directory, rendered)
        objects = git.run(top, "rev-parse", "--git-path", "objects").rstrip("\n")
        bench.read_also((top / objects).resolve())
        bench.read_also(rendered / "objects")
        yield bench


@contextlib.contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """Put Copier's checkouts into a folder, so that a stopped climb leaves none behind."""
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = before


@dataclass(frozen=True)
class Project:
    """A project as its last commit has it; `prefix` is its folder in the repository, empty for the root."""

    bench: Workbench
    folder: Path
    prefix: str
    head: str

    @property
    def top(self) -> Path:
        """Return the root of the work tree."""
        return self.bench.top

    @property
    def tree(self) -> str:
        """Return the tree of the project's folder."""
        return self.tree_at(self.head)

    def tree_at(self, commit: str) -> str:
        """Return the tree of the project's folder in a commit."""
        return self.bench.inside(commit, self.prefix)

    def path(self, path: str) -> str:
        """Return the path in the repository of a file of the project."""
        return f"{self.prefix}/{path}" if self.prefix else path

    def repository_tree(self, tree: str) -> str:
        """Return the repository's tree with the project's folder replaced."""
        return self.bench.grafted(f"{self.head}^{{tree}}", self.prefix, tree)


@contextlib.contextmanager
def opened_project(top: Path, folder: Path, head: str) -> Iterator[Project]:
    """Yield the project in a folder of a repository, at a commit."""
    with opened(top) as bench:
        yield Project(bench, folder, git.prefix(top, folder), head)
