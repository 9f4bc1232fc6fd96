"""The texts of a plan, of a climb's commit and of its outcome."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.core.climbing.plans import LOCK, Plan
from rung.core.merging import conflict as conflict_reasons
from rung.core.merging.conflict import Conflict, Hunk
from rung.core.transaction import ON_NO_BRANCH, UNDO
from rung.system.printable import printable

SHOWN = 6  # lines of each side of a conflict
LEFT_ALONE = "Yours, and left alone"
FIRST_ANSWERS = "Answered for the first time (`-d QUESTION=ANSWER` answers otherwise)"
LEAVE = "`rung climb` does it only with `--leave-governance`: let those decide who answer for the model."
MANY = 20  # files; a folder with more is listed by its name and their number
REASONS = {
    conflict_reasons.LINES: "you and Rung changed the same lines",
    conflict_reasons.BINARY: "you and Rung both changed this binary file",
    conflict_reasons.KIND: "it is a file on one side, and a folder or a link on the other",
    conflict_reasons.UNREADABLE: "the lines merge, and the result cannot be parsed",
}


def plan(planned: Plan) -> str:
    """Say what a climb would do."""
    if planned.changes_nothing:
        return nothing(planned)
    lines = [*leaving(planned), title(planned) + ":"]
    merged = {path: f"{path} (merged key by key)" for path in planned.by_key}
    lines += _group("Added", "+", _folded(planned.added))
    lines += _group("Changed", "~", _folded(planned.changed, merged) + _lock(planned))
    lines += _group("Retired", "-", _folded(planned.retired))
    lines += _group(LEFT_ALONE, ".", left_alone(planned))
    if planned.conflicts:
        lines += ["", "Conflicts:"]
        lines += [line for met in planned.conflicts for line in conflict(met)]
    lines += _group("New dependencies", "+", planned.dependencies)
    lines += _group(
        "New commands", "+", [f"{run}: {does}" for run, does in planned.commands.items()]
    )
    lines += _group(
        "Commands that do something else",
        "~",
        [f"{run}: {does}" for run, does in planned.altered.items()],
    )
    lines += _group("New CI jobs", "+", planned.jobs)
    lines += ["", *ejection(planned)] if ejection(planned) else []
    lines += _group(FIRST_ANSWERS, "=", first_answers(planned))
    lines += _group("Once, after the climb", "*", _once(planned))
    lines += _group("The team brings", "*", planned.asks)
    for rise in planned.rises:
        lines += ["", *_wrap(f"Rung {rise.level}, {rise.title}: {rise.promise}", "")]
        lines += _wrap(f"It costs {rise.cost}", "  ")
        lines += _wrap(f"Once there, stay while {rise.stay}", "  ")
    return "\n".join(lines)


def leaving(planned: Plan) -> list[str]:
    """Return what leaving governance takes away, to be said first; nothing of another climb."""
    if not planned.leaves_governance:
        return []
    text = (
        "This leaves governance. No version needs a validator's approval any more, the service answers "
        "with whatever is deployed, and nothing is written into a signed audit log. Records, plans, "
        "the approval job, and the lines by which risk reviews what approves are among what is "
        f"retired and changed. {LEAVE}"
    )
    return [*_wrap(text, ""), ""]


def plan_as_json(planned: Plan) -> str:
    """Return what a climb would do, for programs."""
    return _json(planned.as_data())


def _folded(paths: Sequence[str], names: Mapping[str, str] = {}) -> list[str]:
    """Return the paths; a folder with MANY of them is one entry with their number."""
    tops = [path.partition("/")[0] for path in paths]
    many = {top for top in tops if tops.count(top) > MANY}
    lines = [
        f"{top}/ ({tops.count(top)} files)" if top in many else names.get(path, path)
        for top, path in zip(tops, paths, strict=True)
    ]
    return list(dict.fromkeys(lines))


def _lock(planned: Plan) -> list[str]:
    return [f"{LOCK} (uv locks the packages anew)"] if planned.locks else []


def _once(planned: Plan) -> list[str]:
    """Return the commands to run once after a climb, with the reason."""
    return [f"{run}: {until}" for rise in planned.rises for run, until in rise.once.items()]


def ejection(planned: Plan) -> list[str]:
    """Return lines about a change between wheel and source, if there is one (decision 31)."""
    before, after = (
        bool(state.answers.get("ejected")) for state in (planned.before, planned.after)
    )
    if before == after:
        return []
    lines = ["The library rung-ops is now source of yours, in machinery/, instead of the wheel in"]
    lines += ["vendor/. `rung update` merges it with newer versions."]
    if before:
        lines = ["The library rung-ops is the wheel in vendor/ again."]
    if planned.after.level >= 2:
        lines += ["Every stage depends on it, so `uv run poe pipeline` runs all of them once more."]
    return lines


def first_answers(planned: Plan) -> list[str]:
    """Return the answers to questions that did not matter before (decision 37)."""
    names = sorted(planned.after.answers.keys() - planned.before.answers.keys() - {"ejected"})
    return [f"{name}: {planned.after.answers[name]}" for name in names]


def title(planned: Plan) -> str:
    """Say in one line what changes: the rung, the answers, the template."""
    before, after = planned.before, planned.after
    changes = (
        [f"From rung {before.level} to rung {after.level}"] if before.level != after.level else []
    )
    changes += [
        f"{name} from {value} to {after.answers[name]}"
        for name, value in before.answers.items()
        if name not in ("level", "ejected") and after.answers.get(name, value) != value
    ]
    ejected = bool(after.answers.get("ejected"))
    if bool(before.answers.get("ejected")) != ejected:
        changes.append(
            "library from wheel to source" if ejected else "library from source to wheel"
        )
    if before.version != after.version:
        changes.append(f"the template from {before.version} to {after.version}")
    text = printable(", ".join(changes)) or f"On rung {after.level}"
    return text[0].upper() + text[1:]


def nothing(planned: Plan) -> str:
    """Say that there is nothing to do."""
    return f"The project is already on rung {planned.after.level}. Nothing would change."


def left_alone(planned: Plan) -> list[str]:
    """Return the files that a climb leaves alone, with the reason."""
    entries = [f"{path} (you edited it; the new rung has no such file)" for path in planned.kept]
    entries += [f"{path} (you deleted it)" for path in planned.gone]
    entries += [f"{path} (your own; Rung's file of that name is left out)" for path in planned.own]
    entries += [
        f"{path} (an untracked file is there; Rung's file of that name is left out)"
        for path in planned.ignored
    ]
    entries += [f"{path} (yours before Rung had one like it)" for path in planned.had]
    entries += [f"{path} (you edited it)" for path in planned.edited]
    entries += [f"{new} (Rung's {old}, renamed by you)" for old, new in planned.renamed.items()]
    return entries + ([f"your own files: {planned.yours}"] if planned.yours else [])


def conflict(conflict: Conflict) -> list[str]:
    """Return lines that show the conflicts of a file, with both sides."""
    lines = [f"  ! {printable(conflict.path)}: {REASONS[conflict.why]}"]
    for hunk in conflict.hunks:
        lines.append(f"      line {hunk.line}")
        lines += _sides(hunk)
    return lines


def _sides(hunk: Hunk) -> list[str]:
    shown = []
    for name, text in (("yours", hunk.ours), ("rung ", hunk.theirs)):
        lines = text.splitlines() or ["(nothing)"]
        shown += [f"      {name} | {printable(line)}" for line in lines[:SHOWN]]
        if len(lines) > SHOWN:
            shown.append(f"      {name} | ... and {len(lines) - SHOWN} more lines")
    return shown


def message(planned: Plan) -> str:
    """Return the message of the commit: the new rung or answers, and what they add."""
    before, after = planned.before, planned.after
    if before.level < after.level:
        names = [rise.title for rise in planned.rises if rise.level == after.level]
        subject = f"Climb to rung {after.level}" + "".join(f": {name}" for name in names)
    elif before.level > after.level:
        subject = f"Come down to rung {after.level}"
    elif before.version != after.version:
        subject = f"Update Rung's files to {after.version}"
    elif before.answers.get("ejected") != after.answers.get("ejected"):
        subject = "Eject the library" if after.answers.get("ejected") else "Undo the ejection"
    else:
        subject = "Change answers: " + ", ".join(
            f"{name}={value}"
            for name, value in after.answers.items()
            if before.answers.get(name) != value
        )
    counts = (len(planned.added), len(planned.changed), len(planned.retired))
    body = f"{title(planned)}. Files: {counts[0]} added, {counts[1]} changed, {counts[2]} retired."
    parts = [printable(subject)[:100], "\n".join(textwrap.wrap(body, 72))]
    if planned.commands:
        parts.append("New commands:\n" + "\n".join(f"- {run}" for run in planned.commands))
    if planned.altered:
        parts.append(
            "Commands that do something else:\n"
            + "\n".join(
                textwrap.fill(f"- {run}: {does}", 72, subsequent_indent="  ")
                for run, does in planned.altered.items()
            )
        )
    if planned.locks:
        parts.append(f"{LOCK} is uv's, for the packages that changed.")
    if planned.kept:
        parts.append(
            "Kept, as they were edited:\n"
            + "\n".join(f"- {printable(path)}" for path in planned.kept)
        )
    return "\n\n".join(parts) + "\n"


@dataclass(frozen=True)
class Outcome:
    """What came of a plan.

    Args:
        plan: The plan.
        commit: The new commit; None: nothing was written.
        branch: The new branch that it is on; None: the current one.
        passed: Whether the project's checks passed; None: they were not run.
        detached: Whether HEAD is detached, so that there is no branch to go back to.
        news: What the changelog says of it.
    """

    plan: Plan
    commit: str | None = None
    branch: str | None = None
    passed: bool | None = None
    detached: bool = False
    news: str = ""


def as_json(outcome: Outcome) -> str:
    """Return an outcome for programs: the plan's data, and what came of it."""
    came = {
        "commit": outcome.commit,
        "branch": outcome.branch,
        "checks_passed": outcome.passed,
        "changelog": outcome.news,
    }
    return _json(outcome.plan.as_data() | came)


