"""Adopt an existing repository: add the files that are missing, in one commit."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from rung.core import level_contents, preconditions, transaction
from rung.core.adoption import complete, drafts, existing
from rung.core.adoption.inferred import Inferred, infer
from rung.core.drafting import SAMPLE, Wanted
from rung.core.rendering import copier_settings, rendered_trees
from rung.core.rendering.workbench import Entry, Files, Workbench, opened_project
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS, check_answers
from rung.system import git

SETTINGS = "ops"
# Written once like the example (decision 8), and needed without it: Rung's verbs call them.
CALLED = ("pipeline/", "tests/test_contract.py")


@dataclass
class Adoption:
    """What an adoption writes, and what it leaves alone; paths are relative to the folder."""

    folder: Path
    answers: Mapping[str, Any]
    inferred: Inferred
    answered: tuple[str, ...]  # the questions that the user answered
    added: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)  # the user's, to which entries were added
    kept: list[str] = field(default_factory=list)  # the user's, which differ from Rung's
    # Left out because a file, link or submodule has the name of their folder.
    blocked: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)  # left out because git ignores the user's own
    # Whether the example is written, as there is no module of the contract's names.
    example: bool = True
    # Entries that the user's pyproject.toml and .gitignore lack, that were added to them, and that
    # cannot be, with the reason.
    lacking_entries: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    drafted: str = ""  # what was inferred from the user's rows
    undrafted: str = ""  # why nothing was
    wanted: Wanted | None = None  # what was drafted, or would be
    to_copy: tuple[str, str] | None = None  # the user's rows, if git ignores them, and where to
    commit: str = ""  # its id; empty for a plan


def adopt(
    folder: Path,
    source: Source,
    chosen: Mapping[str, Any],
    *,
    merge: bool = False,
    dry_run: bool = False,
    rows: Path | None = None,
    target: str = "",
    model: str = "",
) -> Adoption:
    """Add the files that a repository lacks of a project with its answers, in one commit.

    `chosen` are answers by question; the others are inferred. `rows`, `target` and `model` are by default
    those of the user's code.
    """
    questions = source.read("levels/questions.yml")
    check_answers(chosen, questions)
    top, head = _repository(folder)
    if not dry_run:
        preconditions.committed_root(folder)
    reserved, default_ci = (questions[name]["default"] for name in ("reserved_packages", "ci"))
    project_files = existing.read(folder)
    inferred = infer(project_files, reserved, level_contents.vendors(source), default_ci, model)
    settings = copier_settings.of_new_projects(questions)
    answers = {**settings, **inferred.answers, "level": 0, **chosen}
    level_contents.refuse_vendor(source, answers)
    adoption = Adoption(folder, answers, inferred, tuple(chosen))
    with opened_project(top, folder, head) as project:
        bench = project.bench
        files = bench.files(project.tree)
        _refuse(files, folder)
        tree = rendered_trees.rendered(bench, source, answers)
        package = f"src/{answers['package']}"
        adoption.example = not any(f"{package}/{name}" in files for name in complete.CONTRACT)
        rendered = bench.files(tree)
        if adoption.example:
            rendered = _with_drafts(adoption, bench, tree, rows, target, model, dry_run=dry_run)
        planted = rendered_trees.of_the_user(rendered, [source])
        planted |= {path for path in rendered if path.startswith(SAMPLE)}
        trained = adoption.wanted.model if adoption.wanted else ""
        if adoption.drafted:  # not always with that model
            trained = complete.trained_by(bench, rendered, package)
        rendered = complete.with_own(bench, files, rendered, project_files, trained)
        new = _missing(adoption, files, rendered, planted)
        changes = new | _completed_files(adoption, bench, files, rendered, merge=merge)
        if dry_run:
            return adoption
        tree = project.repository_tree(bench.edited(project.tree, changes))
        message = f"Adopt Rung: rung {answers['level']}\n\nAdds {len(new)} files.\n"
        adoption.commit = transaction.apply(bench, head, tree, message)
    return adoption


def _repository(folder: Path) -> tuple[Path, str]:
    git.require()
    if not folder.is_dir():
        raise RungError(f"{folder} is not a folder. Give the path of the repository to adopt.")
    top = preconditions.root(folder, "adopt")
    head = transaction.head(top)
    if head is None:
        raise RungError(
            f"{top} has no commit yet, so there is nothing to adopt.\n"
            "Commit what is there, then adopt; for a new project use `rung new`."
        )
    return top, head


def _refuse(files: Files, folder: Path) -> None:
    """Raise a RungError if there are other files where Rung's answers and settings go."""
    if ANSWERS in files or os.path.lexists(folder / ANSWERS):
        if complete.is_adopted(folder):
            raise RungError(
                f"{folder} is a project of Rung already.\n"
                "Use `rung plan` and `rung climb`; `rung adopt --merge` without answers completes the "
                "files that it shares with Rung."
            )
        raise RungError(
            f"{folder} was made with another Copier template: {ANSWERS} is not Rung's."
            f"\nRung needs that name. Rename it (`git mv {ANSWERS} .copier-answers.other.yml`; "
            "Copier finds it there with `--answers-file`), commit, then adopt."
        )
    taken = next((path for path in files if path.split("/")[0].casefold() == SETTINGS), None)
    if taken or os.path.lexists(folder / SETTINGS):
        raise RungError(
            f"`{SETTINGS}/` is where Rung keeps its settings, and {folder} has one: "
            f"`{taken or SETTINGS}`.\nRename yours with `git mv {SETTINGS} NAME`, commit, then "
            "adopt."
        )


