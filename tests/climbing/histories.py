"""A project's months: edits and climbs, and what must hold after each climb.

The same history can run with any engine that takes a project to other answers; benchmarks/histories.py
compares two.
"""

import ast
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.climbing.edits import Edit
from tests.command import git
from tests.conftest import INFRASTRUCTURE, ROOT

TOKEN = re.compile(rb"907\d{6}")
MARKER = re.compile(rb"^(<<<<<<<|>>>>>>>)( |$)", re.MULTILINE)
YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
ANSWERS = ".copier-answers.yml"

Tree = Mapping[str, tuple[str, str]]  # path: mode and blob


@dataclass
class Climbed:
    """What an engine said: whether the project is where it was to climb, and of which files it spoke.

    `reported` are paths named besides the conflicts, such as those kept; a line in them is not lost.
    `decide` is what a user does about conflicts, who keeps each such file; `moved` says whether the engine
    left something in the work tree, for the user to decide there.
    """

    done: bool
    conflicts: list[str] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    decide: Callable[[], None] = lambda: None
    moved: bool = False


Engine = Callable[[Path, Mapping[str, Any]], Climbed]
Fresh = Callable[[Mapping[str, Any]], Path]


def tree(folder: Path) -> Tree:
    """Return the last commit's files."""
    entries = {}
    for line in filter(None, git(folder, "ls-tree", "-r", "-z", "HEAD").split("\0")):
        about, path = line.split("\t", 1)
        mode, _, blob = about.split()
        entries[path] = (mode, blob)
    return entries


class History:
    """One project, what was done to it, and what became of that."""

    def __init__(self, folder: Path, fresh: Fresh, answers: Mapping[str, Any]) -> None:
        self.project = shutil.copytree(fresh(answers), folder, symlinks=True)
        self.fresh = fresh
        self.answers = dict(answers)
        self.tokens: dict[str, str] = {}
        self.deleted: set[str] = set()  # by the user; such files stay away on every rung
        self.log: list[str] = [f"start with {dict(answers)}"]

    def edit(self, kind: Edit, seed: int) -> None:
        """Make one edit."""
        token = f"907{len(self.log):06d}"
        if kind(self.project, Random(seed), token):
            self.log.append(f"{kind.__name__} {token} (seed {seed})")
            self.tokens[token] = kind.__name__

    def remove(self) -> None:
        """Clear it away."""
        shutil.rmtree(self.project, ignore_errors=True)

    def commit(self) -> None:
        """Commit the edits, as a user does before a climb."""
        git(self.project, "add", "--all")
        git(self.project, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", "Edit")

    def places(self) -> dict[str, set[str]]:
        """Return where each token is on disk: in a file, tracked or not, or in its name."""
        result: dict[str, set[str]] = {}
        for path in self.project.rglob("*"):
            below = path.relative_to(self.project).as_posix()
            if below.startswith(".git/"):
                continue
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            for token in TOKEN.findall(content + below.encode()):
                result.setdefault(token.decode(), set()).add(below)
        return result

    def climb(self, engine: Engine, changed: Mapping[str, Any]) -> "Verdict":
        """Climb, and judge it."""
        last = tree(self.project)
        self.commit()
        before, where = tree(self.project), self.places()
        self.deleted = (self.deleted | (last.keys() - before.keys())) - before.keys()
        # What another edit deleted or replaced is the user's own doing.
        self.tokens = {token: kind for token, kind in self.tokens.items() if token in where}
        head = git(self.project, "rev-parse", "HEAD")
        old, new = self.answers, {**self.answers, **changed}
        climbed = engine(self.project, changed)
        self.log.append(f"climb to {dict(changed)}: {'done' if climbed.done else 'not done'}")
        aside = new["level"] == old["level"]
        up = new["level"] >= old["level"]
        verdict = Verdict(conflicts=climbed.conflicts, up=up, aside=aside)
        named = climbed.reported | set(climbed.conflicts)
        standing = self.places()
        for token, kind in self.tokens.items():
            if token not in standing and not where[token] & named:
                verdict.lost.append(f"{kind} {token} in {sorted(where[token])}")
        if not climbed.done:
            if head != git(self.project, "rev-parse", "HEAD"):
                verdict.broken.append("the branch moved")
            if not climbed.moved and (left := git(self.project, "status", "--porcelain")):
                verdict.broken.append(f"left changes: {left}")
            climbed.decide()
        # What was answered on a rung above stays recorded below.
        new |= {name: answer for name, answer in self._recorded().items() if name in INFRASTRUCTURE}
        self.answers = new
        after = tree(self.project)
        verdict.broken += self._unread(before, after)
        stale = _stale(tree(self.fresh(old)), before, after, tree(self.fresh(new)))
        verdict.stale = [
            path for path in stale if path not in named | (self.deleted - after.keys())
        ]
        return verdict

    def _unread(self, before: Tree, after: Tree) -> list[str]:
        """Return the files that a climb changed and that can no longer be read."""
        broken = []
        for path, entry in after.items():
            if entry == before.get(path) or entry[0] == "120000":
                continue
            content = (self.project / path).read_bytes()
            if MARKER.search(content):
                broken.append(f"{path} holds markers")
            try:
                _parse(path, content)
            except (ValueError, SyntaxError, yaml.YAMLError) as error:
                broken.append(f"{path}: {error}")
        if self._recorded()["level"] != self.answers["level"]:
            broken.append(f"{ANSWERS} says level {self._recorded()['level']}")
        if dirty := git(self.project, "status", "--porcelain"):
            broken.append(f"left changes: {dirty}")
        return broken

    def _recorded(self) -> dict[str, Any]:
        return dict(yaml.load((self.project / ANSWERS).read_bytes(), YAML_LOADER))


@dataclass
class Verdict:
    """What is wrong with a climb.

    `lost` are tokens that are neither on disk nor in a file that was reported, `broken` what can no longer
    be read, and `stale` files that the user never edited and that are not those of a fresh project.
    """

    up: bool
    aside: bool = False
    conflicts: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)


def _parse(path: str, content: bytes) -> None:
    if path.endswith(".py"):
        ast.parse(content)
    elif path.endswith(".toml"):
        tomllib.loads(content.decode())
    elif path.endswith((".yaml", ".yml")):
        yaml.load(content, YAML_LOADER)


def _stale(old: Tree, before: Tree, after: Tree, new: Tree) -> list[str]:
    """Compare unedited files with a fresh project, except those planted once."""
    yours = yaml.safe_load((ROOT / "levels/yours.yml").read_text("utf-8"))["yours"]["default"]
    globs = [path.replace("*", r"[^/]+") for paths in yours.values() for path in paths]
    planted = re.compile("|".join(f"(?:{glob})" for glob in globs))
    return sorted(
        path
        for path in old.keys() | new.keys()
        if not planted.fullmatch(path)
        and old.get(path) == before.get(path)
        and after.get(path) != new.get(path)
    )
