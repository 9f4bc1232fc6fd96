"""Projects as earlier versions made them, with edits of users in them, and a template of today.

Each version of the corpus is a commit of this repository's own history, and a folder with patches:
edits of users, one concern a file. A patch goes into every project that has its files.
"""

import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from rung.levels import template_answers
from tests.climbing import tiny
from tests.command import git
from tests.conftest import ROOT

HERE = Path(__file__).parent
VERSIONS = {"v0.2": "d4a1ba2"}  # shortly before its release
TODAY = "v1000.0"  # sorts behind every release
TEMPLATE = ["copier.yml", "levels", "templates", "machinery"]
TOKEN = "EDIT"  # is in every line of a user's that a test looks for


def history(version: str) -> str:
    """Return the commit of an earlier version; without the history, skip, or fail where CI runs."""
    commit = VERSIONS[version]
    result = subprocess.run(
        ["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, check=False
    )
    if result.returncode:
        why = f"{commit} is not in this clone: fetch the whole history (`git fetch --unshallow`)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    return commit


def template(folder: Path) -> Path:
    """Make a repository with a tag for each version of the corpus, and this work tree as TODAY."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for version in VERSIONS:
        packed = subprocess.run(
            ["git", "archive", history(version), *TEMPLATE],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        _clear(folder)
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="tar")
        _tagged(folder, version)
    _clear(folder)
    copy_work_tree(folder)
    _tagged(folder, TODAY)
    return folder


def today(folder: Path) -> Path:
    """Make a repository of this work tree's template alone."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    copy_work_tree(folder)
    _tagged(folder, TODAY)
    return folder


def copy_work_tree(folder: Path) -> None:
    """Copy what this work tree has of the template, committed or not."""
    listed = git(ROOT, "ls-files", "-co", "--exclude-standard", "--", *TEMPLATE).splitlines()
    for path in filter(lambda path: os.path.lexists(ROOT / path), listed):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path, follow_symlinks=False)


def edit(project: Path, version: str) -> list[str]:
    """Apply the version's patches and edit src/; return the names of the patches that fit."""
    done = []
    for patch in sorted((HERE / version).glob("*.patch")):
        touched = re.findall(r"^--- a/(.+)$", patch.read_text(), re.MULTILINE)
        if all((project / path).exists() for path in touched):
            git(project, "apply", "--whitespace=nowarn", str(patch))
            done.append(patch.stem)
    for file in sorted(project.glob("src/*/[a-z]*.py")):
        file.write_text(file.read_text() + f"\n\n# {TOKEN}: ours in {file.name}\n")
    with (project / "params.toml").open("a") as params:
        params.write(f"\n[ours] # {TOKEN}\nlimit = 3\n")
    tiny.commit(project, "Edit")
    return done


def unlike_fresh(project: Path, template: Path, folder: Path) -> set[str]:
    """Return the files of an updated project that differ from those of a fresh one with its answers."""
    given = template_answers.read(project / ".copier-answers.yml")
    fresh = tiny.files_of(tiny.fresh(template, folder, TODAY, **given))
    mine = tiny.files_of(project)
    assert fresh.keys() == mine.keys()
    return {path for path in fresh if fresh[path] != mine[path]}


def tokens(files: dict[str, bytes]) -> set[str]:
    """Return the lines of users in some files."""
    texts = [text.decode("utf-8", "replace") for text in files.values()]
    marked = re.compile(rf"\b{TOKEN}\b")  # Rung's own UV_NO_EDITABLE is none
    return {line.strip() for text in texts for line in text.splitlines() if marked.search(line)}


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.name != ".git":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _tagged(folder: Path, tag: str) -> None:
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--no-verify", "-m", tag)
    git(folder, "tag", tag)
