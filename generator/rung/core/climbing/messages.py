"""The texts of a plan, of a climb's commit and of its outcome."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.core.climbing.plans import LOCK, Plan
from rung.core.merging import conflict as conflict_reasons
from rung.core.transaction import ON_NO_BRANCH, UNDO
from rung.levels.ladder import BRINGS, HEADING
from rung.system import terminal
from rung.system.printable import printable

SHOWN = 6  # lines of each side of a conflict
LEFT_ALONE = "Yours, and left alone"
FIRST_ANSWERS = "Answered for the first time (`-d QUESTION=ANSWER` answers otherwise)"
LEAVE = (
    "`rung climb` does it only with `--leave-governance`: those responsible for the model decide."
)
RESOLVE = (
    "keep what you want from `yours` and `rung`, remove the markers;",
    "where PATH.rung is next to a file it is Rung's version, or PATH.rung-2 if you have",
    "a PATH.rung: delete it in the end",
)
DO_OTHER = "Commands that do something else"
FROM_TO = "From rung {} to rung {}"
ADDED, JOBS = "Added", "New CI jobs"
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
        return f"The project is already on rung {planned.after.level}. Nothing would change."
    merged = {path: f"{path} (merged key by key)" for path in planned.by_key}
    lines = [
        *leaving(planned),
        f"{title(planned)}:",
        *_group(ADDED, "+", _folded(planned.added)),
        *_group("Changed", "~", _folded(planned.changed, merged) + _lock(planned)),
        *_group("Retired", "-", _folded(planned.retired)),
        *_group(LEFT_ALONE, ".", left_alone(planned)),
        *(["", "Conflicts:", *_conflicts(planned)] if planned.conflicts else []),
        *_group("New dependencies", "+", planned.dependencies),
        *_group("New commands", "+", _pairs(planned.commands)),
        *_group(DO_OTHER, "~", _pairs(planned.altered)),
        *_group(JOBS, "+", planned.jobs),
        *_ejection(planned),
        *_group(FIRST_ANSWERS, "=", _first_answers(planned)),
        *_group("Once, after the climb", "*", _once(planned)),
        *_group(BRINGS, "*", planned.asks + planned.missing),
    ]
    for rise in planned.rises:
        lines += ["", *_wrap(f"{HEADING.format(rise)} {rise.promise}", "")]
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
        "the approval job, and the lines that let risk review the approvals are retired or changed. "
        f"{LEAVE}"
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
    return [f"{LOCK} (uv locks the packages again)"] if planned.locks else []


def _once(planned: Plan) -> list[str]:
    return [line for rise in planned.rises for line in _pairs(rise.once)]


def _missing(planned: Plan) -> list[str]:
    return [line for text in planned.missing for line in _wrap(f"Missing: {text}.", "")]


def _pairs(texts: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {text}" for name, text in texts.items()]


def _ejection(planned: Plan) -> list[str]:
    """Return lines about a change between wheel and source, if there is one (decision 31)."""
    if planned.before.ejected == planned.after.ejected:
        return []
    lines = ["", "The library rung-ops is the wheel in vendor/ again."]
    if planned.after.ejected:
        lines = [
            "",
            "The library rung-ops is now source of yours, in machinery/, instead of the wheel in",
            "vendor/. `rung update` merges it with newer versions.",
        ]
    if planned.after.level >= 2:
        lines += ["Every stage depends on it, so `uv run poe pipeline` runs all of them once more."]
    return lines


def _first_answers(planned: Plan) -> list[str]:
    """Return the answers to questions that did not matter before (decision 37)."""
    names = sorted(planned.after.answers.keys() - planned.before.answers.keys() - {"ejected"})
    return _pairs({name: planned.after.answers[name] for name in names})


def title(planned: Plan) -> str:
    """Say in one line what changes: the rung, the answers, the template."""
    before, after = planned.before, planned.after
    changes = []
    if before.level != after.level:
        changes.append(FROM_TO.format(before.level, after.level))
    changes += [
        f"{name} from {value} to {after.answers[name]}"
        for name, value in before.answers.items()
        if name not in ("level", "ejected") and after.answers.get(name, value) != value
    ]
    if before.ejected != after.ejected:
        forms = ("source", "wheel") if before.ejected else ("wheel", "source")
        changes.append("library from {} to {}".format(*forms))
    if before.version != after.version:
        changes.append(f"the template from {before.version} to {after.version}")
    text = printable(", ".join(changes)) or f"On rung {after.level}"
    return text[0].upper() + text[1:]


def left_alone(planned: Plan) -> list[str]:
    """Return the files that a climb leaves alone, with the reason."""
    reasons = (
        (planned.kept, "you edited it; the new rung has no such file"),
        (planned.gone, "you deleted it"),
        (planned.own, "your own; Rung's file of that name is left out"),
        (planned.ignored, "an untracked file is there; Rung's file of that name is left out"),
        (planned.earlier, "yours from before Rung added one like it"),
        (planned.edited, "you edited it"),
    )
    entries = [f"{path} ({reason})" for paths, reason in reasons for path in paths]
    entries += [f"{new} (Rung's {old}, renamed by you)" for old, new in planned.renamed.items()]
    return entries + ([f"your own files: {planned.yours}"] if planned.yours else [])


def _conflicts(planned: Plan) -> list[str]:
    lines = []
    for met in planned.conflicts:
        lines.append(f"  ! {printable(met.path)}: {REASONS[met.why]}")
        for hunk in met.hunks:
            lines += [f"      line {hunk.line}", *_side("yours", hunk.ours)]
            lines += _side("rung ", hunk.theirs)
    return lines


def _side(name: str, text: str) -> list[str]:
    lines = text.splitlines() or ["(nothing)"]
    shown = [f"      {name} | {printable(line)}" for line in lines[:SHOWN]]
    more = len(lines) - SHOWN
    return shown + ([f"      {name} | ... and {more} more lines"] if more > 0 else [])


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
    elif before.ejected != after.ejected:
        subject = "Eject the library" if after.ejected else "Undo the ejection"
    else:
        subject = "Change answers: " + ", ".join(
            f"{name}={value}"
            for name, value in after.answers.items()
            if before.answers.get(name) != value
        )
    counts = (len(planned.added), len(planned.changed), len(planned.retired))
    body = f"{title(planned)}. Files: {counts[0]} added, {counts[1]} changed, {counts[2]} retired."
    parts = [printable(subject)[:100], "\n".join(textwrap.wrap(body, 72))]
    altered = [
        textwrap.fill(f"- {line}", 72, subsequent_indent="  ") for line in _pairs(planned.altered)
    ]
    parts += _section("New commands:", [f"- {run}" for run in planned.commands])
    parts += _section(f"{DO_OTHER}:", altered)
    parts += [f"{LOCK} is uv's, for the packages that changed."] if planned.locks else []
    parts += _section("Kept, as they were edited:", [f"- {printable(p)}" for p in planned.kept])
    return "\n\n".join(parts) + "\n"


def _section(heading: str, entries: list[str]) -> list[str]:
    return ["\n".join([heading, *entries])] if entries else []


@dataclass(frozen=True)
class Outcome:
    """What came of a plan.

    `commit` is None where nothing was written, `branch` where it is the current one, and `passed` where the
    checks were not run.
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
    return done(outcome) if outcome.branch is None else branched(outcome)


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
    lines += _ejection(planned)
    lines += ["", f"Committed as {str(outcome.commit)[:10]}. Look at it with `git show`; next:"]
    lines.append("  uv sync")
    if outcome.passed is None:
        lines.append("  uv run poe check")
        lines.append(
            "  git add uv.lock && git commit --amend --no-edit   # the lock file belongs to it"
        )
    if once := _once(planned):
        lines += ["Once, then:", *(line for entry in once for line in _wrap(entry, "  "))]
    lines += _missing(planned)
    lines.append(f"To undo it: `{UNDO}`, as long as no commit follows.")
    lines += [ON_NO_BRANCH] if outcome.detached else []
    return "\n".join(lines)


