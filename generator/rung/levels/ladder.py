"""What each maturity level is: the data of levels/ as frozen objects, checked while it is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from rung.errors import RungError
from rung.system import plain_yaml

Made = TypeVar("Made")

IDENTIFIER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
RUNGS = range(5)
GAMES = ("both", "governance", "velocity")
BLOCKS = (
    "foundation",
    "data",
    "experiments",
    "training",
    "serving",
    "observability",
    "features",
    "governance",
)
# After the ML Test Score, which has 0.5 (run by hand, results documented) and 1 (automatic); 0.25 is ours.
TIERS = {"declared": 0.25, "used": 0.5, "automated": 1.0}
STANDING = 0.40  # points that a rung needs on average over its capabilities


@dataclass(frozen=True)
class Claim:
    """A path that a project gets, and the answers it takes besides the rung and the game."""

    path: str
    needs: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Command:
    """A command of a rung, and what it does."""

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
    """Something a repository can do; its fields are in the order of the files' keys."""

    id: str
    level: int
    why: str
    game: str
    block: str
    evidence: Mapping[str, Any]
    fix: str
    effort: str
    source: str
    owns: tuple[Claim, ...] = ()
    uses: tuple[str, ...] = ()
    job: str | None = None
    at: Mapping[str, int] = field(default_factory=dict)
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rung(self, game: str) -> int | None:
        """Return the rung at which `game` asks for this, or None when it never does."""
        return self.at.get(game, self.level) if self.game in ("both", game) else None

    def is_for(self, answers: Mapping[str, Any]) -> bool:
        """Say whether it is required of a project with such answers."""
        return not self.where or any(
            answers.get(question) in wanted for question, wanted in self.where.items()
        )


@dataclass(frozen=True)
class Level:
    """A rung of the ladder."""

    level: int
    title: str
    microsoft: str
    google: str
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
        RungError: A file is missing or does not say what a level must; the message says what.
    """
    return tuple(_read(folder / f"{number}.yml", number) for number in RUNGS)


def _read(path: Path, number: int) -> Level:
    """Read the level `number` from its file."""
    try:
        document = plain_yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RungError(f"{path} is missing. Reinstall Rung, or restore the file.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RungError(f"{path} cannot be read as YAML: {error}") from error
    name = f"rung_{number}"
    question = _mapping(_mapping(document, str(path)).get(name), f"{path}, {name}")
    where = f"{path}, {name}.default"
    data = _mapping(question.get("default"), where)
    if data.get("level") != number:
        raise RungError(f"{where}.level must be {number}, as in the file's name.")
    capabilities = _mapping(data.get("capabilities"), f"{where}.capabilities")
    keystones = _mapping(data.get("keystones", {}), f"{where}.keystones")
    return _make(
        Level,
        data
        | {
            "asks": _list(data.get("asks"), f"{where}.asks", _ask),
            "commands": _list(data.get("commands"), f"{where}.commands", _command),
            "owns": _list(data.get("owns"), f"{where}.owns", _claim),
            "keystones": {
                game: _list(groups, f"{where}.keystones.{game}", _names)
                for game, groups in keystones.items()
            },
            "capabilities": {
                name: _capability(name, number, entry, f"{where}.capabilities.{name}")
                for name, entry in capabilities.items()
            },
        },
        where,
    )


def _capability(name: Any, level: int, entry: Any, where: str) -> Capability:
    if not IDENTIFIER.fullmatch(str(name)):
        raise RungError(f"{where}: write the name in lower-case words joined by hyphens.")
    data = _mapping(entry, where)
    evidence = _mapping(data.get("evidence"), f"{where}.evidence")
    if not evidence:
        raise RungError(f"{where}.evidence is empty. State at least one of {', '.join(TIERS)}.")
    for key, values, allowed in (
        ("game", [data.get("game")], GAMES),
        ("block", [data.get("block")], BLOCKS),
        ("at", _mapping(data.get("at", {}), f"{where}.at"), GAMES[1:]),
        ("evidence", evidence, tuple(TIERS)),
    ):
        for value in values:
            if value not in allowed:
                raise RungError(f"{where}.{key}: {value!r} is not one of {', '.join(allowed)}.")
    made = {
        "id": name,
        "level": level,
        "owns": _list(data.get("owns", []), f"{where}.owns", _claim),
        "uses": _names(data.get("uses", []), f"{where}.uses"),
        "where": {
            question: _names(wanted, f"{where}.where.{question}")
            for question, wanted in _mapping(data.get("where", {}), f"{where}.where").items()
        },
    }
    return _make(Capability, data | made, where)


def _ask(entry: Any, where: str) -> Ask:
    return _make(Ask, {"ask": entry} if isinstance(entry, str) else _mapping(entry, where), where)


def _command(entry: Any, where: str) -> Command:
    return _make(Command, _mapping(entry, where), where)


def _claim(entry: Any, where: str) -> Claim:
    claim = {"path": entry} if isinstance(entry, str) else _mapping(entry, where)
    needs = {
        question: (wanted,) if isinstance(wanted, str) else _names(wanted, f"{where}.{question}")
        for question, wanted in claim.items()
        if question != "path"
    }
    if "path" not in claim:
        raise RungError(f"{where}: {entry!r} names no `path`.")
    return _make(Claim, {"path": claim["path"], "needs": needs}, where)


def _names(value: Any, where: str) -> tuple[str, ...]:
    return _list(value, where, _name)


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise RungError(f"{where}: {value!r} is not a text. Put it in quotes.")
    return value


def _make(kind: Callable[..., Made], data: Mapping[str, Any], where: str) -> Made:
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    for name in data:
        if name not in known:
            raise RungError(f"{where}: `{name}` is not a key. The keys are {', '.join(known)}.")
    for name, entry in known.items():
        if name not in data:
            if entry.default is MISSING and entry.default_factory is MISSING:
                raise RungError(f"{where}: the key `{name}` is missing.")
        elif entry.type in (str, int, bool) and type(data[name]) is not entry.type:
            raise RungError(f"{where}.{name}: {data[name]!r} is not of type {entry.type.__name__}.")
    return kind(**data)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RungError(f"{where} must be a mapping of keys to values.")
    return value


def _list(value: Any, where: str, read_entry: Callable[[Any, str], Made]) -> tuple[Made, ...]:
    if not isinstance(value, list):
        raise RungError(f"{where} must be a list.")
    return tuple(read_entry(entry, where) for entry in value)
