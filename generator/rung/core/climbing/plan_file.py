"""A saved plan: it is applied only while HEAD, template and answers are unchanged."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rung.core.climbing.plan import Plan
from rung.core.climbing.planner import ChangeRequest
from rung.errors import RungError
from rung.system import git

FORM = "rung plan 1"
LARGEST = 4_000_000  # bytes
# What a plan is bound to, and how it is called where it has moved.
BOUND = {
    "head": "the project's last commit",
    "before": "the project's answers or its template",
    "after": "the answers or the template to come",
    "result": "what the climb would give",
}


@dataclass(frozen=True)
class Saved:
    """A plan read from a file.

    Args:
        file: Which.
        folder: The project it was made for.
        request: What was to change.
        trusted: The template that the person trusts.
        plan: The plan as data.
    """

    file: Path
    folder: Path
    request: ChangeRequest
    trusted: str | None
    plan: dict[str, Any]


def has_room(file: Path, folder: Path) -> None:
    """Raise a RungError if a plan for a project must not be written to a file.

    Something else would be overwritten, or the plan would itself be a change that stops the climb.
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
    # What the person's own file ignores counts too, as it does when a climb begins.
    try:
        git.run(top, "check-ignore", "--quiet", "--", path, settings=git.QUIET_AS_IGNORED)
    except RungError:
        return False
    return True


def save(file: Path, folder: Path, request: ChangeRequest, trusted: str | None, plan: Plan) -> None:
    """Write a plan down."""
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


def bound(plan_file: Saved, now: Plan) -> None:
    """Raise a RungError if anything that the plan depends on has changed since it was made."""
    today = json.loads(json.dumps(now.as_data(), default=str))
    moved = [what for name, what in BOUND.items() if plan_file.plan.get(name) != today[name]]
    if moved:
        raise RungError(
            f"The plan {plan_file.file} was made for another state: {' and '.join(moved)} changed "
            "since.\nNothing was touched. Make a new one with `rung plan --out FILE`, and read it."
        )
