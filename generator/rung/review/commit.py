"""The files of a commit, written out to be reviewed: by git's objects alone, without its filters."""

import os
import subprocess
from pathlib import Path, PurePosixPath

from rung import git
from rung.errors import RungError

MODES = {"100644", "100755"}
MOST = 20_000  # files
BYTES = 500_000  # of one file: no larger one is read


def write(repository: Path, revision: str, folder: Path) -> None:
    """Write the plain files of a commit into an empty folder.

    Raises:
        RungError: The path is in no git repository, or the commit is not there.
    """
    if revision.startswith("-") or git.repository_above(repository) is None:
        raise RungError(
            f"`--base {revision}` needs a commit, and {repository} in a git repository."
        )
    found = git.answers(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not found:
        raise RungError(
            f"There is no commit `{revision}` in {repository}. `git fetch` may bring it."
        )
    prefix = (git.answers(repository, "rev-parse", "--show-prefix") or "").rstrip("/")
    tree = f"{found}:{prefix}" if prefix else found
    wanted: list[tuple[str, str, int]] = []
    for line in git.run(repository, "ls-tree", "-r", "-l", "-z", tree).split("\0")[:MOST]:
        facts, tab, path = line.partition("\t")
        parts = PurePosixPath(path).parts
        if tab and facts[:6] in MODES and ".." not in parts and not path.startswith("/"):
            _, _, name, size = facts.split()
            wanted.append((name, path, int(size)))
    asked = "".join(f"{name}\n" for name, _, size in wanted if size <= BYTES)
    options = [word for key, value in git.QUIET.items() for word in ("-c", f"{key}={value}")]
    content = subprocess.run(
        ["git", *options, "cat-file", "--batch"],
        cwd=repository,
        env=git.environment(),
        input=asked.encode(),
        capture_output=True,
        check=True,
    ).stdout
    place = 0
    for _, path, length in wanted:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if length > BYTES:
            with file.open("wb") as written:
                os.truncate(
                    written.fileno(), length
                )  # a hole of that size, for size is all it shows
            continue
        place = content.index(b"\n", place) + 1
        file.write_bytes(content[place : place + length])
        place += length + 1
