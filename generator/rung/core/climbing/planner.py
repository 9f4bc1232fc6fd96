"""Prepare a plan: the requested change, the templates that it needs, and their merge."""

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung.core import preconditions, transaction
from rung.core.climbing import project_merge
from rung.core.climbing.plan import Plan
from rung.core.rendering import answers_file, template_source, workbench
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.source import Source
from rung.core.transaction import Recovered
from rung.errors import RungError
from rung.levels.answers import check_answers, gather_answers
from rung.levels.ladder import RUNGS
from rung.system import expand_user, git


@dataclass(frozen=True)
class ChangeRequest:
    """What is to change.

    Args:
        answers: New answers by question, `level` among them.
        version: Another version of the template; None: the one the project has.
        newest: Whether to go to the template's newest version.
    """

    answers: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    newest: bool = False

    def command(self, verb: str, path: Path, trusted: str | None) -> str:
        """Return the command that asks for this change."""
        parts = ["rung", verb, *([] if path == Path() else [expand_user.no_option(path)])]
        for name, value in self.answers.items():
            parts += ["--to", str(value)] if name == "level" else ["-d", f"{name}={value}"]
        parts += ["--template-version", self.version] if self.version else []
        parts += ["--template", trusted] if trusted else []
        return shlex.join(parts)


def requested(
    path: Path, to: int | None, pairs: Sequence[str], version: str | None
) -> ChangeRequest:
    """Return the change that the options ask for; without any, the next rung."""
    answers = gather_answers(None, pairs, {"level": to})
    if not answers and version is None:
        git.require()
        transaction.recover_first(
            path
        )  # the level may be another one once an interrupted climb has ended
        here = answers_file.recorded(path.absolute())["level"]
        if here >= RUNGS[-1]:
            raise RungError(
                f"The project is on rung {here}, the highest one.\n"
                "Say where to go with `--to N`, or what to change with `-d QUESTION=ANSWER`."
            )
        answers = {"level": here + 1}
    return ChangeRequest(answers, version)


@dataclass(frozen=True)
class PreparedPlan:
    """A plan, with the bench on which its trees stand.

    Args:
        bench: Where they stand.
        folder: The project.
        prefix: The project's folder within its repository, or nothing.
        plan: The plan.
        recovered: An earlier climb that was ended first, if there was one.
        theirs: Rung's files as the plan would have them.
        base: Rung's files as the project's version of the template renders them.
    """

    bench: Workbench
    folder: Path
    prefix: str
    plan: Plan
    recovered: Recovered | None
    theirs: Mapping[str, Entry]
    base: Mapping[str, Entry]

    def repository_tree(self, tree: str) -> str:
        """Return the repository's tree with the project's folder replaced."""
        return self.bench.grafted(self.plan.head, self.prefix, tree)

    def patch(self) -> str:
        """Return the plan as a patch."""
        arguments = (
            "diff-tree",
            "-r",
            "-p",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--binary",
        )
        return self.bench.git(*arguments, self.plan.head, self.repository_tree(self.plan.result))


@contextlib.contextmanager
def prepare(
    folder: Path, request: ChangeRequest, trusted: str | None = None
) -> Iterator[PreparedPlan]:
    """Lend a plan. The project is not touched, except that an interrupted climb is ended first.

    Args:
        folder: The project.
        request: What is to change.
        trusted: A template to follow besides the one Rung comes with.

    Raises:
        RungError: The project cannot climb; the message says why and what to do.
    """
    git.require()
    folder = folder.absolute()
    recovered = transaction.recover_first(folder)
    recorded = answers_file.recorded(folder)
    top = preconditions.committed(folder)
    head = transaction.head(top)
    if head is None:
        raise RungError(f"{top} has no commit yet. Commit everything, then climb.")
    before = template_source.recorded(recorded, trusted)
    after = _new_template(before, request)
    changed = _checked_answers(folder, request, recorded, after)
    with workbench.opened(top) as bench:
        prefix = git.prefix(bench.top, folder)
        start = project_merge.Start(bench, folder, prefix, head, recorded, changed, before, after)
        made = project_merge.merge(start)
        yield PreparedPlan(bench, folder, prefix, made.plan, recovered, made.theirs, made.base)


def _new_template(before: Source, request: ChangeRequest) -> Source:
    if request.newest and request.version is None:
        return template_source.newest(before)
    return template_source.at(before.address, request.version) if request.version else before


def _checked_answers(
    folder: Path, request: ChangeRequest, recorded: Mapping[str, Any], after: Source
) -> dict[str, Any]:
    """Return the requested answers, once the questions accept them."""
    changed = dict(request.answers)
    check_answers(changed, after.read("levels/questions.yml"))
    if "level" in changed:
        changed["level"] = int(changed["level"])
        if changed["level"] not in RUNGS:
            raise RungError(
                f"There is no rung {changed['level']}. Choose one from {RUNGS[0]} to {RUNGS[-1]}."
            )
    preconditions.has_package(folder, str(changed.get("package", recorded["package"])))
    return changed
