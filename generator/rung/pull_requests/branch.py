"""A climb or an update of a repository: a branch that is made in a clone and pushed, and its request.

The branch's commit says what it holds, so that a second run leaves it as it is, renews it, or leaves it
to those who have committed to it.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rung.check.fleet import clones
from rung.check.fleet.repositories import Repository
from rung.core.climbing import apply, messages, planner
from rung.core.climbing.planner import PreparedPlan
from rung.core.climbing.plans import ChangeRequest, Plan
from rung.core.commands.update import NEWS, news
from rung.core.rendering import answers_file
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.pull_requests import hosts
from rung.system import git
from rung.system.printable import printable_lines

# A line of the commit's message: planned tree, how the checks ended, its own tree, its parent.
MARK = "Rung-Plan"
BEFORE = "refs/rung/before"  # in the clone: the branch as the repository has it
SIGNS = ("config", "--type=bool", "--get", "commit.gpgSign")
# What a project's checks must not see: it may open requests in all repositories of the fleet.
TOKEN = re.compile(
    r"(GH|GITHUB|GITLAB|CI_JOB|RUNG|OAUTH)(_\w+)?_TOKEN|CI_REPOSITORY_URL|CI_\w+_PASSWORD"
)
ALIAS = re.compile(r"[\w.-]{2,}:")  # of a host in ~/.ssh/config; a letter is a drive of Windows
LONGEST = 60_000  # bytes of a description; GitHub takes 65,536 characters
SHOWN = 40  # last lines of the output of failing checks
# How the checks ended, or why they were not run, with the first words of the description.
STATES = {
    "passed": "`poe check` passed on this branch, and `uv.lock` is as it needs it.",
    "unchecked": "Not checked: run `uv sync && uv run poe check`, and commit `uv.lock`.",
    "failing": "**The project's checks do not pass on this branch.** The end of their output:",
    "conflicting": "**To decide: you and Rung changed the same in {}.** *Conflicts* shows both sides.",
}
DECIDE = [
    "git fetch origin {0} && git switch {0}",
    *(f"# {line}" for line in messages.RESOLVE),
    "uv sync && uv run poe check",
    "git add --all && git commit --message Decide && git push",
]
FOOT = "Made by `rung fleet`. Its next run renews this branch, unless somebody else has committed to it."


@dataclass(frozen=True)
class Task:
    """What is to be done in each repository, and on which branch."""

    change: ChangeRequest
    branch: str
    trusted: str | None
    verify: bool


def bring(repository: Repository, task: Task) -> tuple[str, str]:
    """Do a task in a clone of a repository; return a word for the outcome, and more.

    An error is an outcome, too.
    """
    log = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(log),
            clones.cloned(url := _url(repository)) as clone,
        ):
            if not (clone / ANSWERS).is_file():
                return "skipped", f"its root has no {ANSWERS}"
            level = answers_file.recorded(clone)["level"]
            if level >= task.change.answers.get("level", level + 1):
                return "up to date", f"on rung {level}"
            with planner.prepare(clone, task.change, task.trusted) as prepared:
                if prepared.plan.changes_nothing:
                    return "up to date", f"template {prepared.plan.after.version}"
                return _brought(url, task, prepared, log)
    except RungError as error:
        return "failed", " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 an error must not end the work on the others
        return "failed", f"{type(error).__name__}: {error}"


def _url(repository: Repository) -> str:
    if repository.url:
        return repository.url
    if not repository.folder.is_dir():
        raise RungError(f"{repository.folder.absolute()} is not a folder.")
    url = git.output(repository.folder, "config", "--get", "remote.origin.url")
    if not url:
        raise RungError(f"{repository.folder} has no remote `origin` to open a request in.")
    if clones.is_url(url):
        return url
    # The user's git may name a server in the place of a short word.
    url = git.run(repository.folder, "ls-remote", "--get-url", "origin").strip()
    is_path = not (clones.is_url(url) or ALIAS.match(url))
    return str(repository.folder.absolute() / url) if is_path else url


def _brought(url: str, task: Task, prepared: PreparedPlan, log: io.StringIO) -> tuple[str, str]:
    """Make, push and request the branch, as far as an earlier run has not done it."""
    clone, plan = prepared.bench.top, prepared.plan
    default = git.run(clone, "symbolic-ref", "--short", "HEAD").strip()
    if default == task.branch:
        raise RungError(f"`{default}` is the default branch, to which nothing is pushed.")
    ref = f"refs/heads/{task.branch}"
    if ref in clones.reach(clone, url, "ls-remote", "--heads", "origin", ref):
        clones.reach(clone, url, "fetch", "--quiet", "--no-tags", "origin", f"+{ref}:{BEFORE}")
    tip = git.revision(clone, BEFORE) or ""
    before = mark = _mark(clone) if tip else []
    if tip and not before:
        return "left alone", f"others have committed to {task.branch}; merge or delete it"
    final = ("passed", "conflicting") if task.verify else ("passed", "conflicting", "unchecked")
    if [plan.result, plan.head] != before[::3] or before[1] not in final:
        mark = _committed(clone, task, prepared)

    def push() -> str:
        commit, lease = _final(clone, plan, mark), f"--force-with-lease={ref}:{tip}"
        return clones.reach(clone, url, "push", lease, "origin", f"{commit}:{ref}")

    request = hosts.Request(
        url,
        task.branch,
        default,
        title=messages.message(plan).partition("\n")[0],
        body=_description(plan, task.branch, mark[1], log.getvalue()),
        draft=mark[1] in ("failing", "conflicting"),
    )
    word, text = hosts.requested(request, clone, push if mark != before else None)
    return word, f"{text} (draft: {mark[1]})" if request.draft else text


def _mark(clone: Path) -> list[str]:
    """Return the mark of the branch's last commit; nothing if it is not as Rung made it."""
    form = f"--format=%T %P%n%(trailers:key={MARK},valueonly)"
    facts, _, value = git.run(clone, "log", "-1", form, BEFORE).partition("\n")
    mark = value.split()
    return mark if len(mark) == 4 and mark[2:] == facts.split() else []