def _json(data: Mapping[str, Any]) -> str:
    # `##[` and `##vso[` anywhere in a line are commands to Azure Pipelines.
    return json.dumps(data, indent=2, default=str).replace("##", r"\u0023#")


def text(outcome: Outcome) -> str:
    """Return an outcome for people."""
    if outcome.commit is None:
        return plan(outcome.plan)
    if outcome.branch is not None:
        return branched(outcome)
    return done(outcome)


def done(outcome: Outcome) -> str:
    """Say what a climb did, and the next commands."""
    planned = outcome.plan
    lines = [title(planned) + ":"]
    changed = [*_folded(planned.changed), *_lock(planned)]
    signs = (
        ("+", _folded(planned.added)),
        ("~", changed),
        ("-", _folded(planned.retired)),
        (".", left_alone(planned)),
    )
    lines += [f"  {sign} {printable(entry)}" for sign, entries in signs for entry in entries]
    lines += ["", *ejection(planned)] if ejection(planned) else []
    lines += ["", f"Committed as {str(outcome.commit)[:10]}. Look at it with `git show`; next:"]
    lines.append("  uv sync")
    if outcome.passed is None:
        lines.append("  uv run poe check")
        lines.append(
            "  git add uv.lock && git commit --amend --no-edit   # the lock file belongs to it"
        )
    if once := _once(planned):
        lines += ["Once, then:", *(line for entry in once for line in _wrap(entry, "  "))]
    lines.append(f"To go back: `{UNDO}`, as long as nothing is on top.")
    lines += [ON_NO_BRANCH] if outcome.detached else []
    return "\n".join(lines)


