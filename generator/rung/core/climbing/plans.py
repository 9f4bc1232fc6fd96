"""A requested change, the plan of a climb for it, and a plan in a file.

These are data: nothing is printed here, and no project is touched. A saved plan is applied only while
HEAD, template, answers and outcome are the same (decision 19).
"""

import json
import os
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rung import options
from rung.core import level_contents
from rung.core.merging.conflict import Conflict
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.template_source import Source
from rung.errors import RungError
from rung.system import git

FORM = "rung plan 1"
LARGEST = 4_000_000  # bytes
LOCK = "uv.lock"
# The fields that must be the same when a saved plan is applied, with their names in the refusal.
BOUND = {
    "head": "the project's last commit",
    "before": "the project's answers or its template",
    "after": "the answers or the template to come",
    "result": "what the climb would give",
}


@dataclass(frozen=True)
class ChangeRequest:
    """A change that the user requests.

    Args:
        answers: New answers by question, `level` among them.
        version: Another version of the template; None: the one the project has.
        newest: Whether to go to the template's newest version.
    """

    answers: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    newest: bool = False

    def command(self, verb: str, path: Path, trusted: str | None) -> str:
        """Return the command line that requests this change."""
        parts = ["rung", verb, *([] if path == Path() else [options.typed(path)])]
        for name, value in self.answers.items():
            parts += ["--to", str(value)] if name == "level" else ["-d", f"{name}={value}"]
        parts += ["--template-version", self.version] if self.version else []
        parts += ["--template", trusted] if trusted else []
        return shlex.join(parts)


