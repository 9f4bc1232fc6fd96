"""One hash for the source of a model: of a release, of a folder, and of a commit.

The three are equal where the files are. A validator signs that of the commit, and the service
compares that of the release with it: neither believes what another tool has unpacked.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from rung_ops.model import bundle
from rung_ops.system import git

# What would show other files or commits: replacements, grafts and commit graph of this clone alone.
PLAIN = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}
NO_GRAPH = ("-c", "core.commitGraph=false")


def of_files(files: Mapping[str, str]) -> str:
    """Hash the source of a release; `files` has the SHA-256 by path, as in its manifest."""
    source = {path: hash_ for path, hash_ in files.items() if path.startswith(f"{bundle.SOURCE}/")}
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()


def of_folder(root: Path, package: str) -> str:
    """Hash a package as it is in src/ of a model's folder."""
    folder = root / bundle.SOURCE / package
    return of_files(
        {
            path.relative_to(root).as_posix(): bundle.digest(path)
            for path in folder.rglob("*")
            if path.is_file() and not left_out(path.relative_to(folder).parts)
        }
    )


def of_commit(root: Path, commit: str, package: str) -> str:
    """Hash a package as a commit has it; empty if this clone lacks the commit."""
    try:
        return of_files(dict(_blobs(root, commit, f"{bundle.SOURCE}/{package}")))
    except git.GitError:
        return ""


def _blobs(root: Path, commit: str, folder: str) -> Iterator[tuple[str, str]]:
    """Hash the files of a folder as they were committed, without filters and attributes."""
    run = partial(git.content, root, *NO_GRAPH, variables=PLAIN)
    listed = run("ls-tree", "-r", "-z", commit, "--", folder).decode()
    for entry in filter(None, listed.split("\0")):
        about, path = entry.split("\t", 1)
        if not left_out(path.removeprefix(f"{folder}/").split("/")):
            yield path, hashlib.sha256(run("cat-file", "blob", about.split()[2])).hexdigest()


def left_out(names: Iterable[str]) -> set[str]:
    """Say which names of files and folders below a package no release carries."""
    return {name for name in names if name == "__pycache__" or name.startswith(".")}
