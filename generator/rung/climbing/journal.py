"""What is written down of a climb before anything moves, so that the next start can end it.

refs/rung/before and refs/rung/pending name the commits; a file in git's shared folder names the
work tree, since a repository can have several.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rung import git
from rung.climbing.lock import shared_folder

BEFORE, PENDING, CRASH = "refs/rung/before", "refs/rung/pending", "refs/rung/crash"
NAME = "rung-climb.json"


@dataclass(frozen=True)
class Journal:
    """A climb under way: its work tree, and the commits it leads from and to."""

    top: str
    before: str
    pending: str


def write(top: Path, before: str, pending: str) -> None:
    """Write the journal; a climb counts as begun once both refs stand, which is at one moment."""
    file = shared_folder(top) / NAME
    aside = file.with_suffix(".new")
    aside.write_text(json.dumps(asdict(Journal(str(top), before, pending))), "utf-8")
    aside.replace(file)
    lines = f"start\nupdate {BEFORE} {before}\nupdate {PENDING} {pending}\nprepare\ncommit\n"
    git.run(top, "update-ref", "--stdin", stdin=lines)


def read(top: Path) -> Journal | None:
    """Return the climb that was begun and not ended, if there is one."""
    before, pending = (
        git.answers(top, "rev-parse", "--verify", "--quiet", name) for name in (BEFORE, PENDING)
    )
    if not pending:
        return None
    try:
        said = Journal(**json.loads((shared_folder(top) / NAME).read_text("utf-8")))
        if said.pending == pending:
            return said
    except (OSError, ValueError, TypeError):
        pass  # the refs alone lead back, from the work tree at hand
    return Journal(str(top), before or pending, pending)


def clear(top: Path) -> None:
    """Say that the climb has ended; also where it had not begun."""
    lines = f"start\ndelete {BEFORE}\ndelete {PENDING}\nprepare\ncommit\n"
    if git.answers(top, "rev-parse", "--verify", "--quiet", PENDING):
        git.run(top, "update-ref", "--stdin", stdin=lines)
    (shared_folder(top) / NAME).unlink(missing_ok=True)