@dataclass(frozen=True)
class ProjectState:
    """The template and the answers of a project.

    Args:
        template: The address.
        version: The version in the answers file.
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
    """A rung on the way up: what it promises and costs, and when to stay on it.

    Args:
        once: Commands to run once after the climb, with what is so until then.
    """

    level: int
    title: str
    promise: str
    cost: str
    stay: str
    once: Mapping[str, str] = field(default_factory=dict)


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
        own: Files of the user's with the name of one that Rung adds; Rung's are left out.
        ignored: Files of Rung's that are left out, since an untracked file has the name.
        had: Paths that existed in the user's repository before Rung added the same path; they stay.
        edited: Files of Rung's that the user has edited and the climb leaves alone.
        yours: How many files are the user's alone.
        by_key: Files merged key by key.
        conflicts: What the user has to decide.
        dependencies: New requirements.
        commands: New commands, with what they do.
        altered: Commands that do something else than before, with what they do.
        locks: Whether the climb changes what uv.lock, which the project has, says.
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
    altered: dict[str, str] = field(default_factory=dict)
    locks: bool = False
    jobs: list[str] = field(default_factory=list)
    asks: list[str] = field(default_factory=list)
    rises: list[Rise] = field(default_factory=list)

    @property
    def changes_nothing(self) -> bool:
        """Say whether the climb would change nothing."""
        return not (self.added or self.changed or self.retired or self.conflicts)

    @property
    def leaves_governance(self) -> bool:
        """Say whether the project would no longer be governed."""
        before, after = (state.answers.get("use_case") for state in (self.before, self.after))
        return before == "governance" != after

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
    old, new = (_requirements(bench, files) for files in (before, after))
    return [line for name, line in sorted(new.items()) if name not in old]


def locks(bench: Workbench, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> bool:
    """Say whether uv.lock has to change: a requirement, or a wheel in the project, does."""
    if LOCK not in after:
        return False
    wheels = [
        {path: entry for path, entry in files.items() if path.endswith(".whl")}
        for files in (before, after)
    ]
    old, new = (_locked_tables(bench, files) for files in (before, after))
    return wheels[0] != wheels[1] or old != new


def _locked_tables(bench: Workbench, files: Mapping[str, Entry]) -> list[Any]:
    """Return the parts of pyproject.toml that uv.lock depends on."""
    data = _pyproject(bench, files)
    project, tool = (data[name] if _is_table(data, name) else {} for name in ("project", "tool"))
    names = ("name", "version", "requires-python", "dependencies", "optional-dependencies")
    own = [project.get(name) for name in names]
    return [*own, data.get("dependency-groups"), tool.get("uv")]


def _requirements(bench: Workbench, files: Mapping[str, Entry]) -> dict[str, str]:
    data = _pyproject(bench, files)
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


def _pyproject(bench: Workbench, files: Mapping[str, Entry]) -> dict[str, Any]:
    try:
        return tomllib.loads(bench.content(files.get("pyproject.toml")).decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _is_table(data: Mapping[str, Any], name: str) -> bool:
    return isinstance(data.get(name), dict)


def jobs(source: Source, added: Iterable[str]) -> list[str]:
    """Return the new files that a CI vendor of the template runs."""
    vendors = level_contents.vendors(source).values()
    return [path for path in added if any(vendor.runs(path) for vendor in vendors)]


def new_contents(source: Source, before: ProjectState, after: ProjectState) -> dict[str, Any]:
    """Return the rungs on the way up, and the commands and requirements that are new or altered."""
    now = level_contents.contents(source, before.answers)
    then = level_contents.contents(source, after.answers)
    known, new = now.asks + now.answers_ask, then.asks + then.answers_ask
    return {
        "rises": [
            Rise(
                rung["level"],
                rung["title"],
                rung["promise"],
                rung["cost"],
                rung["stay"],
                {first["run"]: first["until"] for first in rung.get("once", [])},
            )
            for rung in then.rungs[before.level + 1 :]
        ],
        "commands": {run: does for run, does in then.commands.items() if run not in now.commands},
        "altered": {
            run: does for run, does in then.commands.items() if now.commands.get(run, does) != does
        },
        "asks": [ask for ask in new if ask not in known],
    }


@dataclass(frozen=True)
class Saved:
    """A plan read from a file.

    Args:
        file: Its path.
        folder: The project that it was made for.
        request: The requested change.
        trusted: The template that the user trusts.
        plan: The plan as data.
    """

    file: Path
    folder: Path
    request: ChangeRequest
    trusted: str | None
    plan: dict[str, Any]


def refuse_output(file: Path, folder: Path) -> None:
    """Raise a RungError if a plan must not be written to a file.

    It would overwrite something else, or be an uncommitted change that stops the climb.
    """
    if os.path.lexists(file):
        try:
            if not file.is_file():
                raise RungError(f"{file} is not a file.")
            load(file)
        except RungError as error:
            raise RungError(
                f"{file} exists and is not a plan, so it was not overwritten. Name another file."
            ) from error
    top = git.repository_above(folder)
    if top is None or not file.resolve().is_relative_to(top.resolve()):
        return
    inside = file.resolve().relative_to(top.resolve())
    if inside.parts[:1] != (".git",) and not _ignored(top, inside.as_posix()):
        raise RungError(
            f"{file} is in the project, and would be a change in it that stops the climb.\n"
            f"Name a file outside of {top}, or one that git ignores."
        )


def _ignored(top: Path, path: str) -> bool:
    # The user's own excludes file counts here as it does when a climb begins.
    try:
        git.run(top, "check-ignore", "--quiet", "--", path, settings=git.QUIET_AS_IGNORED)
    except RungError:
        return False
    return True


def save(file: Path, folder: Path, request: ChangeRequest, trusted: str | None, plan: Plan) -> None:
    """Write a plan to a file."""
    content = {
        "form": FORM,
        "folder": str(folder.absolute()),
        "request": asdict(request),
        "template": trusted,
        "plan": plan.as_data(),
    }
    try:
        file.write_text(json.dumps(content, indent=1, default=str) + "\n", "utf-8")
    except OSError as error:
        raise RungError(f"The plan cannot be written to {file}: {error.strerror}.") from error


def load(file: Path) -> Saved:
    """Read a plan.

    Raises:
        RungError: It is not a Rung plan file.
    """
    try:
        with file.open("rb") as stream:
            text = stream.read(LARGEST + 1)
        content: Any = json.loads(text.decode("utf-8")) if len(text) <= LARGEST else {}
        if content["form"] != FORM:
            raise KeyError
        answers, version = dict(content["request"]["answers"]), content["request"]["version"]
        request = ChangeRequest(answers, version, bool(content["request"]["newest"]))
        trusted, plan = content["template"], dict(content["plan"])
        folder = Path(str(content["folder"]))
        if not isinstance(trusted, str | None) or not isinstance(version, str | None):
            raise TypeError
    except OSError as error:
        raise RungError(f"The plan {file} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RungError(
            f"{file} is not a Rung plan file. Make one with `rung plan --out FILE`."
        ) from error
    return Saved(file, folder, request, trusted, plan)


def refuse_if_moved(plan_file: Saved, now: Plan) -> None:
    """Raise a RungError if anything that the plan depends on has changed since it was made."""
    today = json.loads(json.dumps(now.as_data(), default=str))
    moved = [what for name, what in BOUND.items() if plan_file.plan.get(name) != today[name]]
    if moved:
        raise RungError(
            f"The plan {plan_file.file} was made for another state: {' and '.join(moved)} changed "
            "since.\nNothing was touched. Make a new one with `rung plan --out FILE`, and read it."
        )