def _committed(clone: Path, task: Task, prepared: PreparedPlan) -> list[str]:
    """Apply the plan on the branch in the clone, checks included; return its mark."""
    plan = prepared.plan
    with _without_tokens():
        commit, passed = apply.climb_on_branch(
            prepared, task.branch, messages.message(plan), verify=task.verify
        )
    state = {True: "passed", False: "failing", None: "unchecked"}[passed]
    tree = git.run(clone, "rev-parse", f"{commit}^{{tree}}").strip()
    return [plan.result, "conflicting" if plan.conflicts else state, tree, plan.head]


def _final(clone: Path, plan: Plan, mark: list[str]) -> str:
    """Commit a tree with its mark, signed where the user's git signs commits."""
    signs = git.completed(clone, *SIGNS, settings={}).stdout.strip() == b"true"
    identity = {} if git.has_identity(clone) else git.RUNG_IDENTITY
    return git.run(
        clone,
        *("commit-tree", mark[2], "-p", plan.head, *(["-S"] if signs else [])),
        settings=git.QUIET | identity,
        stdin=f"{messages.message(plan)}\n{MARK}: {' '.join(mark)}\n",
    ).strip()


@contextlib.contextmanager
def _without_tokens() -> Iterator[None]:
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if TOKEN.fullmatch(name)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _description(plan: Plan, branch: str, state: str, output: str) -> str:
    """Return the description: what to decide, the plan, the changelog."""
    parts = [STATES[state].format(", ".join(f"`{conflict.path}`" for conflict in plan.conflicts))]
    if state == "conflicting":
        parts.append(_fenced("\n".join(DECIDE).format(branch)))
    if state == "failing":
        parts.append(_fenced("\n".join(output.splitlines()[-SHOWN:])))
    parts += ["What changes:", _fenced(messages.plan(plan))]
    if comes := news(plan):
        parts += [NEWS, comes]
    text = printable_lines("\n\n".join([*parts, FOOT]))
    return text.encode()[:LONGEST].decode(errors="ignore")


def _fenced(block: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", block)), default=0))
    return f"{fence}text\n{block}\n{fence}"
