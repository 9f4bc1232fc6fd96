"""What a climb would do, as data: nothing in it is printed, and nothing is touched."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rung.core import infrastructure
from rung.core.merging.conflict import Conflict
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.source import Source
from rung.errors import RungError


@dataclass(frozen=True)
class ProjectState:
    """Where a project stands: its template, and its answers.

    Args:
        template: The address.
        version: The version, as the answers file says it.
        commit: The full id of the version's commit, if the template is available.
        answers: Answers by question.
    """

    template: str
    version: str
    commit: str | None
    answers: Mapping[str, Any]

    @property
    def level(self) -> int:
        """Return the rung."""
        return int(self.answers["level"])


@dataclass(frozen=True)
class Rise:
    """A rung on the way up: what it costs, and when not to take it."""

    level: int
    title: str
    promise: str
    cost: str
    stay: str


@dataclass(frozen=True)
class Plan:
    """What a climb would do.

    Args:
        head: The commit it starts from.
        before, after: Its rung now, and after the change.
        result: The tree that the project's folder would have; with conflicts, a draft.
        added, changed, retired: Paths relative to the project.
        renamed: The user's names of Rung's files, by Rung's names.
        kept: Files that Rung retires and the user has edited; they stay.
        gone: Files that the user deleted; they stay away.
        own: Files of the user's where Rung brings one of the same name; Rung's are left out.
        ignored: Files of Rung's that are left out, since something git does not keep is there.
        had: Files like those that Rung retires, which the user had before it brought them; they stay.
        edited: Files of Rung's that the user has edited and the climb leaves alone.
        yours: How many files are the user's alone.
        by_key: Files merged key by key.
        conflicts: What a person has to decide.
        dependencies: New requirements.
        commands: New commands, with what they do.
        jobs: New CI files.
        asks: What the team has to bring.
        rises: The rungs on the way up.
    """

    head: str
    before: ProjectState
    after: ProjectState
    result: str
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    had: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    yours: int = 0
    by_key: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    dependencies: list[str] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    asks: list[str] = field(default_factory=list)
    rises: list[Rise] = field(default_factory=list)

    @property
    def changes_nothing(self) -> bool:
        """Say whether the project is already there."""
        return not (self.added or self.changed or self.retired or self.conflicts)

    def as_data(self) -> dict[str, Any]:
        """Return the plan as data for JSON."""
        return asdict(self)


def differences(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> dict[str, list[str]]:
    """Return the paths that were added, changed and retired between two trees."""
    return {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(path for path in after.keys() & before if after[path] != before[path]),
        "retired": sorted(before.keys() - after.keys()),
    }


def dependencies(
    bench: Workbench, before: Mapping[str, Entry], after: Mapping[str, Entry]
) -> list[str]:
    """Return the requirements of pyproject.toml whose packages were not required before."""
    had, has = (_requirements(bench, files) for files in (before, after))
    return [line for name, line in sorted(has.items()) if name not in had]


def _requirements(bench: Workbench, files: Mapping[str, Entry]) -> dict[str, str]:
    entry = files.get("pyproject.toml")
    try:
        text = bench.contents([entry.oid])[entry.oid].decode("utf-8") if entry else ""
        data = tomllib.loads(text)
    except (KeyError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}
    table = data.get("project")
    lists = [table.get("dependencies") if isinstance(table, dict) else None]
    lists += data["dependency-groups"].values() if _is_table(data, "dependency-groups") else []
    packages: dict[str, str] = {}
    for line in (line for lines in lists if isinstance(lines, list) for line in lines):
        try:
            packages[str(canonicalize_name(Requirement(line).name))] = str(line)
        except (InvalidRequirement, TypeError):
            continue
    return packages


def _is_table(data: Mapping[str, Any], name: str) -> bool:
    return isinstance(data.get(name), dict)


def jobs(source: Source, added: Iterable[str]) -> list[str]:
    """Return those of the new files that a CI vendor of the template runs."""
    vendors = infrastructure.vendors(source).values()
    return [path for path in added if any(vendor.runs(path) for vendor in vendors)]


def on_the_way(source: Source, before: ProjectState, after: ProjectState) -> dict[str, Any]:
    """Return rises, commands and asks of the rungs above the project's."""
    rises: list[Rise] = []
    commands: dict[str, str] = {}
    game = after.answers.get("use_case")
    known = {
        command["run"]
        for rung in _rungs(source, 0, before.level)
        for command in _commands(rung, game)
    }
    above = _rungs(source, before.level + 1, after.level)
    for rung in above:
        rises.append(
            Rise(rung["level"], rung["title"], rung["promise"], rung["cost"], rung["stay"])
        )
        for command in _commands(rung, game):
            if command["run"] not in known:
                commands[command["run"]] = command["does"]
    had = infrastructure.asks_of_answers(source, before.answers)
    new = [ask for ask in infrastructure.asks_of_answers(source, after.answers) if ask not in had]
    return {
        "rises": rises,
        "commands": commands,
        "asks": infrastructure.asks_of_rungs(above, game) + new,
    }


def _rungs(source: Source, first: int, last: int) -> list[dict[str, Any]]:
    try:
        return [
            source.read(f"levels/{level}.yml")[f"rung_{level}"]["default"]
            for level in range(first, last + 1)
        ]
    except (RungError, KeyError, TypeError):
        return []  # a template that describes its rungs in another way


def _commands(rung: Mapping[str, Any], game: str | None) -> list[dict[str, Any]]:
    return [entry for entry in rung.get("commands") or [] if entry.get("game", game) == game]
