"""The ladder: the files of levels/ as typed records (decision 58)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
import yaml

from rung.errors import RungError
from rung.system import globs, plain_yaml

Record = TypeVar("Record")

Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")]
Game = Literal["both", "governance", "velocity"]
Effort = Literal["an hour", "a day", "a week", "a month"]  # least first
Tier = Literal["declared", "used", "automated"]
Block = Literal[
    "foundation",
    "data",
    "experiments",
    "training",
    "serving",
    "observability",
    "features",
    "governance",
]
RUNGS = range(5)
GAMES: tuple[str, ...] = get_args(Game)
EFFORTS: tuple[str, ...] = get_args(Effort)
BLOCKS: tuple[str, ...] = get_args(Block)
# After the ML Test Score, which has 0.5 (run by hand, results documented) and 1 (automatic); 0.25 is ours.
TIERS: Mapping[str, float] = {"declared": 0.25, "used": 0.5, "automated": 1.0}
POLICY = "policy.yml"  # of an organisation, beside its capabilities
RECORDS = ("docs/", "governance/")  # what a project holds for people to fill in
UNANSWERED = {"team_size": "one", "ci": "github"}  # the defaults of levels/questions.yml
BRINGS = "The team brings"  # before a rung's `asks`
HEADING = "Rung {0.level}, {0.title}:"  # before what a plan or a review says of a rung
MINIMUM_SCORE = 0.40  # points that a rung needs on average over its capabilities


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A path that a project gets, and the answers that it needs besides the rung and the game."""

    path: str
    needs: dict[str, tuple[str, ...]] = {}
    # Its first rung, if not that of the capability or answer that brings it.
    since: int | None = None

    def is_for(self, answers: Mapping[str, Any]) -> bool:
        """Return whether a project with such answers gets it."""
        known = {**UNANSWERED, **answers}
        return all(known.get(name) in values for name, values in self.needs.items())


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command of a rung, and what it does."""

    run: str
    does: str
    game: Game = "both"


class Once(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command to run once after the climb to a rung, and what is so until then."""

    run: str
    until: str


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the team has to bring to a rung."""

    ask: str
    game: Game = "both"


class Capability(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something a repository can do.

    `id` is the name of its file, `level` the rung that names it. The other fields are the keys of
    the file, in the order in which they stand there; levels/README.md explains them.
    """

    id: str
    level: int
    why: str
    fix: str
    effort: Effort
    source: str
    game: Game
    block: Block
    workflow: str
    evidence: Annotated[dict[Tier, Any], msgspec.Meta(min_length=1)]
    at: dict[Annotated[str, msgspec.Meta(pattern="^(governance|velocity)$")], int] = {}
    where: dict[str, tuple[str, ...]] = {}
    change: str = ""
    needs: tuple[str, ...] = ()
    owns: tuple[Claim, ...] = ()
    uses: tuple[str, ...] = ()
    job: str | None = None
    by_hand: bool = False  # a project uses what Rung brings for it only once the team declares so
    applies: Any = None
    earned_by: dict[str, str] = {}
    not_earned_by: dict[str, str] = {}

    def is_brought(self, answers: Mapping[str, Any]) -> bool:
        """Return whether a project with such answers gets it with its rung.

        It comes as a file, a job or code of the library.
        """
        files = any(claim.is_for(answers) for claim in self.owns)
        return not self.by_hand and bool(files or self.uses or self.job)

    def records(self, answers: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what comes with it as a form that people fill in."""
        paths = (*(claim.path for claim in self.owns if claim.is_for(answers)), *self.uses)
        return tuple(
            path
            for path in paths
            if (path.startswith(RECORDS) and "schemas" not in path) or path.endswith("/CODEOWNERS")
        )

    def rung(self, game: str) -> int | None:
        """Return the rung at which `game` asks for this, or None when it never does."""
        return self.at.get(game, self.level) if self.game in ("both", game) else None

    def is_for(self, answers: Mapping[str, Any]) -> bool:
        """Say whether it is required of a project with such answers."""
        return not self.where or any(
            answers.get(question) in wanted for question, wanted in self.where.items()
        )


class Vendor(msgspec.Struct, frozen=True):
    """A CI vendor, as a file of levels/ci/ describes it; levels/README.md explains the keys.

    Keys that an older or newer template has besides these are skipped.
    """

    title: str
    host: str
    files: tuple[str, ...]
    up_to: int = RUNGS[-1]
    text: str = "the job `JOB`"
    runner: str = ""
    runners: tuple[str, ...] = ()
    person: str = ""
    programs: tuple[str, ...] = ()
    owners: str = ""
    jobs: dict[str, str] = {}
    owns: dict[str, tuple[Claim, ...]] = {}

    def runs(self, path: str) -> bool:
        """Return whether it runs a file."""
        return bool(globs.matching([path], self.files))


class Level(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
    capabilities: dict[Name, Capability]
    keystones: dict[
        Annotated[str, msgspec.Meta(pattern="^(both|governance)$")], tuple[tuple[str, ...], ...]
    ] = {}
    once: tuple[Once, ...] = ()


def load(folder: Path) -> tuple[Level, ...]:
    """Read the ladder of the folder `levels`, lowest rung first."""
    vendors = load_vendors(folder)
    rungs = tuple(_level(folder, number, vendors) for number in RUNGS)
    named = {name for rung in rungs for name in rung.capabilities}
    for path in sorted((folder / "capabilities").glob("*.yml")):
        if path.stem not in named:
            raise RungError(
                f"{path} is a capability of no rung.\n"
                f"Add `{path.stem}` to the `capabilities` of one of {folder}/0.yml to 4.yml."
            )
    return rungs


def with_capabilities(
    levels: Sequence[Level], folder: Path, problem: Callable[[Capability], str]
) -> tuple[Level, ...]:
    """Return the ladder with the capabilities of another folder; each names its rung as `level`.

    `problem` says what is wrong with a capability's evidence; nothing if it is right.

    Raises:
        RungError: A file is no capability, or has the name of one of the ladder.
    """
    known = {name for level in levels for name in level.capabilities}
    more: dict[int, dict[str, Capability]] = {level.level: {} for level in levels}
    paths = sorted(path for path in folder.glob("*.yml") if not path.name.startswith("."))
    if not paths:
        raise RungError(f"{folder} has no files of capabilities. Give a folder with ID.yml.")
    for path in folder.iterdir():
        misnamed = path.suffix.lower() in (".yml", ".yaml") and path.suffix != ".yml"
        if not path.name.startswith(".") and (misnamed or path.name.lower() == POLICY != path.name):
            raise RungError(f"{path} would not be read. Name it {path.stem.lower()}.yml.")
    for path in paths:
        if path.name == POLICY:
            continue
        if path.stem in known:
            raise RungError(f"{path}: Rung has a capability of this name. Rename the file.")
        capability = _decode(Capability, read(path), path, id=path.stem)
        if capability.level not in more:
            raise wrong(path, f"`level` must be a rung, {RUNGS[0]} to {RUNGS[-1]}")
        if fault := problem(capability):
            raise wrong(path, fault)
        more[capability.level][path.stem] = capability
    return tuple(
        msgspec.structs.replace(level, capabilities=level.capabilities | more[level.level])
        for level in levels
    )


def load_vendors(folder: Path) -> dict[str, Vendor]:
    """Read the CI vendors of the folder `levels`, in the order of the question `ci`."""
    path = folder / "ci" / "names.yml"
    try:
        names = list(read(path)["vendor_names"]["default"])
    except (KeyError, TypeError) as error:
        raise wrong(path, "there is no list `vendor_names.default`") from error
    files = {name: folder / "ci" / f"{name}.yml" for name in names}
    return {name: decode_vendor(read(path), path) for name, path in files.items()}


def decode_vendor(data: Any, path: Path) -> Vendor:
    """Return the CI vendor that the data of a file describes."""
    return _decode(Vendor, data, path)


def _level(folder: Path, number: int, vendors: Mapping[str, Vendor]) -> Level:
    path, key = folder / f"{number}.yml", f"rung_{number}"
    document = read(path)
    try:
        data = document[key]["default"]
        if not isinstance(data["capabilities"], list):
            raise TypeError("no list")
        names = [str(name) for name in data["capabilities"]]
    except (KeyError, TypeError) as error:
        raise wrong(path, f"there is no list `{key}.default.capabilities`") from error
    if data.get("level") != number:
        raise wrong(path, f"`level` must be {number}, as in the file's name")
    capabilities = {name: _capability(folder, name, number, vendors) for name in names}
    return _decode(Level, data, path, capabilities=capabilities)


def _capability(folder: Path, name: str, level: int, vendors: Mapping[str, Vendor]) -> Capability:
    """Read a capability, and add the paths that CI vendors bring for it."""
    path = folder / "capabilities" / f"{name}.yml"
    capability = _decode(Capability, read(path), path, id=name, level=level)
    brought = tuple(
        msgspec.structs.replace(claim, needs=claim.needs | {"ci": (ci,)})
        for ci, vendor in vendors.items()
        for claim in vendor.owns.get(name, ())
    )
    return msgspec.structs.replace(capability, owns=capability.owns + brought)


def read(path: Path, *, unique: bool = False) -> Any:
    """Return what a YAML file of the folder `levels` holds; `unique` refuses a duplicate key."""
    try:
        text = path.read_text(encoding="utf-8")
        content = plain_yaml.load(text)
        twice = plain_yaml.repeated_key(text) if unique else None
    except FileNotFoundError as error:
        raise RungError(f"{path} is missing. Reinstall Rung, or restore the file.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RungError(f"{path} cannot be read as YAML: {error}") from error
    if twice is not None:
        raise wrong(path, f"`{twice}` is written twice")
    return content


def decoded(path: Path, kind: type[Record]) -> Record:
    """Return a YAML file of the folder `levels` as a record."""
    return converted(read(path), kind, path)


def converted(data: Any, kind: type[Record], path: Path) -> Record:
    """Return the data of a file as a record; raise a RungError that names the file and the key."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        # Such as "Expected `array`, got `str` - at `$.owns`".
        what, _, key = str(error).partition(" - at `$.")
        raise wrong(path, f"`{key.rstrip('`')}`: {what}" if key else what) from error


def _decode(kind: type[Record], data: Any, path: Path, **more: Any) -> Record:
    """Return what a file says as a record, with more fields; its short forms are expanded."""
    if not isinstance(data, dict):
        raise wrong(path, "it must be a mapping of keys to values")
    forms = {"asks": _ask, "owns": _claim}
    long = {key: _expanded(data[key], form) for key, form in forms.items() if key in data}
    return converted(data | long | more, kind, path)


def _expanded(entries: Any, form: Callable[[Any], Any]) -> Any:
    """Expand a list of short forms, or several lists by name."""
    if isinstance(entries, dict):
        return {name: _expanded(below, form) for name, below in entries.items()}
    return [form(entry) for entry in entries] if isinstance(entries, list) else entries


def _ask(entry: Any) -> Any:
    return {"ask": entry} if isinstance(entry, str) else entry


def _claim(entry: Any) -> Any:
    """Expand a claim that is only a path, or that names a single answer without a list."""
    if isinstance(entry, str):
        return {"path": entry}
    if not isinstance(entry, dict):
        return entry
    own = {"path": "path", "from": "since"}
    claim = {own[name]: value for name, value in entry.items() if name in own}
    needs = {name: value for name, value in entry.items() if name not in own}
    single = {name: [value] for name, value in needs.items() if isinstance(value, str)}
    return claim | {"needs": needs | single}


def wrong(path: Path, what: str) -> RungError:
    """Return the error for a file of the folder `levels`."""
    return RungError(f"{path}: {what}.\nCorrect it there; levels/README.md explains each key.")
