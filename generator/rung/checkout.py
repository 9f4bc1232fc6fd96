"""A version of a template checked out beside its repository, whose objects it borrows."""

import shutil
from pathlib import Path

from rung import git

PARTS = (
    "levels/parts.txt"  # patterns of the files that a template needs, as sparse-checkout reads them
)
SHA1 = 40  # letters of a commit's id; a repository of the other kind is left to git's own clone


def checked_out(repository: Path, ref: str, folder: Path) -> bool:
    """Check a version out into an empty folder, with the tags; return whether that is all it needs.

    False where the template has submodules or filters, which a clone would run.

    Args:
        repository: The template's repository.
        ref: A tag or a commit.
        folder: Where to.
    """
    named = (
        "rev-parse",
        "--git-path",
        "objects",
        "--verify",
        "--end-of-options",
        f"{ref}^{{commit}}",
    )
    objects, *_, commit = git.run(repository, *named).splitlines()
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
        (own / "info/sparse-checkout").write_text(f"{parts}\n", "utf-8")
    (own / "config").write_text(settings, "utf-8")
    tags = git.run(repository, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags")
    (own / "packed-refs").write_text(tags, "utf-8")
    (own / "HEAD").write_text(f"{commit}\n", "utf-8")
    git.run(folder, "reset", "--quiet", "--hard")
    attributes = [path.read_text("utf-8", "replace") for path in folder.rglob(".gitattributes")]
    return not (folder / ".gitmodules").exists() and not any(
        "filter" in text for text in attributes
    )


def empty(folder: Path) -> None:
    """Remove what is in a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
