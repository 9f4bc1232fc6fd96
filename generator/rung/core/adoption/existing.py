"""The last commit of an existing repository: its paths and texts, its authors and its remote."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.system import git, globs

LARGEST = 1_000_000  # bytes; a longer setup.py or pyproject.toml is not read
RECENT = "200"  # commits whose authors are counted
ROBOTS = re.compile(r"\[bot\]|dependabot|renovate|github-actions", re.IGNORECASE)


@dataclass(frozen=True)
class Existing:
    """The facts of a repository, which is only read: none of its code runs.

    `read` returns the text of a path, or nothing if it is too long; `naming` the scripts and notebooks in
    which a pattern of `git grep -E` matches; `holds` says whether a path is a file, which git may ignore.
    """

    name: str
    paths: frozenset[str]
    read: Callable[[str], str]
    remote: str = ""
    authors: int = 1
    naming: Callable[[str], list[str]] = lambda pattern: []
    holds: Callable[[str], bool] = lambda path: False

    def matching(self, *patterns: str) -> list[str]:
        """Return the paths that match any of the globs."""
        return globs.matching(sorted(self.paths), patterns)

    def packages_in(self, folder: str) -> dict[str, int]:
        """Return the packages right below a folder ("" or "src/"), and their numbers of files."""
        marks = [path for path in self.paths if path.startswith(folder)]
        marks = [path for path in marks if path.removeprefix(folder).count("/") == 1]
        names = {path.split("/")[-2] for path in marks if path.endswith("/__init__.py")}
        modules = [path for path in self.paths if path.endswith(".py")]
        return {
            name: sum(path.startswith(f"{folder}{name}/") for path in modules) for name in names
        }


def read(folder: Path) -> Existing:
    """Read the last commit of the repository, or of a folder in it."""
    listed = git.run(folder, "ls-tree", "-r", "-z", "--long", "HEAD", ".").split("\0")
    sizes = {}
    for line in filter(None, listed):
        about, path = line.split("\t", 1)
        mode, _, _, size = about.split()
        if mode in ("100644", "100755"):  # links and submodules have no text
            # Git prints BAD for a missing object.
            sizes[path] = int(size) if size.isdigit() else LARGEST + 1

    def text(path: str) -> str:
        if sizes.get(path, LARGEST + 1) > LARGEST:
            return ""
        return git.output(folder, "cat-file", "blob", f"HEAD:./{path}") or ""

    def naming(pattern: str) -> list[str]:
        options = ("-l", "-z", "-I", "-E", pattern, "HEAD", "--", "*.py", "*.ipynb")
        named = (git.output(folder, "grep", *options) or "").split("\0")
        return [path for path in (name.removeprefix("HEAD:") for name in named) if path in sizes]

    people = git.output(folder, "log", f"-{RECENT}", "--format=%an <%ae>", "--", ".") or ""
    return Existing(
        folder.resolve().name,
        frozenset(sizes),
        text,
        git.output(folder, "config", "--get", "remote.origin.url") or "",
        len(_people(people.splitlines())),
        naming,
        lambda path: (folder / path).is_file(),
    )


def _people(lines: Iterable[str]) -> list[set[str]]:
    """Return the names and addresses that belong together, a set for every author."""
    people: list[set[str]] = []
    for line in sorted(set(lines)):
        if line and not ROBOTS.search(line):
            name, _, address = line.rpartition(" <")
            known = {re.sub(r"\W", "", name).casefold(), address}
            same = [author for author in people if author & known]
            people = [author for author in people if author not in same]
            people.append(known.union(*same))
    return people


def pyproject(existing: Existing) -> dict[str, Any]:
    """Return pyproject.toml as data; empty if it is missing or not TOML."""
    try:
        return tomllib.loads(existing.read("pyproject.toml"))
    except (ValueError, RecursionError):
        return {}


def setup_keywords(existing: Existing) -> dict[str, str]:
    """Return the texts that setup.py passes to `setup()`, and those under [metadata] in setup.cfg."""
    keywords: dict[str, str] = {}
    section = ""
    for line in existing.read("setup.cfg").splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[metadata]" and "=" in line:
            key, _, value = line.partition("=")
            keywords[key.strip()] = value.strip()
    try:
        tree = ast.parse(existing.read("setup.py"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return keywords
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "setup":
            for keyword in call.keywords:
                constant = getattr(keyword.value, "value", None)
                if keyword.arg and isinstance(constant, str):
                    keywords[keyword.arg] = constant
    return keywords
