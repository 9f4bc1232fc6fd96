"""The files of a commit, written out to be reviewed: by git's objects alone, without its filters."""

import os
from pathlib import Path, PurePosixPath

from rung.errors import RungError
from rung.system import git
from rung.system.git import root

MODES = {"100644", "100755"}
MOST = 20_000  # files
BYTES = 500_000  # of one file: no larger one is read


def write(repository: Path, revision: str, folder: Path) -> None:
    """Write the plain files of a commit into an empty folder.

    Raises:
        RungError: The path is in no git repository, or the commit is not there.
    """
    top = root(repository)
    if revision.startswith("-") or top is None:
        raise RungError(
            f"`--base {revision}` needs a commit, and {repository} in a git repository."
        )
    commit = git.answers(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not commit:
        raise RungError(
            f"There is no commit `{revision}` in {repository}. `git fetch` may bring it."
        )
    prefix = git.prefix(top, repository)
    tree = f"{commit}:{prefix}" if prefix else commit
    wanted: list[tuple[str, str, int]] = []
    for line in git.run(repository, "ls-tree", "-r", "-l", "-z", tree).split("\0")[:MOST]:
        facts, tab, path = line.partition("\t")
        parts = PurePosixPath(path).parts
        if tab and facts[:6] in MODES and ".." not in parts and not path.startswith("/"):
            _, _, name, size = facts.split()
            if not size.isdigit():  # git says BAD
                raise git.lacks(name)
            wanted.append((name, path, int(size)))
    names = [name for name, _, size in wanted if size <= BYTES]
    asked = "".join(f"{name}\n" for name in names)
    contents = git.blobs(git.run(repository, "cat-file", "--batch", stdin=asked), names)
    for name, path, length in wanted:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if length > BYTES:
            with file.open("wb") as written:
                os.truncate(
                    written.fileno(), length
                )  # a hole of that size, for size is all it shows
            continue
        file.write_bytes(contents[name])
