"""The three trees of a merge, in which a file gets the same name on all sides first (decision 19, renames)."""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rung.core.merging import history
from rung.core.rendering import rendered_trees
from rung.core.rendering.workbench import Entry, Project, Workbench
from rung.core.template_source import Source
from rung.errors import RungError

MOVED = "levels/moved.yml"
SIMILAR = 60  # percent; how much of a file a newer template must keep for it to count as renamed


@dataclass
class MergeInputs:
    """The trees of a merge: what Rung rendered, the project, and what Rung would render.

    `before` and `after` are the template that the project has, and the one it gets.
    """

    project: Project
    before: Source
    after: Source
    base: str
    ours: str
    theirs: str

    @property
    def bench(self) -> Workbench:
        """Return the repository that holds the trees."""
        return self.project.bench

    @property
    def base_files(self) -> dict[str, Entry]:
        """Return the files that Rung rendered."""
        return self.bench.files(self.base)

    @property
    def our_files(self) -> dict[str, Entry]:
        """Return the project's files."""
        return self.bench.files(self.ours)

    @property
    def their_files(self) -> dict[str, Entry]:
        """Return the files that Rung would render."""
        return self.bench.files(self.theirs)

    def leave_out(self, planted: Collection[str]) -> None:
        """Remove from both renders the files that are the user's once written (decision 8)."""
        without = rendered_trees.without
        self.base = without(self.bench, self.base, planted & self.base_files.keys())
        self.theirs = without(self.bench, self.theirs, planted & self.their_files.keys())

    def renamed(self, planted: Collection[str]) -> dict[str, str]:
        """Return the user's names of Rung's files, by Rung's names."""
        ours = rendered_trees.without(self.bench, self.ours, planted & self.our_files.keys())
        return _renamed_files(self.bench, self.base, ours)

    def follow_template(self) -> None:
        """Rename files of the user's that a newer template has renamed, with their edits.

        Git finds renames by similar text. Others are listed in the template's levels/moved.yml; for these, a
        file that the user deleted stays deleted under its new name.
        """
        moved = {}
        with contextlib.suppress(RungError, FileNotFoundError):  # a template without such a list
            moved = dict(self.after.read(MOVED))
        renamed = _renamed_files(self.bench, self.base, self.theirs, SIMILAR)
        for old, new in (renamed | moved).items():
            base, ours = self.base_files, self.our_files
            if old not in base or new not in self.their_files or new in ours:
                continue
            if old in ours and ours[old] != base[old]:
                self.ours = _with_names(self.bench, self.ours, {old: new})
                self.base = _with_names(self.bench, self.base, {old: new})
            elif old not in ours and old in moved:
                self.base = _with_names(self.bench, self.base, {old: new})

    def follow_user(self, names: dict[str, str]) -> None:
        """Give Rung's files the user's names.

        A file of which the user changed only the name stays when its rung is left.
        """
        self.base = _with_names(self.bench, self.base, names)
        self.theirs = _with_names(self.bench, self.theirs, names)
        base, ours, theirs = self.base_files, self.our_files, self.their_files
        retired = {new for new in names.values() if new not in theirs}
        only = {new for new in retired if ours.get(new) == base.get(new)}
        self.base = rendered_trees.without(self.bench, self.base, only & base.keys())

    def recall(self) -> set[str]:
        """Use the last render as the merge base for files that are on both sides but not in the base.

        Returns the paths without an earlier render that existed before the repository was adopted.
        """
        ours, theirs = self.our_files, self.their_files
        again = {
            path
            for path in theirs.keys() & ours.keys() - self.base_files.keys()
            if theirs[path] != ours[path]
        }
        if not again:
            return set()
        renders = history.last_rendered(self.project, self.before, again)
        entries = {path: render.entry for path, render in renders.items()}
        self.base = self.bench.edited(self.base, entries)
        return history.before_adoption(self.project, again - renders.keys())

    def recall_absent(self) -> dict[str, str]:
        """Use the last render as the merge base for files that the user deleted or renamed; return the names.

        The answers show neither after a climb down, so the history of the project is searched.
        """
        new = self.their_files.keys() - self.base_files.keys() - self.our_files.keys()
        removed = history.by_user(self.project, "D", new)
        names: dict[str, str] = {}
        gone: dict[str, Entry] = {}
        for path, last in history.last_rendered(self.project, self.before, removed).items():
            project = self.project.tree_at(last.commit)
            if path in self.bench.files(project):
                continue  # the climb removed it, not the user
            name = _renamed_files(self.bench, last.tree, project).get(path)
            if name in self.our_files:
                names[path] = name
                gone[name] = last.entry
            else:
                gone[path] = last.entry
        self.base = self.bench.edited(self.base, gone)
        self.theirs = _with_names(self.bench, self.theirs, names)
        return names

    def leave_out_earlier(self) -> list[str]:
        """Remove from the base the paths that existed before Rung added the same; return them."""
        retired = {
            path
            for path in self.base_files.keys() & self.our_files.keys() - self.their_files.keys()
            if self.base_files[path] == self.our_files[path]
        }
        users = history.by_user(self.project, "A", retired)
        self.base = rendered_trees.without(self.bench, self.base, users)
        return sorted(users)


def _renamed_files(bench: Workbench, before: str, after: str, similar: int = 50) -> dict[str, str]:
    """Return new names by old ones; a file that is `similar` percent the same counts as renamed."""
    options = (f"--find-renames={similar}%", "--no-rename-empty", "--diff-filter=R")
    output = bench.git("diff-tree", "-r", "-z", "--no-ext-diff", *options, before, after)
    fields = list(filter(None, output.split("\0")))
    return {fields[at + 1]: fields[at + 2] for at in range(0, len(fields), 3)}


def _with_names(bench: Workbench, tree: str, names: Mapping[str, str]) -> str:
    """Return a tree in which files have their new names, where those are free."""
    files, changes = bench.files(tree), dict[str, Entry | None]()
    for old, new in names.items():
        if old in files and new not in files:
            changes |= {old: None, new: files[old]}
    return bench.edited(tree, changes)
