"""The names by which files of a repository are run and imported."""

import re
from collections import defaultdict
from collections.abc import Collection

TOKEN = re.compile(r"[\w./-]+")  # with a dot, it may be a file or a module
FILE = re.compile(r"[\w./-]+\.\w+")
MODULE = re.compile(r"[A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)++")
STANDS_ALONE = re.compile(rf"(?<![\w./-])({MODULE.pattern})(?=[:\s\"',\])]|$)")
RUN_MODULE = re.compile(r"(?:-m|--module(?:-name)?)[\s\"',=]+([A-Za-z_][\w.]*)")


class Modules:
    """The files of a repository by file name and by dotted module name."""

    def __init__(self, paths: Collection[str]) -> None:
        self.paths = paths
        self.by_module: dict[str, list[str]] = defaultdict(list)
        self.by_name: dict[str, list[str]] = defaultdict(list)
        packages = {path.rpartition("/")[0] for path in paths if path.endswith("__init__.py")}
        for path in paths:
            self.by_name[path.rpartition("/")[2]].append(path)
            if path.endswith(".py"):
                for name in _module_names(path, packages):
                    self.by_module[name].append(path)

    def named(self, text: str, folder: str = "") -> list[str]:
        """Return the files that a command or a configuration names."""
        paths: list[str] = []
        tokens = [token for token in dict.fromkeys(TOKEN.findall(text)) if "." in token]
        files = (match[0] for token in tokens if (match := FILE.match(token)))
        for file in dict.fromkeys(files):
            bare = file.lstrip("./")
            candidates = self.by_name.get(bare.rpartition("/")[2], ())
            near = [path for path in candidates if path in (bare, f"{folder}/{bare}")]
            paths += near or [path for path in candidates if f"/{path}".endswith(f"/{bare}")][:5]
        for name in dict.fromkeys(RUN_MODULE.findall(text)):
            paths += self._longest(name) or self.by_name.get(f"{name}.py", ())[:5]
        modules = {name: self._longest(name) for name in filter(MODULE.fullmatch, tokens)}
        if any(modules.values()):  # most texts name no module, and the search below is slow
            for name in dict.fromkeys(STANDS_ALONE.findall(text)):
                paths += modules[name]
        return paths

    def _longest(self, name: str) -> list[str]:
        """Return the files of the longest prefix of a dotted name that is a module here."""
        while name:
            if name in self.by_module:
                runs = self.by_module.get(f"{name}.__main__", [])
                return [*self.by_module[name], *runs]
            name = name.rpartition(".")[0]
        return []

    def imported(self, name: str, folder: str) -> list[str]:
        """Return the files that a file in a folder imports by a name."""
        dots = len(name) - len(name.lstrip("."))
        if dots:
            parts = folder.split("/")
            base = "/".join(parts[: len(parts) - dots + 1])
            stem = f"{base}/{name[dots:].replace('.', '/')}".strip("/")
            candidates = (f"{stem}.py", f"{stem}/__init__.py")
            return [path for path in candidates if path in self.paths]
        sibling = f"{folder}/{name.replace('.', '/')}.py".lstrip("/")
        if sibling in self.paths:
            return [sibling]
        paths: list[str] = []
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            paths += self.by_module.get(".".join(parts[:end]), [])[:3]
        return paths


def _module_names(path: str, packages: set[str]) -> list[str]:
    """Return the dotted names by which a file can be imported."""
    stem = path.removesuffix(".py").removesuffix("/__init__")
    parts = stem.split("/")
    top = len(parts) - 1
    while top > 0 and "/".join(parts[:top]) in packages:
        top -= 1
    names = {".".join(parts[top:])}
    if parts[0] == "src":
        names.add(".".join(parts[1:]))
    names.add(".".join(parts))
    return [name for name in names if name]
