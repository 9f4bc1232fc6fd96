"""A witness of the audit log: a branch of the git remote, on which each signed end of it is noted.

Who holds the key and the disk of a log can rewrite it, so that it fits itself. They cannot take
back what a remote has, where its branch `audit-log/ENVIRONMENT` forbids force pushes and deletion. A
note is a commit without files; its message names a line's number and hash.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rung_governance.approval import plan, signed_approval, signed_log
from rung_ops.project import current
from rung_ops.system import git
from rung_ops.system.git import GitError

BRANCH = "audit-log"
SECONDS = 30  # for a remote to answer
# Hosts of repositories start no job for such a commit.
NOTE = re.compile(r"(\d+):([0-9a-f]{64}) \[skip ci\]")


class Note(NamedTuple):
    """What was noted: that the log had so many lines, the last with this hash; when and by whom."""

    lines: int
    head: str
    at: str
    by: str


def remote() -> str | None:
    """Name the remote that keeps the notes; None if there is none, or the plan wants none."""
    wanted = plan.approval_terms().witness
    try:
        known = _git("remote").split()
    except GitError:
        return None
    return wanted if wanted in known else None


def compared(folder: Path) -> tuple[list[str], str]:
    """Hold the log of an environment against its notes: those at the remote, or else those seen.

    Returns:
        What does not fit, each a sentence; and with which notes it was not compared and why, empty
        where it was, or where there are none.
    """
    name, (_, kept) = plan.approval_terms().witness, _names(folder)
    why = f"there is no remote {name}"
    try:
        if _tip("HEAD") and not signed_approval.is_as_committed(plan.path()):
            raise GitError("the plan, which names them, is not as it is committed")
        if remote() == name:
            return problems(folder, name), ""
        if name == plan.NO_WITNESS or not _tip(kept):
            return [], ""
    except GitError as error:
        why = str(error)
    seen = list(_unfitting(folder, name, kept)) if _tip(kept) else []
    return seen, f"the notes at {name}: {why}"


def problems(folder: Path, name: str) -> list[str]:
    """Say where the log of an environment does not fit the notes at a remote, which has to answer."""
    branch, kept = _names(folder)
    before, now = _tip(kept), _fetched(name, branch)
    if before and (not now or not _contains(now, before)):
        what = "was rewritten" if now else "is gone"
        return [f"{branch} at {name} {what}: protect it, and see `git log {kept}` for its notes"]
    if not now:
        return []
    _git("update-ref", kept, now)
    return list(_unfitting(folder, name, kept))


def note(folder: Path, by: str) -> str:
    """Note the last signed line of an environment's log at the remote, unless it is there.

    Return why it is not noted; empty when it is, or where there is no remote to note it at.
    """
    name, last = remote(), signed_log.last_anchor(folder)
    if name is None or last is None or not last.head:
        return ""
    why = ""
    for _ in range(2):  # somebody else may note something in between
        try:
            if why := "; ".join(problems(folder, name)):
                break
            _push(folder, name, f"{last.lines}:{last.head} [skip ci]", by)
            return ""
        except GitError as error:
            why = str(error)
    return (
        f"The audit log of {folder.name} is not noted at {name}: {why}. Until it is, no one knows "
        "whether lines at its end were taken out together with their signatures."
    )


def notes(kept: str) -> list[Note]:
    """Read the notes of a branch, the newest first."""
    notes = []
    for line in _git("log", "--format=%s%x09%cI%x09%cn", kept).splitlines():
        subject, at, by = line.split("\t", 2)
        if made := NOTE.fullmatch(subject):
            notes.append(Note(int(made[1]), made[2], at, by))
    return notes


def _unfitting(folder: Path, name: str, kept: str) -> Iterator[str]:
    lines = signed_log.anchored_hashes(folder)
    for each in notes(kept):
        noted = f"{name} has a note of {each.at} by {each.by}"
        if each.lines > len(lines):
            yield f"{noted} of {each.lines} lines, and {len(lines)} are there: the end was cut off"
        elif each.lines < 1 or lines[each.lines - 1] != each.head:
            yield f"{noted} with another line {each.lines}: the log was rewritten"


def _push(folder: Path, name: str, message: str, by: str) -> None:
    branch, kept = _names(folder)
    tip = _tip(kept)
    if tip and _git("log", "-1", "--format=%s", tip) == message:
        return
    empty = _git("hash-object", "-t", "tree", "-w", "--stdin")
    person = {"NAME": by, "EMAIL": f"{BRANCH}@{folder.name}.invalid"}
    who = {f"GIT_{role}_{key}": person[key] for role in ("AUTHOR", "COMMITTER") for key in person}
    made = _git("commit-tree", empty, *(("-p", tip) if tip else ()), "-m", message, **who)
    _git("push", "--quiet", "--no-verify", name, f"{made}:refs/heads/{branch}")
    _git("update-ref", kept, made)


def _fetched(name: str, branch: str) -> str:
    """Fetch the branch, whatever it holds now; return its last commit, empty if there is none."""
    head = _git("ls-remote", name, f"refs/heads/{branch}").partition("\t")[0]
    if head:
        # CI's jobs have something of their own in FETCH_HEAD.
        _git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", name, f"refs/heads/{branch}")
    return head


def _names(folder: Path) -> tuple[str, str]:
    """Name the branch at the remote, and where this clone keeps what it saw of it."""
    return f"{BRANCH}/{folder.name}", f"refs/{BRANCH}/{folder.name}"


def _tip(kept: str) -> str:
    try:
        return _git("rev-parse", "--quiet", "--verify", kept)
    except GitError:
        return ""


def _contains(tip: str, before: str) -> bool:
    try:
        _git("merge-base", "--is-ancestor", before, tip)
    except GitError:
        return False
    return True


def _git(*arguments: str, **variables: str) -> str:
    variables = {"GIT_TERMINAL_PROMPT": "0"} | variables
    return git.output(current().root, *arguments, variables=variables, seconds=SECONDS).strip()