def _with_drafts(
    adoption: Adoption,
    bench: Workbench,
    tree: str,
    rows: Path | None,
    target: str,
    model: str,
    *,
    dry_run: bool,
) -> dict[str, Entry]:
    """Return a render with drafts in place of the example; raise if the user's own rows give none."""
    rendered = bench.files(tree)
    found = drafts.wanted(adoption.folder, adoption.inferred, rows, target, model)
    adoption.wanted, adoption.undrafted = found
    if adoption.wanted is None and (target or model):
        raise RungError(adoption.undrafted)
    if adoption.wanted is None or dry_run:
        return rendered
    file = adoption.wanted.file
    try:
        rendered, adoption.drafted = drafts.drafted(bench, tree, adoption.wanted)
    except RungError as error:
        if rows or target or model:
            raise
        adoption.undrafted, adoption.wanted = str(error), None
        return rendered
    if git.output(file.parent, "ls-files", "--", file.name):
        return rendered
    # Git has not kept these rows so far, and it may have been for a reason.
    page = f"{SAMPLE}README.md"
    (kept,) = [path for path in rendered if path.startswith(SAMPLE) and path != page]
    adoption.to_copy = (str(file), kept)
    return {path: entry for path, entry in rendered.items() if path != kept}


def _missing(
    adoption: Adoption, files: Files, rendered: Files, planted: set[str]
) -> dict[str, Entry]:
    """Return the files to write: none that exists, and all of the example or nothing of it."""
    names = {path.casefold() for path in files}
    example = {path for path in planted if not path.startswith(CALLED)}
    new = {}
    for path, entry in rendered.items():
        above = [str(up) for up in PurePosixPath(path).parents if up.name]
        if path.casefold() in names:
            if files.get(path) != entry and path not in example:
                adoption.kept.append(path)
        elif any(up in files or (adoption.folder / up).is_symlink() for up in above):
            adoption.blocked.append(path)
        elif path in example and not adoption.example:
            continue
        elif os.path.lexists(adoption.folder / path):
            adoption.hidden.append(path)
        else:
            new[path] = entry
    adoption.added = sorted(new)
    return new


def _completed_files(
    adoption: Adoption, bench: Workbench, files: Files, rendered: Files, *, merge: bool
) -> dict[str, Entry]:
    """Return the shared files with the entries that they lack, or only record those entries."""
    flat = adoption.inferred.own_package != f"src/{adoption.answers['package']}"
    theirs = {path: rendered[path] for path in adoption.kept}
    lacking = complete.lacking(bench, files, theirs, flat=flat)
    adoption.by_hand = complete.by_hand(lacking)
    if not merge:
        adoption.lacking_entries = complete.described(lacking)
        return {}
    changes = {path: file.completed for path, file in lacking.items() if file.entries}
    adoption.merged = sorted(changes)
    adoption.completed = complete.described(lacking)
    adoption.kept = [path for path in adoption.kept if path not in changes]
    return changes