def branched(outcome: Outcome) -> str:
    """Say how to finish a climb on its own branch, and how to discard it."""
    planned, name, detached = outcome.plan, outcome.branch, outcome.detached
    here = "HEAD" if detached else "your own branch"
    lines = [title(planned) + f", on the branch `{name}`; {here} and your files are as they were."]
    steps = [f"git switch {name}"]
    if planned.conflicts:
        lines += ["", "To resolve there:"]
        lines += _conflicts(planned)
        steps += [
            f"(edit these files: {RESOLVE[0]}",
            f" {RESOLVE[1]}",
            f" {RESOLVE[2]})",
        ]
    elif outcome.passed is False:
        lines += ["", "The project's checks do not pass there; their output is above."]
        steps += ["(correct what they name)"]
    if not outcome.passed:
        steps += ["uv sync && uv run poe check", "git add --all && git commit --amend --no-edit"]
    if once := _once(planned):
        lines += ["", "Once, after it:", *(line for entry in once for line in _wrap(entry, "  "))]
    lines += _missing(planned)
    if not detached:
        steps += [f"git switch - && git merge --ff-only {name}", f"git branch -d {name}"]
    lines += ["", "To finish:", *(f"  {step}" for step in steps)]
    lines += ["To give up:", f"  git branch -D {name}"]
    return "\n".join(lines)


def stopped(planned: Plan, command: str) -> str:
    """Say that nothing was written because of conflicts, and how to go on."""
    lines = [conflict_reasons.NO_FILES_CHANGED]
    lines += _conflicts(planned)
    lines += [
        "",
        "Change your side, commit, and try again; or resolve the conflict on a branch:",
        f"  {printable(command)} --branch climb",
    ]
    return "\n".join(lines)


def _group(name: str, sign: str, entries: list[str]) -> list[str]:
    if not entries:
        return []
    return ["", f"{name}:", *(f"  {sign} {printable(entry)}" for entry in entries)]


def _wrap(text: str, indent: str) -> list[str]:
    return terminal.wrap(text, 96, indent, indent)
