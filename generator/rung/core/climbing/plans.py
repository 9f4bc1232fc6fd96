"""A requested change, the plan of a climb for it, and a plan in a file: data, from which nothing is printed.

A saved plan is applied only while HEAD, template, answers and outcome are the same.
"""

import contextlib
import json
import os
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rung import options
from rung.core import level_contents
from rung.core.merging.conflict import Conflict
from rung.core.rendering.workbench import Files, Workbench
from rung.core.template_source import Source
from rung.errors import RungError
from rung.system import git

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
    """A change that the user requests: answers, `level` among them, or a version of the template."""

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
    """The template and the answers of a project; `commit` is None if the template is not here."""

    template: str
    version: str
    commit: str | None
    answers: Mapping[str, Any]

    @property
    def level(self) -> int:
        """Return the rung."""
        return int(self.answers["level"])

    @property
    def ejected(self) -> bool:
        """Say whether it runs on the library's source (decision 31)."""
        return bool(self.answers.get("ejected"))


@dataclass(frozen=True)
class Rise:
    """A rung on the way up; `once` says what is so until a command has run once after the climb."""

    level: int
    title: str
    promise: str
    cost: str
    stay: str
    once: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a climb would do; paths are relative to the project."""

    head: str  # the commit it starts from
    before: ProjectState
    after: ProjectState
    result: str  # the tree that the project's folder would have; with conflicts, a draft
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    # The user's names of Rung's files, by Rung's names.
    renamed: dict[str, str] = field(default_factory=dict)
    # Files that Rung retires and the user has edited; they stay.
    kept: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)  # files that the user deleted; they stay away
    # Files of the user's with the name of one that Rung adds; Rung's are left out.
    own: list[str] = field(default_factory=list)
    # Files of Rung's that are left out, since an untracked file has the name.
    ignored: list[str] = field(default_factory=list)
    # Paths that existed in the user's repository before Rung added the same path; they stay.
    earlier: list[str] = field(default_factory=list)
    # Files of Rung's that the user has edited and the climb leaves alone.
    edited: list[str] = field(default_factory=list)
    yours: int = 0  # how many files are the user's alone
    by_key: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    dependencies: list[str] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    # Commands that do something else than before, with what they do.
    altered: dict[str, str] = field(default_factory=dict)
    locks: bool = False  # whether the climb changes what uv.lock, which the project has, says
    jobs: list[str] = field(default_factory=list)
    asks: list[str] = field(default_factory=list)  # what the team has to bring
    # What answers name, and the project does not have.
    missing: list[str] = field(default_factory=list)
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
        data = asdict(self)
        return data | {"had": data.pop("earlier")}  # as programs and saved plans know it


def dependencies(bench: Workbench, before: Files, after: Files) -> list[str]:
    """Return the requirements of pyproject.toml whose packages were not required before."""
    old, new = (_requirements(bench, files) for files in (before, after))
    return [line for name, line in sorted(new.items()) if name not in old]


def locks(bench: Workbench, before: Files, after: Files) -> bool:
    """Say whether uv.lock has to change: a requirement, or a wheel in the project, does."""
    return LOCK in after and _locked(bench, before) != _locked(bench, after)


def _locked(bench: Workbench, files: Files) -> list[Any]:
    """Return what uv.lock depends on: the wheels, and parts of pyproject.toml."""
    data = _pyproject(bench, files)
    project, tool = _table(data, "project"), _table(data, "tool")
    names = ("name", "version", "requires-python", "dependencies", "optional-dependencies")
    own = [project.get(name) for name in names]
    wheels = {path: entry for path, entry in files.items() if path.endswith(".whl")}
    return [wheels, *own, data.get("dependency-groups"), tool.get("uv")]


def _requirements(bench: Workbench, files: Files) -> dict[str, str]:
    data = _pyproject(bench, files)
    lists = [_table(data, "project").get("dependencies")]
    lists += _table(data, "dependency-groups").values()
    packages: dict[str, str] = {}
    for line in (line for lines in lists if isinstance(lines, list) for line in lines):
        with contextlib.suppress(InvalidRequirement, TypeError):
            packages[str(canonicalize_name(Requirement(line).name))] = str(line)
    return packages


def _pyproject(bench: Workbench, files: Files) -> dict[str, Any]:
    try:
        return tomllib.loads(bench.content(files.get("pyproject.toml")).decode("utf-8"))
    except ValueError:
        return {}


def _table(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name)
    return table if isinstance(table, dict) else {}


def jobs(source: Source, added: Iterable[str]) -> list[str]:
    """Return the new files that a CI vendor of the template runs."""
    vendors = level_contents.vendors(source).values()
    return [path for path in added if any(vendor.runs(path) for vendor in vendors)]


def new_contents(source: Source, before: ProjectState, after: ProjectState) -> dict[str, Any]:
    """Return the rungs on the way up, and the commands and requirements that are new or altered."""
    now = level_contents.contents(source, before.answers)
    then = level_contents.contents(source, after.answers)
    known = now.asks + now.answers_ask
    rises = [
        Rise(
            **{name: rung[name] for name in ("level", "title", "promise", "cost", "stay")},
            once={first["run"]: first["until"] for first in rung.get("once", [])},
        )
        for rung in then.rungs[before.level + 1 :]
    ]
    commands = then.commands.items()
    return {
        "rises": rises,
        "commands": {run: does for run, does in commands if run not in now.commands},
        "altered": {run: does for run, does in commands if now.commands.get(run, does) != does},
        "asks": [ask for ask in then.asks + then.answers_ask if ask not in known],
    }


Form = Literal["rung plan 1"]
(FORM,) = get_args(Form)


class Saved(msgspec.Struct, frozen=True):
    """A plan read from a file, with the project and the change that it was made for.

    `template` is one that the user trusts.
    """

    form: Form
    folder: str
    request: ChangeRequest
    template: str | None
    plan: dict[str, Any]
    file: str = ""


def refuse_output(file: Path, folder: Path) -> None:
    """Raise a RungError if a plan would overwrite another file, or be a change that stops the climb."""
    if os.path.lexists(file):
        try:
            load(file)
        except RungError as error:
            raise RungError(
                f"{file} exists and is not a plan, so it was not overwritten. Name another file."
            ) from error
    top = git.repository_above(folder)
    if top is None or not file.resolve().is_relative_to(top.resolve()):
        return
    inside = file.resolve().relative_to(top.resolve())
    # The user's own excludes file counts here as it does when a climb begins.
    ignoring = ("check-ignore", "--quiet", "--", inside.as_posix())
    not_ignored = git.completed(top, *ignoring, settings=git.QUIET_AS_IGNORED).returncode
    if inside.parts[0] != ".git" and not_ignored:
        raise RungError(
            f"{file} is in the project, and would be a change in it that stops the climb.\n"
            f"Name a file outside of {top}, or one that git ignores."
        )


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
    """Read a plan; raise a RungError if the file is none."""
    try:
        if file.exists() and not file.is_file():  # a pipe would block
            raise ValueError(file)
        with file.open("rb") as stream:
            # Names that are not UTF-8 are surrogates here, which msgspec does not decode.
            saved = msgspec.convert(json.loads(stream.read(LARGEST)), Saved)
    except OSError as error:
        raise RungError(f"The plan {file} cannot be read: {error.strerror}.") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RungError(
            f"{file} is not a Rung plan file. Make one with `rung plan --out FILE`."
        ) from error
    return msgspec.structs.replace(saved, file=str(file))


def refuse_if_moved(plan_file: Saved, now: Plan) -> None:
    """Raise a RungError if anything that the plan depends on has changed since it was made."""
    today = json.loads(json.dumps(now.as_data(), default=str))
    moved = [what for name, what in BOUND.items() if plan_file.plan.get(name) != today[name]]
    if moved:
        raise RungError(
            f"The plan {plan_file.file} was made for another state: {' and '.join(moved)} changed "
            "since.\nNothing was touched. Make a new one with `rung plan --out FILE`, and read it."
        )
