"""What a project needs of a machine, from which rung on: the data of levels/tools.yml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rung.core.infrastructure import applies
from rung.errors import RungError
from rung.system import plain_yaml

FILE = "tools.yml"


@dataclass(frozen=True)
class Need:
    """Something that a machine has to have.

    Attributes:
        name: of the program, or `registry`, or `certificates`.
        purpose: completes "Needed to ...".
        since: the first rung that needs it.
        fix: what to do where it is missing.
        when: the answers that need it, all of them.
        optional: whether only single tasks need it.
    """

    name: str
    purpose: str
    since: int
    fix: str
    when: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False

    def concerns(self, level: int, answers: Mapping[str, Any]) -> bool:
        """Return whether a project on a rung, with these answers, needs it."""
        return self.since <= level and applies(self.when, answers)


@dataclass(frozen=True)
class Program(Need):
    """A program.

    Attributes:
        ways: commands, of which one has to succeed and to print the version.
        at_least: the oldest version that will do, or nothing.
        below: the first version that is too new, or nothing.
    """

    ways: tuple[str, ...] = ()
    at_least: str = ""
    below: str = ""


@dataclass(frozen=True)
class Needs:
    """All of them.

    Attributes:
        programs: in the order of the file.
        registry: the address that packages come from.
        package: one that every project installs.
        certificates: the registry's certificates.
        fix_system: what to do where the system has the certificate that uv lacks.
    """

    programs: tuple[Program, ...]
    registry: Need
    package: str
    certificates: Need
    fix_system: str


def load(folder: Path) -> Needs:
    """Read the file of the folder `levels`; raise a RungError when it is not what it must be."""
    path = folder / FILE
    try:
        data = plain_yaml.load(path.read_text(encoding="utf-8"))
        registry, certificates = data["registry"], data["certificates"]
        return Needs(
            programs=tuple(_program(name, entry) for name, entry in data["programs"].items()),
            registry=Need("registry", **_common(registry, {"package"})),
            package=registry["package"],
            certificates=Need("certificates", **_common(certificates, {"fix_system"})),
            fix_system=certificates["fix_system"],
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise RungError(f"{path} cannot be read: {error!r}. Reinstall Rung.") from error


def _program(name: str, entry: Mapping[str, Any]) -> Program:
    return Program(name, ways=tuple(entry["ways"]), **_common(entry, {"ways"}))


def _common(entry: Mapping[str, Any], besides: set[str]) -> dict[str, Any]:
    names = {"for": "purpose", "from": "since"}
    return {names.get(key, key): value for key, value in entry.items() if key not in besides}
