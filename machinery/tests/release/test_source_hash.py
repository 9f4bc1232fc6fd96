"""The source of a model has one hash, wherever it is, and no trick of a clone changes it."""

from pathlib import Path

import pytest

from rung_ops.model import bundle
from rung_ops.system import git as system_git

PERSON = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))
}


def git(folder: Path, *arguments: str) -> str:
    return system_git.output(folder, *arguments, variables=PERSON)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A committed package, below a folder of its repository."""
    folder = tmp_path / "model"
    package = folder / "src/credit"
    package.mkdir(parents=True)
    for name, text in {"features.py": "FEATURES = []\n", "table.csv": "a,b\n"}.items():
        (package / name).write_text(text)
    (folder / "src/other.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "Go")
    return folder


def of_commit(project: Path) -> str:
    return bundle.source_hash_of_commit(project, git(project, "rev-parse", "HEAD"), "credit")


def test_commit_folder_and_release_have_the_same_one(project: Path) -> None:
    cache = project / "src/credit/__pycache__"
    cache.mkdir()
    (cache / "features.pyc").write_text("")
    (project / "src/credit/.draft").write_text("")
    files = {
        f"src/credit/{name}": bundle.digest(project / "src/credit" / name)
        for name in ("table.csv", "features.py")
    }

    released = bundle.source_hash(files | {"model.onnx": "0" * 64})

    assert released == of_commit(project) == bundle.source_hash_of_folder(project, "credit")


def test_another_file_or_name_has_another_one(project: Path) -> None:
    before = bundle.source_hash_of_folder(project, "credit")
    for edit in (
        lambda path: path.write_text("FEATURES = [1]\n"),
        lambda path: path.rename(path.with_name("others.py")),
    ):
        edit(project / "src/credit/features.py")
        after = bundle.source_hash_of_folder(project, "credit")
        assert after != before
        before = after


@pytest.mark.tried(
    "Let other source into an approved release: `git replace`, filters, attributes, an edited "
    "copy of the run, a new signature",
)
def test_replacements_filters_and_attributes_of_a_clone_change_nothing(project: Path) -> None:
    before = of_commit(project)
    evil = project / "evil.py"
    evil.write_text("FEATURES = [1]\n")
    blob = git(project, "rev-parse", "HEAD:./src/credit/features.py")
    git(project, "replace", blob, git(project, "hash-object", "-w", str(evil)))
    git(project, "config", "filter.x.smudge", "cat evil.py")
    info = project.parent / ".git/info/attributes"
    info.parent.mkdir(exist_ok=True)
    info.write_text("*.py filter=x export-ignore\n")

    assert "[1]" in git(project, "show", "HEAD:./src/credit/features.py")
    assert of_commit(project) == before


def test_a_commit_that_is_not_there_has_none(project: Path) -> None:
    assert bundle.source_hash_of_commit(project, "a" * 40, "credit") == ""
