"""Globs of levels/: `**/` is any folder or none, `*` stays in its folder, case does not matter."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from itertools import accumulate

PART = re.compile(r"\[!?[a-z0-9_.-]+\]|.", re.DOTALL)
LITERAL = re.compile(r"[^*?\[\]]+")


@cache
def pattern(glob: str) -> re.Pattern[str]:
    """Return the regular expression of a glob, for lower-case paths.

    A star takes as little as it can and gives nothing back, which is enough for globs and keeps the
    time linear whatever the path.
    """
    parts = []
    position = 0
    text = glob.lower()
    while position < len(text):
        if text.startswith("**/", position):
            parts.append("(?:[^/]+/)*")
            position += 3
        elif text[position:] == "**":
            parts.append(".*")
            position += 2
        elif text[position] == "*":
            position += 1
            chunk = _chunk(text, position)
            position += len(chunk)
            if position == len(text):
                parts.append(f"[^/]*{_literally(chunk)}")
            else:
                parts.append(f"(?>[^/]*?{_literally(chunk)})" if chunk else "[^/]*")
        else:
            part = PART.match(text, position)
            parts.append(_literally(part[0] if part else text[position]))
            position += len(part[0]) if part else 1
    return re.compile("".join(parts), re.DOTALL)


def _chunk(text: str, position: int) -> str:
    """Return what follows a star, up to the next star or the end of the folder's name."""
    match = re.compile(r"[^*/]*").match(text, position)
    return match[0] if match else ""


def _literally(text: str) -> str:
    return PART.sub(_part, text)


def _part(match: re.Match[str]) -> str:
    part = match[0]
    if part == "?":
        return "[^/]"
    if len(part) > 1:
        inside = part[1:-1].replace("!", "^", 1) if part[1] == "!" else part[1:-1]
        return f"[{inside}]"
    return re.escape(part)


def matches(path: str, globs: Iterable[str]) -> bool:
    """Say whether a path has one of the names."""
    lower = path.lower()
    return any(pattern(glob).fullmatch(lower) for glob in globs)


class Group:
    """Some paths, searched as one text: a literal that few of them hold is found in no time."""

    def __init__(self) -> None:
        """Begin without any."""
        self.paths: list[str] = []
        self.lower: list[str] = []

    def add(self, path: str, lower: str) -> None:
        """Add a path, and the same in lower case."""
        self.paths.append(path)
        self.lower.append(lower)

    @cached_property
    def text(self) -> str:
        """All of them in lower case, apart by what no name can hold."""
        return "\0".join(self.lower)

    @cached_property
    def starts(self) -> list[int]:
        """Where each begins in the text."""
        return list(accumulate((len(lower) + 1 for lower in self.lower), initial=0))

    def containing(self, literal: str) -> Iterator[int]:
        """Give the indexes of the paths that hold a literal."""
        if not literal:
            yield from range(len(self.paths))
            return
        position = self.text.find(literal)
        while position >= 0:
            index = bisect_right(self.starts, position) - 1
            yield index
            position = self.text.find(literal, self.starts[index + 1])


class Names:
    """The paths of a repository, found by glob."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Sort the paths by their endings."""
        self.lower = {path: path.lower() for path in paths}
        self.all = Group()
        self.by_ending: dict[str, Group] = defaultdict(Group)
        for path, lower in self.lower.items():
            name = lower.rpartition("/")[2]
            self.all.add(path, lower)
            self.by_ending[name.rpartition(".")[2] if "." in name else ""].add(path, lower)
        self.by_glob: dict[str, list[str]] = {}

    def find(self, glob: str) -> list[str]:
        """Return the paths with such a name."""
        if glob not in self.by_glob:
            self.by_glob[glob] = self._find(glob.lower())
        return self.by_glob[glob]

    def _find(self, glob: str) -> list[str]:
        ending = glob.rpartition("/")[2].rpartition(".")[2]
        if "." not in glob.rpartition("/")[2] or not LITERAL.fullmatch(ending):
            group = self.all
        else:
            group = self.by_ending.get(ending) or Group()
            if glob == f"**/*.{ending}":
                return list(group.paths)
        literal = max(LITERAL.findall(glob.replace("**/", "*")), key=len, default="")
        full = pattern(glob).fullmatch
        return [
            group.paths[index] for index in group.containing(literal) if full(group.lower[index])
        ]
