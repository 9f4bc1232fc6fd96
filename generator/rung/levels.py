"""What each maturity level is: the data of levels/ as frozen objects."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from rung.errors import RungError

GAMES = ("both", "governance", "velocity")
BLOCKS = (
    "foundation", "data", "experiments", "training",
    "serving", "observability", "features", "governance",
)  # fmt: skip
TIERS = {"declared": 0.25, "used": 0.5, "automated": 1.0}  # points of the ML Test Score
STANDING = 0.40  # points a rung needs on average, over its capabilities, to be stood on
IDENTIFIER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Made = TypeVar("Made")


@dataclass(frozen=True)
class Claim:
    """A path that a project gets, and the answers it takes besides the rung and the game."""

    path: str
    needs: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Command:
    """What a person can type on a rung, and what it does."""

    run: str
    does: str
    game: str = "both"


@dataclass(frozen=True)
class Ask:
    """What the team has to bring to a rung."""

    ask: str
    game: str = "both"


@dataclass(frozen=True)
class Capability:
    """Something a repository can do; its fields stand in the order of the files' keys."""

    id: str
    level: int
    why: str
    game: str
    block: str
    evidence: Mapping[str, Any]
    fix: str
    source: str
    owns: tuple[Claim, ...] = ()
    uses: tuple[str, ...] = ()
    job: str | None = None
    at: Mapping[str, int] = field(default_factory=dict)

    def rung(self, game: str) -> int | None:
        """Return the rung at which `game` asks for this, or None when it never does."""
        return self.at.get(game, self.level) if self.game in ("both", game) else None


@dataclass(frozen=True)
class Level:
    """A rung of the ladder."""

    level: int
    title: str
    microsoft: str
    google: str
    offered: bool
    promise: str
    cost: str
    asks: tuple[Ask, ...]
    stay: str
    commands: tuple[Command, ...]
    owns: tuple[Claim, ...]
    capabilities: Mapping[str, Capability]
    keystones: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)


def load(folder: Path) -> tuple[Level, ...]:
    """Read 0.yml to 4.yml of the folder `levels`, lowest rung first.

    Raises:
        RungError: a file is missing or does not say what a level must.
    """
    return tuple(_level(folder / f"{number}.yml", number) for number in range(5))


def _level(path: Path, number: int) -> Level:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RungError(f"{path} is missing. Reinstall Rung, or restore the file.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RungError(f"{path} cannot be read as YAML: {error}") from None
    question = _mapping(document, str(path)).get(f"rung_{number}")
    data = _mapping(question, f"{path}, rung_{number}").get("default")
    where = f"{path}, rung_{number}.default"
    data = dict(_mapping(data, where))
    if data.get("level") != number:
        raise RungError(f"{where}: `level` must be {number}, the number in the file's name.")
    found = _mapping(data.get("capabilities"), f"{where}.capabilities")
    keystones = _mapping(data.get("keystones", {}), f"{where}.keystones")
    data |= {
        "commands": tuple(
            _make(Command, _mapping(entry, f"{where}.commands"), f"{where}.commands")
            for entry in _sequence(data.get("commands"), f"{where}.commands")
        ),
        "owns": _claims(data.get("owns"), where),
        "asks": tuple(
            _make(Ask, {"ask": entry} if isinstance(entry, str) else entry, f"{where}.asks")
            for entry in _sequence(data.get("asks"), f"{where}.asks")
        ),
        "keystones": {game: tuple(map(tuple, groups)) for game, groups in keystones.items()},
        "capabilities": {
            name: _capability(name, number, entry, f"{where}.capabilities.{name}")
            for name, entry in found.items()
        },
    }
    return _make(Level, data, where)


def _capability(name: str, level: int, entry: Any, where: str) -> Capability:
    data = dict(_mapping(entry, where))
    if not IDENTIFIER.fullmatch(str(name)):
        raise RungError(f"{where}: write the name in lower-case words joined by hyphens.")
    data |= {
        "id": name,
        "level": level,
        "owns": _claims(data.get("owns", []), where),
        "uses": tuple(_sequence(data.get("uses", []), f"{where}.uses")),
    }
    capability = _make(Capability, data, where)
    for key, value, allowed in (
        ("game", capability.game, GAMES),
        ("block", capability.block, BLOCKS),
        *(("at", game, GAMES[1:]) for game in _mapping(capability.at, f"{where}.at")),
        *(("evidence", tier, tuple(TIERS)) for tier in _mapping(capability.evidence, where)),
    ):
        if value not in allowed:
            raise RungError(f"{where}.{key}: `{value}` must be one of {', '.join(allowed)}.")
    if not capability.evidence:
        raise RungError(f"{where}.evidence is empty; state at least one of {', '.join(TIERS)}.")
    return capability


def _claims(entries: Any, where: str) -> tuple[Claim, ...]:
    claims = []
    for entry in _sequence(entries, f"{where}.owns"):
        needs = {"path": entry} if isinstance(entry, str) else dict(_mapping(entry, where))
        path = needs.pop("path", None)
        if not isinstance(path, str):
            raise RungError(f"{where}.owns: {entry!r} names no `path`.")
        claims.append(Claim(path, {k: (v,) if isinstance(v, str) else tuple(v) for k, v in needs.items()}))
    return tuple(claims)


def _make(kind: type[Made], data: Mapping[str, Any], where: str) -> Made:
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    for name in data:
        if name not in known:
            raise RungError(f"{where}: `{name}` is not a key; write one of {', '.join(known)}.")
    for name, entry in known.items():
        if name not in data and entry.default is MISSING and entry.default_factory is MISSING:
            raise RungError(f"{where}: the key `{name}` is missing.")
        if name in data and entry.type in (str, int, bool) and type(data[name]) is not entry.type:
            raise RungError(f"{where}: `{name}` must be a {entry.type.__name__}, not {data[name]!r}.")
    return kind(**data)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RungError(f"{where} must be a mapping of keys to values.")
    return value


def _sequence(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise RungError(f"{where} must be a list.")
    return value
