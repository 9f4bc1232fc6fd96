"""The three sides of a climb, each of their files brought under one name before they are merged."""

from collections.abc import Collection

from rung.climbing import history, renames, trees
from rung.climbing.moves import Moves
from rung.climbing.workbench import Entry, Workbench
from rung.source import Source

SIMILAR = 60  # percent of a file of Rung's that its successor in a newer template must hold


class Sides:
    """What Rung rendered, what stands in the project, and what Rung would render.

    Attributes:
        bench: Where they stand.
        base, ours, theirs: Their trees.
    """

    def __init__(self, bench: Workbench, base: str, ours: str, theirs: str) -> None:
        """Take three trees."""
        self.bench, self.base, self.ours, self.theirs = bench, base, ours, theirs

    @property
    def was(self) -> dict[str, Entry]:
        """Return the files that Rung rendered."""
        return self.bench.files(self.base)

    @property
    def mine(self) -> dict[str, Entry]:
        """Return the project's files."""
        return self.bench.files(self.ours)

    @property
    def rungs(self) -> dict[str, Entry]:
        """Return the files that Rung would render."""
        return self.bench.files(self.theirs)

    def leave_out(self, planted: Collection[str]) -> None:
        """Take out of both renders what is the user's once it stands there."""
        self.base = trees.without(self.bench, self.base, planted & self.was.keys())
        self.theirs = trees.without(self.bench, self.theirs, planted & self.rungs.keys())

    def renamed(self, planted: Collection[str]) -> dict[str, str]:
        """Return the user's names of Rung's files, by Rung's names."""
        mine = trees.without(self.bench, self.ours, planted & self.mine.keys())
        return renames.renamed(self.bench, self.base, mine)

    def follow_template(self, moved: Moves) -> None:
        """Rename what a newer template has renamed, so that what the user wrote goes along.

        Args:
            moved: Renames that the template names itself; a deletion by the user follows them, too.
        """
        seen = renames.renamed(self.bench, self.base, self.theirs, SIMILAR)
        pairs = {old: new for old, new in seen.items() if not moved.is_code(old)}
        for old, new in (pairs | dict(moved.settings)).items():
            was, mine = self.was, self.mine
            if old not in was or new not in self.rungs or new in mine:
                continue
            if old in mine and mine[old] != was[old]:
                self.ours = renames.moved(self.bench, self.ours, mine, {old: new})
                self.base = renames.moved(self.bench, self.base, was, {old: new})
            elif old not in mine and old in moved.settings:
                self.base = renames.moved(self.bench, self.base, was, {old: new})

    def follow_user(self, names: dict[str, str]) -> None:
        """Give Rung's files the user's names.

        What was renamed, and nothing else, is the user's: it stays when the rung it came with goes.
        """
        self.base = renames.moved(self.bench, self.base, self.was, names)
        self.theirs = renames.moved(self.bench, self.theirs, self.rungs, names)
        was, mine, rungs = self.was, self.mine, self.rungs
        only = {new for new in names.values() if new not in rungs and mine.get(new) == was.get(new)}
        self.base = trees.without(self.bench, self.base, only & was.keys())

    def recall(self, prefix: str, head: str, now: Source) -> set[str]:
        """Put under what stands on both sides the render that the user's version comes from.

        Args:
            prefix: The project's folder in its repository, or nothing.
            head: The last commit.
            now: The template, at the version the project has.

        Returns:
            What comes from none: the repository had it before it came onto the ladder.
        """
        mine, rungs = self.mine, self.rungs
        again = {
            path
            for path in rungs.keys() & mine.keys() - self.was.keys()
            if rungs[path] != mine[path]
        }
        if not again:
            return set()
        came = history.last_rendered(self.bench, prefix, head, now, again)
        entries = {path: one.entry for path, one in came.items()}
        self.base = self.bench.edited(self.base, entries)
        return history.before_adoption(self.bench, prefix, head, again - came.keys())

    def recall_absent(self, prefix: str, head: str, now: Source) -> dict[str, str]:
        """Put under what only Rung has the render after which the user deleted or renamed it.

        A climb down leaves no trace of either in the answers, so the project's history is asked.

        Args:
            prefix: The project's folder in its repository, or nothing.
            head: The last commit.
            now: The template, at the version the project has.

        Returns:
            The user's names of Rung's files, by Rung's names.
        """
        new = self.rungs.keys() - self.was.keys() - self.mine.keys()
        removed = history.removed_once(self.bench, prefix, head, new)
        names: dict[str, str] = {}
        gone: dict[str, Entry] = {}
        for path, last in history.last_rendered(self.bench, prefix, head, now, removed).items():
            project = self.bench.inside(last.commit, prefix)
            if path in self.bench.files(project):
                continue  # the climb took it away
            name = renames.renamed(self.bench, last.tree, project).get(path)
            if name in self.mine:
                names[path] = name
                gone[name] = last.entry
            else:
                gone[path] = last.entry
        self.base = self.bench.edited(self.base, gone)
        self.theirs = renames.moved(self.bench, self.theirs, self.rungs, names)
        return names

    def leave_had(self, prefix: str, head: str) -> list[str]:
        """Take out of the base what the user had before Rung rendered the same, and return it."""
        retired = {
            path
            for path in self.was.keys() & self.mine.keys() - self.rungs.keys()
            if self.was[path] == self.mine[path]
        }
        had = history.added_by_user(self.bench, prefix, head, retired)
        self.base = trees.without(self.bench, self.base, had)
        return sorted(had)
