"""How a repository is read: the data of levels/reading.yml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from rung.errors import RungError
from rung.system import plain_yaml

SOURCES = (".py", ".sh", ".yml", ".yaml", ".tf", "dockerfile", "makefile")


@dataclass(frozen=True)
class Reading:
    """Which files are CI, roots and dependencies, and which folders are left out."""

    packages: tuple[str, ...]
    modules: tuple[str, ...]
    ci: tuple[str, ...]
    ci_by_content: tuple[tuple[str, ...], ...]
    dependencies: tuple[str, ...]
    roots: tuple[str, ...]
    called_by_frameworks: tuple[str, ...]
    folders: frozenset[str]
    endings: tuple[str, ...]
    unless_sources: tuple[str, ...]
    generated: tuple[str, ...]

    def leaves_out(self, name: str) -> bool:
        """Say whether a folder of this lower-case name is left out."""
        return name in self.folders or name in self.unless_sources or name.endswith(self.endings)

    def holds_sources(self, names: Sequence[str]) -> bool:
        """Say whether a folder with these lower-case names was written, not generated."""
        if any(fnmatchcase(name, glob) for name in names for glob in self.generated):
            return False
        return any(name.endswith(SOURCES) for name in names)


def load(folder: Path) -> Reading:
    """Read `reading.yml` of the folder `levels`; raise a RungError when it is not what it must be."""
    path = folder / "reading.yml"
    try:
        data: Mapping[str, Any] = plain_yaml.load(path.read_text(encoding="utf-8"))
        return Reading(
            packages=tuple(data["machine_learning"]["packages"]),
            modules=tuple(data["machine_learning"]["modules"]),
            ci=tuple(data["ci"]),
            ci_by_content=tuple(map(tuple, data["ci_by_content"])),
            dependencies=tuple(data["dependencies"]),
            roots=tuple(data["roots"]),
            called_by_frameworks=tuple(data["called_by_frameworks"]),
            folders=frozenset(data["left_out"]["folders"]),
            endings=tuple(data["left_out"]["endings"]),
            unless_sources=tuple(data["left_out"]["unless_sources"]),
            generated=tuple(data["left_out"]["generated"]),
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise RungError(f"{path} cannot be read: {error!r}. Reinstall Rung.") from error
