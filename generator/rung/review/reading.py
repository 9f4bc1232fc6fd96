"""How a repository is read: the data of levels/reading.yml."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rung import plain_yaml
from rung.errors import RungError


@dataclass(frozen=True)
class Reading:
    """Which files are CI, roots and dependencies, and which folders are left out."""

    packages: tuple[str, ...]
    modules: tuple[str, ...]
    ci: tuple[str, ...]
    dependencies: tuple[str, ...]
    roots: tuple[str, ...]
    folders: frozenset[str]
    endings: tuple[str, ...]

    def leaves_out(self, name: str) -> bool:
        """Say whether a folder of this lower-case name is left out."""
        return name in self.folders or name.endswith(self.endings)


def load(folder: Path) -> Reading:
    """Read `reading.yml` of the folder `levels`; raise a RungError when it is not what it must be."""
    path = folder / "reading.yml"
    try:
        data: Mapping[str, Any] = plain_yaml.load(path.read_text(encoding="utf-8"))
        return Reading(
            packages=tuple(data["machine_learning"]["packages"]),
            modules=tuple(data["machine_learning"]["modules"]),
            ci=tuple(data["ci"]),
            dependencies=tuple(data["dependencies"]),
            roots=tuple(data["roots"]),
            folders=frozenset(data["left_out"]["folders"]),
            endings=tuple(data["left_out"]["endings"]),
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise RungError(f"{path} cannot be read: {error!r}. Reinstall Rung.") from error
