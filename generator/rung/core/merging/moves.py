"""Where an earlier template's files went, by levels/moved.yml: edits follow them, or are named."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rung.core.merging.conflict import MOVED, Conflict, Hunk, Resolved
from rung.core.rendering import rendered_trees
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.template_source import Source
from rung.errors import RungError

FILE = "levels/moved.yml"
READ = (".py", ".ipynb", ".toml", ".yml", ".yaml", ".sh", "Dockerfile", "Makefile")
USES = re.compile(
    r"""(?:^|["\s])from\s+ops\s+import\s+\(?\s*(?P<names>[\w ,]+)
      | (?:^|["\s])(?:from|import)\s+ops\.(?P<imported>[\w.]+)
      | \bpython3?\s+-m\s+ops\.(?P<run>[\w.]+)""",
    re.MULTILINE | re.VERBOSE,
)


@dataclass(frozen=True)
class Moves:
    """What moved between two versions of a template; nothing if they have the same layout.

    Args:
        settings: New paths by old ones. The user's edits follow.
        merged: Patterns of the user's files that use what moved; this once they are merged.
        rewritten: The command that writes a user's file for the library, by pattern.
        stages: New paths by old ones. A stage is the user's at its new path.
        packages: New packages of the library by old packages of `ops`.
        modules: New modules by old modules of `ops`, where the package does not say it.
        known: The old files.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    merged: tuple[str, ...] = ()
    rewritten: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Return whether anything moved."""
        return bool(self.known)

    def merges(self, paths: Iterable[str]) -> set[str]:
        """Return those of the user's files that the old template made and that use what moved."""
        return {path for path in rendered_trees.matching(paths, self.merged) if path in self.known}

    def is_code(self, path: str) -> bool:
        """Return whether a path is code of the old template's `ops/`."""
        return path in self.known and path.startswith("ops/") and path.endswith(".py")

    def module(self, old: str) -> str | None:
        """Return the library's name of a module of `ops`, both without their first part."""
        if old in self.modules:
            return self.modules[old]
        package, _, rest = old.partition(".")
        if package not in self.packages:
            return None
        return f"{self.packages[package]}.{rest}" if rest else self.packages[package]

    def file(self, path: str) -> str | None:
        """Return the library's path of a file of `ops/`, such as rung_ops/serving/app.py."""
        old = path.removeprefix("ops/").removesuffix(".py")
        new = self.module(old.removesuffix("/__init__").replace("/", "."))
        if new is None:
            return None
        inside = "/__init__" if old.endswith("/__init__") else ""
        return f"rung_ops/{new.replace('.', '/')}{inside}.py"

    def note(self, path: str) -> str:
        """Return where the code of a file of `ops/` went, and where an edit of it goes."""
        if path in self.stages:
            calls = self.file(path)
            more = f" What it calls is {calls} in the library; see `rung eject`." if calls else ""
            return (
                f"The stage is now {self.stages[path]}, yours to edit.{more} "
                f"Make your edit there, then delete {path}."
            )
        if path.startswith("ops/tests/"):
            return (
                "It became one of the library's own tests, which `rung eject` puts into "
                f"machinery/tests. Move tests of your own to tests/, then delete {path}."
            )
        new = self.file(path)
        where = f"{new} in the library" if new else "part of the library rung-ops"
        target = f"in machinery/{new}" if new else "there"
        return (
            f"It is now {where}. After the update `rung eject` puts the library into machinery/: "
            f"make your edit {target}, then delete {path}."
        )


def between(base: Mapping[str, Entry], after: Source) -> Moves:
    """Return what moved since the render `base`, by the newer template.

    Args:
        base: What the project's version of the template renders.
        after: The version to go to.
    """
    try:
        data: dict[str, Any] = after.read(FILE)
    except (RungError, OSError):
        return Moves()  # a template that has always had one layout
    if data["mark"] not in base:
        return Moves()
    return Moves(
        data["settings"],
        tuple(data["merged"]),
        data["rewritten"],
        data["stages"],
        data["packages"],
        data["modules"],
        frozenset(base),
    )


def name_conflicts(
    bench: Workbench,
    moves: Moves,
    resolved: Resolved,
    base: Mapping[str, Entry],
    ours: Mapping[str, Entry],
    renamed: Mapping[str, str],
) -> None:
    """Make a conflict of each edited file that would stay although nothing runs it any more.

    Args:
        bench: Where the trees stand.
        moves: What moved.
        resolved: What the merge came to; this changes it.
        base, ours: What Rung rendered, and the project's files, under the user's names.
        renamed: The user's names of Rung's files, by Rung's names.
    """
    original_names = {new: old for old, new in renamed.items()}
    left = [path for path in resolved.kept if moves.is_code(original_names.get(path, path))]
    texts = bench.contents(
        files[path].oid for path in left for files in (base, ours) if path in files
    )
    for path in left:
        old, new = (
            texts.get(files[path].oid, b"") if path in files else b"" for files in (base, ours)
        )
        note = moves.note(original_names.get(path, path))
        resolved.conflicts.append(Conflict(path, MOVED, tuple(_edits(old, new)), note))
    resolved.kept = [path for path in resolved.kept if path not in left]
    resolved.conflicts.sort(key=lambda conflict: conflict.path)


def uses(
    bench: Workbench, moves: Moves, ours: Mapping[str, Entry], result: Mapping[str, Entry]
) -> dict[str, list[str]]:
    """Return, by file, what the user's files call by its old name, each with its new one."""
    if not moves:
        return {}
    unchanged = {
        path: entry.oid
        for path, entry in ours.items()
        if result.get(path) == entry and path.endswith(READ) and entry.is_text_file
    }
    texts = bench.contents(unchanged.values())
    renames = {}
    for path, oid in unchanged.items():
        names = sorted(set(_used(texts.get(oid, b"").decode("utf-8", "replace"))))
        if names and not moves.is_code(path):
            commands = [
                f"`{command}` writes it for the library"
                for pattern, command in moves.rewritten.items()
                if rendered_trees.matching([path], [pattern])
            ]
            renames[path] = commands or [_renamed(moves, name) for name in names]
    return renames


def _renamed(moves: Moves, name: str) -> str:
    """Return `ops.x is now rung_ops.y`; a name can end with what is inside of the module."""
    for known in (name, name.rpartition(".")[0]):
        if stage := moves.stages.get(f"ops/{known}.py"):
            return f"ops.{known} is now {stage}"
        if known and (new := moves.module(known)):
            return f"ops.{known} is now rung_ops.{new}"
    return f"ops.{name} is gone"


def _used(text: str) -> Iterable[str]:
    for match in USES.finditer(text):
        if match["names"]:
            yield from (name.split()[0] for name in match["names"].split(",") if name.strip())
        else:
            yield match["imported"] or match["run"]


def _edits(base: bytes, ours: bytes) -> Iterable[Hunk]:
    """Yield the hunks that the user changed."""
    old, new = (text.decode("utf-8", "replace").splitlines(keepends=True) for text in (base, ours))
    for kind, start, end, first, last in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if kind != "equal":
            yield Hunk(first + 1, "".join(new[first:last]), "".join(old[start:end]))