def branched(outcome: Outcome) -> str:
    """Say how to finish a climb on its own branch, and how to discard it."""
    planned, name, detached = outcome.plan, outcome.branch, outcome.detached
    here = "HEAD" if detached else "your own branch"
    lines = [title(planned) + f", on the branch `{name}`; {here} and your files are as they were."]
    steps = [f"git switch {name}"]
    if planned.conflicts:
        lines += ["", "To decide there:"]
        lines += [line for met in planned.conflicts for line in conflict(met)]
        steps += [
            "(edit these files: keep what you want of `yours` and `rung`, remove the markers;",
            " where PATH.rung is beside a file it is Rung's version, or PATH.rung-2 if you have",
            " a PATH.rung: delete it in the end)",
        ]
    elif outcome.passed is False:
        lines += ["", "The project's checks do not pass there; their output is above."]
        steps += ["(correct what they name)"]
    if not outcome.passed:
        steps += ["uv sync && uv run poe check", "git add --all && git commit --amend --no-edit"]
    if once := _once(planned):
        lines += ["", "Once, after it:", *(line for entry in once for line in _wrap(entry, "  "))]
    if not detached:
        steps += [f"git switch - && git merge --ff-only {name}", f"git branch -d {name}"]
    lines += ["", "To finish:", *(f"  {step}" for step in steps)]
    lines += ["To give up:", f"  git branch -D {name}"]
    return "\n".join(lines)


def stopped(planned: Plan, command: str) -> str:
    """Say that nothing was written because of conflicts, and how to go on."""
    lines = [conflict_reasons.NO_FILES_CHANGED]
    lines += [line for met in planned.conflicts for line in conflict(met)]
    lines += [
        "",
        "Change your side, commit, and climb again; or resolve the conflict on a branch:",
        f"  {printable(command)} --branch climb",
    ]
    return "\n".join(lines)


def _group(name: str, sign: str, entries: list[str]) -> list[str]:
    if not entries:
        return []
    return ["", f"{name}:", *(f"  {sign} {printable(entry)}" for entry in entries)]


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 96, initial_indent=indent, subsequent_indent=indent)
