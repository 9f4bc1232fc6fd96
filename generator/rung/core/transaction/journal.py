"""What is written down of a climb before anything moves, so that the next start can end it.

refs/rung/before and refs/rung/pending name the commits; a file in git's shared folder names the
work tree, since a repository can have several.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rung.core.transaction.locks import shared_folder
from rung.errors import RungError
from rung.system import git

BEFORE, PENDING, CRASH = "refs/rung/before", "refs/rung/pending", "refs/rung/crash"
REFS = (BEFORE, PENDING, CRASH)
NAME = "rung-climb.json"


@dataclass(frozen=True)
class Journal:
    """A climb under way.

    Args:
        top: Its work tree.
        before: The commit it leads from.
        pending: The commit it leads to.
        within: The work tree's own folder within git's shared one, which is the same after the
            repository was moved or copied.
        there: Whether the work tree is still one of this repository's.
    """

    top: str
    before: str
    pending: str
    within: str = "."
    there: bool = True


def write(top: Path, before: str, pending: str) -> None:
    """Write the journal; a climb counts as begun once both refs stand, which is at one moment."""
    file = shared_folder(top) / NAME
    aside = file.with_suffix(".new")
    aside.write_text(json.dumps(asdict(Journal(str(top), before, pending, _within(top)))), "utf-8")
    aside.replace(file)
    lines = f"start\nupdate {BEFORE} {before}\nupdate {PENDING} {pending}\nprepare\ncommit\n"
    git.run(top, "update-ref", "--stdin", stdin=lines)


def read(top: Path) -> Journal | None:
    """Return the climb that was begun and not ended, if there is one.

    The file comes along when a repository is copied or unpacked, and may name a folder of somebody
    else's. So the refs alone say what is led back, and only a work tree of this repository is.
    """
    before, pending = (
        git.answers(top, "rev-parse", "--verify", "--quiet", name) for name in (BEFORE, PENDING)
    )
    if not pending:
        return None
    before = before or pending
    at_hand = Journal(str(top), before, pending, _within(top))
    try:
        written = Journal(**json.loads((shared_folder(top) / NAME).read_text("utf-8")))
        folder, within = Path(written.top), str(written.within)
        if written.pending != pending:
            return at_hand
    except (OSError, ValueError, TypeError):
        return at_hand  # the refs suffice to go back, from the current work tree
    if _belongs(folder, top):
        return Journal(str(folder), before, pending, within)
    if within == at_hand.within:
        return at_hand
    return Journal(str(folder), before, pending, within, there=False)


def clear(top: Path) -> None:
    """Say that the climb has ended; also where it had not begun."""
    lines = f"start\ndelete {BEFORE}\ndelete {PENDING}\nprepare\ncommit\n"
    if git.answers(top, "rev-parse", "--verify", "--quiet", PENDING):
        git.run(top, "update-ref", "--stdin", stdin=lines)
    (shared_folder(top) / NAME).unlink(missing_ok=True)


def _within(top: Path) -> str:
    own = (top / git.run(top, "rev-parse", "--git-dir").rstrip("\n")).resolve()
    shared = shared_folder(top)
    return own.relative_to(shared).as_posix() if own.is_relative_to(shared) else str(own)


def _belongs(folder: Path, top: Path) -> bool:
    """Say whether a folder is the root of a work tree of this repository."""
    try:
        if not folder.is_absolute() or not (folder / ".git").exists():
            return False
        root = Path(git.run(folder, "rev-parse", "--show-toplevel").removesuffix("\n"))
        return root == folder.resolve() and shared_folder(folder) == shared_folder(top)
    except (OSError, ValueError, RungError):
        return False
