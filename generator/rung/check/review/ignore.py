"""Ignore files of git, read without git: what a team does not track is not its evidence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rung.check.review.globs import pattern

LINES = 500  # of one ignore file
DEEP = 8  # ignore files above one another, as far as they are heeded
LENGTH = 200  # characters of one pattern
STARS = 8  # of one pattern: more of them say nothing and cost time
PLAIN = re.compile(r"[^*?\[\]\\!/]+")


@dataclass(frozen=True)
class Rule:
    """One line of an ignore file."""

    matches: re.Pattern[str]
    ignored: bool
    only_folders: bool


class IgnoreFile:
    """The rules of one ignore file, for paths below its folder."""

    def __init__(self, text: str) -> None:
        """Read the lines of an ignore file."""
        self.names: set[str] = set()
        self.folders: set[str] = set()
        self.endings: set[str] = set()
        self.rules: list[Rule] = []
        self.left_out = 0
        lines = text.splitlines()
        self.left_out += max(0, len(lines) - LINES)
        for line in lines[:LINES]:
            self._add(line.strip())
        self.negated = any(not rule.ignored for rule in self.rules)

    def _add(self, line: str) -> None:
        if not line or line.startswith("#"):
            return
        if len(line) > LENGTH or line.count("*") > STARS:
            self.left_out += 1
            return
        bare = line.removesuffix("/")
        if PLAIN.fullmatch(bare):
            (self.folders if line.endswith("/") else self.names).add(bare.lower())
        elif bare.startswith("*.") and PLAIN.fullmatch(bare[2:]) and "." not in bare[2:]:
            self.endings.add(bare[2:].lower())
        else:
            self._add_rule(line)

    def _add_rule(self, line: str) -> None:
        ignored = not line.startswith("!")
        glob = line.removeprefix("!").replace("\\", "")
        only_folders = glob.endswith("/")
        glob = glob.rstrip("/")
        glob = glob.removeprefix("/") if "/" in glob else f"**/{glob}"
        try:
            self.rules.append(Rule(pattern(glob), ignored, only_folders))
        except re.error:
            self.left_out += 1

    def verdict(self, path: str, name: str, is_folder: bool) -> bool | None:
        """Say whether a path below is ignored; None when no rule speaks of it.

        Args:
            path: in lower case, from the folder of the ignore file.
            name: its last part.
            is_folder: whether it is a folder.
        """
        ignored = None
        if (
            name in self.names
            or (is_folder and name in self.folders)
            or ("." in name and not is_folder and name.rpartition(".")[2] in self.endings)
        ):
            ignored = True
        if ignored and not self.negated:
            return ignored
        for rule in self.rules:
            if (is_folder or not rule.only_folders) and rule.matches.fullmatch(path):
                ignored = rule.ignored
        return ignored


def is_ignored(
    stack: Sequence[tuple[str, IgnoreFile]], lower: str, name: str, is_folder: bool
) -> bool:
    """Say whether the nearest ignore file that speaks of a path ignores it.

    Args:
        stack: ignore files with the lower-case folder of each, ending in `/`, nearest last.
        lower: the path, in lower case.
        name: its last part, in lower case.
        is_folder: whether it is a folder.
    """
    for folder, rules in reversed(stack[-DEEP:]):
        ignored = rules.verdict(lower[len(folder) :], name, is_folder)
        if ignored is not None:
            return ignored
    return False
