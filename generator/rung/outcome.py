"""What a command says at its end: what it did, and what to type next."""

import shlex

from rung.climb import Climbed
from rung.new import Born, next_steps

NAMELESS = """\
git does not know your name, so the first commit bears Rung's. Put it right with
  git config --global user.name "Your Name"
  git config --global user.email you@example.com
  git commit --amend --reset-author --no-edit"""

# The lock file changes with the rung, so it is written before anything is added.
STEPS = """\
  uv sync && uv run poe check
  git add --all && git diff --cached
  git commit -m "Climb to rung {rung}\""""


def born(made: Born, *, wants_git: bool) -> str:
    """Say where a new project stands and what to do with it."""
    lines = [f"{made.folder}: rung {made.level}, {len(made.files)} files."]
    if made.repository and not made.committed and wants_git:
        lines.append(f"It stands inside the repository {made.repository}: add and commit it there.")
    if not made.signed:
        lines.append(NAMELESS)
    return "\n".join([*lines, "\nNext:", *(f"  {step}" for step in next_steps(made.folder))])


def climbed(done: Climbed) -> str:
    """Say which files a climb touched and, unless there are conflicts, how to go on."""
    if done.before == done.after:
        return f"The project already stands on rung {done.after}."
    lines = [f"From rung {done.before} to rung {done.after}:", *changes(done)]
    if done.ignored:
        lines.append(
            "\nGit ignores some of these. To keep them: "
            f"`git add --force {shlex.join(done.ignored)}`."
        )
    if not done.conflicts:
        lines.append("\nNothing is committed yet. Check, look, commit:")
        lines.append(STEPS.format(rung=done.after))
    return "\n".join(lines)


def changes(done: Climbed) -> list[str]:
    """Return a line for each file that a climb added, changed or removed."""
    signs = (("+", done.added), ("~", done.changed), ("-", done.removed))
    return [f"  {sign} {path}" for sign, paths in signs for path in paths]


def conflicts(done: Climbed) -> str:
    """Say which files a person has to decide, and how."""
    return "\n".join(
        [
            "\nYour lines and Rung's met in these files; both are in them, between markers:",
            *(f"  {path}" for path in done.conflicts),
            "Decide each, and remove the markers and the .rej files. Then check, look, commit:",
            STEPS.format(rung=done.after),
            "To go back instead: `git reset --hard && git clean -d --force`.",
        ]
    )
