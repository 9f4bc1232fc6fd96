"""Complete the files that a repository shares with Rung: entries are added, and nothing changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rung.core import preconditions, transaction
from rung.core.adoption import additions
from rung.core.rendering import answers_file, rendered_trees, template_source, workbench
from rung.core.rendering.workbench import Entry, Workbench
from rung.errors import RungError
from rung.levels.answers import ANSWERS
from rung.system import git

TASKS = b"ops/tasks.toml"
SHARED = {"pyproject.toml", ".gitignore"}


@dataclass(frozen=True)
class Lacking:
    """What a file lacks: the entries, as they are shown, and the file with them.

    What cannot be added is for the person: `by_hand` says what and why.
    """

    entries: list[str]
    completed: Entry
    by_hand: list[str]


def is_adopted(folder: Path) -> bool:
    """Say whether a folder is a project of Rung's, by its answers file.

    Raises:
        RungError: The file is there, and cannot be read.
    """
    if not (folder / ANSWERS).is_file():
        return False
    return {"level", "package"} <= answers_file.read(folder).keys()


def complete(folder: Path, trusted: str | None, *, dry_run: bool = False) -> dict[str, Lacking]:
    """Add to the shared files of a project what its answers need, in one commit.

    Args:
        folder: A project that was adopted.
        trusted: A template that the person trusts: a path or a URL.
        dry_run: Whether only to look.

    Returns:
        What was lacking, by file.

    Raises:
        RungError: It cannot be done; nothing was touched.
    """
    git.require()
    recorded = answers_file.recorded(folder)
    top = preconditions.committed(folder)
    head = transaction.head(top)
    if head is None:
        raise RungError(f"{top} has no commit yet. Commit everything, then try again.")
    source = template_source.recorded(recorded, trusted)
    prefix = git.prefix(top, folder)
    with workbench.opened(top) as bench:
        ours = bench.inside(head, prefix)
        files = bench.files(ours)
        rendered = bench.files(
            rendered_trees.rendered(bench, source, answers_file.answers(recorded))
        )
        missing = lacking(bench, files, rendered, flat=not _knows_tasks(bench, files))
        changes = {path: one.completed for path, one in missing.items() if one.entries}
        if changes and not dry_run:
            tree = bench.edited(ours, changes)
            message = f"Add to {' and '.join(sorted(changes))} what Rung's verbs need\n"
            transaction.apply(bench, head, bench.grafted(f"{head}^{{tree}}", prefix, tree), message)
    return missing


def lacking(
    bench: Workbench, ours: Mapping[str, Entry], theirs: Mapping[str, Entry], *, flat: bool
) -> dict[str, Lacking]:
    """Return what the user's files lack of Rung's, by file.

    Args:
        bench: Where both stand.
        ours: The person's files.
        theirs: Rung's.
        flat: Whether src/ has to be named, since the person's own packaging may not know of it.
    """
    packaged = bool({"setup.py", "setup.cfg"} & ours.keys())
    mypy = bool({"mypy.ini", ".mypy.ini"} & ours.keys())
    missing = {}
    for path in sorted(SHARED & ours.keys() & theirs.keys()):
        our_id, their_id = ours[path].oid, theirs[path].oid
        contents = bench.contents([our_id, their_id])
        if not ours[path].is_text_file or our_id not in contents:  # too long to be settings
            continue
        both = (contents[our_id], contents[their_id])
        if path == "pyproject.toml":
            made = additions.toml(*both, flat=flat, packaged=packaged, mypy=mypy)
        else:
            made = additions.lines(*both, _tracked(bench, ours))
        text, entries, by_hand = made
        if entries or by_hand:
            completed = Entry(ours[path].mode, bench.store(text))
            missing[path] = Lacking(entries, completed, by_hand)
    return missing


def _tracked(bench: Workbench, ours: Mapping[str, Entry]) -> Callable[[str], str]:
    """Return a function that gives the first file of the project that an ignore pattern matches."""
    bench.git("read-tree", bench.edited(bench.empty(), ours))

    def tracked(pattern: str) -> str:
        arguments = ("ls-files", "--cached", "--ignored", "-z", f"--exclude={pattern}")
        # Git requires a work tree for it, but does not read it.
        return bench.git(*arguments, extra={"GIT_WORK_TREE": str(bench.folder)}).partition("\0")[0]

    return tracked


def _knows_tasks(bench: Workbench, ours: Mapping[str, Entry]) -> bool:
    """Say whether pyproject.toml was completed before; then its entries about src/ are intended."""
    entry = ours.get("pyproject.toml")
    return entry is not None and TASKS in bench.contents([entry.oid]).get(entry.oid, b"")


def described(missing: Mapping[str, Lacking]) -> list[str]:
    """Return what is lacking, one line an entry."""
    return [f"{path}: {entry}" for path, one in missing.items() for entry in one.entries]


def by_hand(missing: Mapping[str, Lacking]) -> list[str]:
    """Return what the user has to add, one line each."""
    return [f"{path}: {reason}" for path, one in missing.items() for reason in one.by_hand]
