"""The output of `rung adopt`: what was found, what is written, what is left to do."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from rung import options
from rung.core.adoption import complete
from rung.core.adoption.adoption import Adoption
from rung.core.adoption.complete import Lacking
from rung.core.climbing.messages import LEFT_ALONE
from rung.core.transaction import UNDO
from rung.system.printable import printable

SHOWN = 12  # paths of a list; the rest is counted


def text(adoption: Adoption) -> str:
    """Return the output: the reasons first, the next commands last."""
    sections = (_inferred, _changes, _left_alone, _left_to_you, _next)
    return "\n\n".join(filter(None, (section(adoption) for section in sections)))


def _inferred(adoption: Adoption) -> str:
    facts = {fact.about: (fact.value, fact.because) for fact in adoption.inferred.facts}
    for question, why in (("use_case", "the template's default"), ("level", "the lowest")):
        facts.setdefault(question, (str(adoption.answers.get(question, "velocity")), why))
    for question in adoption.answered:
        facts[question] = (str(adoption.answers[question]), "your answer")
    width = max(map(len, facts))
    lines = [f"  {about:{width}}  {value}  ({why})" for about, (value, why) in facts.items()]
    return "\n".join([f"{adoption.folder} looks like this:", *map(printable, lines)])


def _changes(adoption: Adoption) -> str:
    lines = [f"Added, {len(adoption.added)} files:" if adoption.commit else "To be added:"]
    lines += _some("+", adoption.added)
    if adoption.merged:
        lines.append("Completed, with nothing of yours changed:")
        lines += [f"  ~ {printable(entry)}" for entry in adoption.completed]
    return "\n".join(lines)


def _left_alone(adoption: Adoption) -> str:
    kept = f"{LEFT_ALONE}, where Rung has files of the same names:"
    hidden = "Left alone too, and git ignores yours, so it cannot bring them back:"
    blocked = "Left out, since a file or a link of yours has the folder's name:"
    groups = (
        ("=", kept, adoption.kept),
        ("=", hidden, adoption.hidden),
        ("!", blocked, adoption.blocked),
    )
    lines = [[title, *_some(sign, paths)] for sign, title, paths in groups if paths]
    return "\n".join(line for group in lines for line in group)


def _left_to_you(adoption: Adoption) -> str:
    package, own = f"src/{adoption.answers['package']}", adoption.inferred.own_package
    lines = []
    if adoption.drafted:
        lines += ["Drafted in the place of an example, from your rows and code:"]
        lines += [f"  {printable(line)}" for line in adoption.drafted.splitlines()]
    elif adoption.wanted and not adoption.commit:
        target = adoption.wanted.target or "a column"
        lines.append(f"Your own files would be drafted: {target} of {adoption.wanted.file.name}.")
    elif adoption.example:
        if adoption.undrafted:
            lines.append(printable(adoption.undrafted))
        lines.append(
            f"{package}/ holds an example, with its data: put your own data, features and model "
            "in its place."
        )
    else:
        lines.append(
            f"{package}/ has modules of the contract's names already, so no example was planted: "
            "`uv run poe test` shows what the library requires of them."
        )
    if own and own != package:
        lines.append(f"Your code stays in {printable(own)}/; what is in {package}/ may import it.")
    if adoption.lacking_entries:
        lines.append(
            "Rung's commands do not run yet: your own files lack these entries."
            if adoption.commit
            else "Rung's commands need entries that your own files lack. `--merge` adds them:"
        )
        lines += [f"  {printable(entry)}" for entry in adoption.lacking_entries]
    lines += _by_hand(adoption.by_hand)
    return "\n".join(lines)


def _next(adoption: Adoption) -> str:
    if not adoption.commit:
        return "Nothing was written."
    first = []
    if adoption.lacking_entries:
        first.append("  rung adopt --merge   # adds these entries in a separate commit")
    if adoption.to_copy:
        copied = shlex.join(["cp", *adoption.to_copy])
        first.append(f"  {copied}   # git ignores your rows: commit this copy only if it may")
    done = f"It is one commit, {adoption.commit[:10]}. To undo it: `{UNDO}`.\n"
    return "\n".join([done, *_commands(adoption.folder, *first)])


def _commands(folder: Path, *first: str) -> list[str]:
    enter = [] if folder == Path() else [f"  cd {shlex.quote(options.typed(folder))}"]
    return ["Next:", *enter, *first, "  uv sync", "  uv run poe train", "  rung plan"]


def completion(folder: Path, missing: Mapping[str, Lacking], *, dry_run: bool) -> str:
    """Say what was added, or would be added, to the shared files of a project."""
    if not missing:
        return "Rung's commands have all they need. Nothing was written."
    lines, entries = _by_hand(complete.by_hand(missing)), complete.described(missing)
    if entries:
        lines.append("To be added:" if dry_run else "Added, with nothing of yours changed:")
        lines += [f"  {printable(entry)}" for entry in entries]
    if dry_run or not entries:
        return "\n".join([*lines, "", "Nothing was written."])
    lines += ["", f"It is one commit. To undo it: `{UNDO}`.", ""]
    return "\n".join([*lines, *_commands(folder)])


def _by_hand(reasons: list[str]) -> list[str]:
    lines = [f"  {printable(reason)}" for reason in reasons]
    return ["Change these by hand, so that Rung's commands run:", *lines] if lines else []


def _some(sign: str, paths: Iterable[str]) -> list[str]:
    listed = list(paths)
    lines = [f"  {sign} {printable(path)}" for path in listed[:SHOWN]]
    more = len(listed) - SHOWN
    return [*lines, f"  {sign} and {more} more"] if more > 0 else lines
