"""A version of a template, checked out beside its repository and sharing its objects."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rung.system import git

# Patterns of the files that a render needs, as sparse-checkout reads them; one that is followed by a
# question is needed where the answer to it is yes.
PARTS = "levels/parts.txt"
SHA1 = 40  # letters of a commit's id; a repository of the other kind is left to git's own clone


def checked_out(repository: Path, ref: str, folder: Path, answers: Mapping[str, Any] = {}) -> bool:
    """Check a version out into an empty folder, with the tags; return whether that suffices.

    False where the template has submodules or filters, which a clone would run.

    Args:
        repository: The template's repository.
        ref: A tag or a commit.
        folder: Where to.
        answers: What the render is made with.
    """
    named = (
        "rev-parse",
        "--git-path",
        "objects",
        "--verify",
        "--end-of-options",
        f"{ref}^{{commit}}",
    )
    inside = repository / ".git"
    # Named outright: git may be told to look for no bare repository.
    at_hand = {"GIT_DIR": str((inside if inside.exists() else repository).absolute())}
    objects, *_, commit = git.run(repository, *named, extra=at_hand).splitlines()
    borrowed = str((repository / objects).resolve())
    if len(commit) != SHA1 or not borrowed.isprintable() or '"' in borrowed:
        return False
    own = folder / ".git"
    (own / "objects/info").mkdir(parents=True)
    (own / "refs").mkdir()
    (own / "objects/info/alternates").write_text(f"{borrowed}\n", "utf-8")
    settings = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"
    if parts := git.show(repository, commit, PARTS):
        settings += "\tsparseCheckout = true\n"
        (own / "info").mkdir()
        needed = [pattern for pattern, asked in _parts(parts) if not asked or answers.get(asked)]
        needed += ["/.gitattributes", "/.gitmodules"]
        (own / "info/sparse-checkout").write_text("".join(f"{one}\n" for one in needed), "utf-8")
    (own / "config").write_text(settings, "utf-8")
    tags = git.run(
        repository, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags", extra=at_hand
    )
    (own / "packed-refs").write_text(tags, "utf-8")
    (own / "HEAD").write_text(f"{commit}\n", "utf-8")
    git.run(folder, "reset", "--quiet", "--hard")
    attributes = [path.read_text("utf-8", "replace") for path in folder.rglob(".gitattributes")]
    return not (folder / ".gitmodules").exists() and not any(
        "filter" in text for text in attributes
    )


def _parts(text: str) -> list[tuple[str, str]]:
    """Return the patterns, each with its question or nothing."""
    lines = (line.partition(" ") for line in text.splitlines() if line.strip())
    return [(pattern, question.strip()) for pattern, _, question in lines]


def empty(folder: Path) -> None:
    """Remove the contents of a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
