"""The three trees of a merge, in which a file gets the same name on all sides first (decision 19)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rung.core.merging import history
from rung.core.project import Project
from rung.core.rendering import rendered_trees
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.template_source import Source
from rung.errors import RungError

MOVED = "levels/moved.yml"
SIMILAR = 60  # percent; how much of a file a newer template must keep for it to count as renamed


@dataclass
class MergeInputs:
    """The trees of a merge: what Rung rendered, the project, and what Rung would render.

    Args:
        project: The project.
        base, ours, theirs: The trees, replaced as their files are renamed and left out.
    """

    project: Project
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
        self.base = rendered_trees.without(self.bench, self.base, planted & self.base_files.keys())
        self.theirs = rendered_trees.without(
            self.bench, self.theirs, planted & self.their_files.keys()
        )

    def renamed(self, planted: Collection[str]) -> dict[str, str]:
        """Return the user's names of Rung's files, by Rung's names."""
        ours = rendered_trees.without(self.bench, self.ours, planted & self.our_files.keys())
        return _renamed_files(self.bench, self.base, ours)

    def follow_template(self, after: Source) -> None:
        """Rename files of the user's that a newer template has renamed, with their edits.

        Git finds renames by similar text. Others are listed in the template's levels/moved.yml;
        for these, a file that the user deleted stays deleted under its new name.

        Args:
            after: The newer template.
        """
        moved = _moved_files(after)
        renamed = _renamed_files(self.bench, self.base, self.theirs, SIMILAR)
        for old, new in (renamed | moved).items():
            base, ours = self.base_files, self.our_files
            if old not in base or new not in self.their_files or new in ours:
                continue
            if old in ours and ours[old] != base[old]:
                self.ours = _with_names(self.bench, self.ours, ours, {old: new})
                self.base = _with_names(self.bench, self.base, base, {old: new})
            elif old not in ours and old in moved:
                self.base = _with_names(self.bench, self.base, base, {old: new})

    def follow_user(self, names: dict[str, str]) -> None:
        """Give Rung's files the user's names.

        A file of which the user changed only the name stays when its rung is left.
        """
        self.base = _with_names(self.bench, self.base, self.base_files, names)
        self.theirs = _with_names(self.bench, self.theirs, self.their_files, names)
        base, ours, theirs = self.base_files, self.our_files, self.their_files
        only = {
            new for new in names.values() if new not in theirs and ours.get(new) == base.get(new)
        }
        self.base = rendered_trees.without(self.bench, self.base, only & base.keys())

    def recall(self, now: Source) -> set[str]:
        """Use the last render as the merge base for files that are on both sides but not in the base.

        Args:
            now: The template, at the version the project has.

        Returns:
            The paths without an earlier render that existed before the repository was adopted.
        """
        ours, theirs = self.our_files, self.their_files
        again = {
            path
            for path in theirs.keys() & ours.keys() - self.base_files.keys()
            if theirs[path] != ours[path]
        }
        if not again:
            return set()
        renders = history.last_rendered(self.project, now, again)
        entries = {path: render.entry for path, render in renders.items()}
        self.base = self.bench.edited(self.base, entries)
        return history.before_adoption(self.project, again - renders.keys())

    def recall_absent(self, now: Source) -> dict[str, str]:
        """Use the last render as the merge base for files that the user deleted or renamed.

        The answers show neither after a climb down, so the history of the project is searched.

        Args:
            now: The template, at the version the project has.

        Returns:
            The user's names of Rung's files, by Rung's names.
        """
        new = self.their_files.keys() - self.base_files.keys() - self.our_files.keys()
        removed = history.removed_by_user(self.project, new)
        names: dict[str, str] = {}
        gone: dict[str, Entry] = {}
        for path, last in history.last_rendered(self.project, now, removed).items():
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
        self.theirs = _with_names(self.bench, self.theirs, self.their_files, names)
        return names

    def leave_out_earlier(self) -> list[str]:
        """Remove from the base the paths that existed before Rung added the same; return them."""
        retired = {
            path
            for path in self.base_files.keys() & self.our_files.keys() - self.their_files.keys()
            if self.base_files[path] == self.our_files[path]
        }
        users = history.added_by_user(self.project, retired)
        self.base = rendered_trees.without(self.bench, self.base, users)
        return sorted(users)


def _moved_files(after: Source) -> dict[str, str]:
    """Return the new paths that a template lists, by the old ones."""
    try:
        return dict(after.read(MOVED))
    except (RungError, FileNotFoundError):
        return {}  # a template without such a list


def _renamed_files(bench: Workbench, before: str, after: str, similar: int = 50) -> dict[str, str]:
    """Return new names by old ones.

    Args:
        bench: The repository that holds both.
        before, after: The trees.
        similar: How much of a file must be the same for it to count as renamed, in percent.
    """
    options = (f"--find-renames={similar}%", "--no-rename-empty", "--diff-filter=R")
    output = bench.git("diff-tree", "-r", "-z", "--no-ext-diff", *options, before, after)
    fields = list(filter(None, output.split("\0")))
    return {fields[at + 1]: fields[at + 2] for at in range(0, len(fields), 3)}


def _with_names(
    bench: Workbench, tree: str, files: Mapping[str, Entry], names: Mapping[str, str]
) -> str:
    """Return a tree in which files have their new names, where those are free."""
    changes: dict[str, Entry | None] = {}
    for old, new in names.items():
        if old in files and new not in files:
            changes[old] = None
            changes[new] = files[old]
    return bench.edited(tree, changes)
