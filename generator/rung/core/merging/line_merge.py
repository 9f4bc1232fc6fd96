"""Merge text by lines, with git's own merge: with markers, or both sides where order is free."""

import os
import tempfile
from pathlib import Path, PurePosixPath

from rung.errors import RungError
from rung.system import git

IGNORES = (".gitignore", ".dockerignore", ".dvcignore", ".gitattributes", ".prettierignore")


def takes_both(path: str) -> bool:
    """Say whether a file is a list of patterns, in which both sides' lines may stand."""
    name = PurePosixPath(path).name
    return name in IGNORES or name.endswith((".dockerignore", ".gitignore"))


def merge(base: bytes, ours: bytes, theirs: bytes, *, favor: str = "") -> tuple[bytes, int]:
    """Return the merged text, with markers `yours` and `rung`, and how many conflicts it has.

    Args:
        base, ours, theirs: The texts.
        favor: What is kept where both changed the same lines: `union` (both) or `theirs`, without
            markers.

    Raises:
        RungError: It is not text.
    """
    options = [f"--{favor}"] if favor else ["-L", "yours", "-L", "before", "-L", "rung"]
    with tempfile.TemporaryDirectory(prefix="rung-") as folder:
        directory = Path(folder)
        for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
            (directory / name).write_bytes(content)
        nobodys = {
            "GIT_DIR": str(directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        arguments = ("merge-file", "-p", "-q", *options, "ours", "base", "theirs")
        done = git.completed(directory, *arguments, extra=nobodys)
    if done.returncode > 127:
        raise RungError(done.stderr.decode(errors="replace").strip() or "git merge-file failed")
    return done.stdout, done.returncode


def is_text(content: bytes) -> bool:
    """Say whether git takes a content for text: no zero byte in its first 8000."""
    return b"\0" not in content[:8000]


def line_ends(content: bytes) -> bytes:
    """Return how the lines of a text end, going by the most of them."""
    carried = content.count(b"\r\n")
    return b"\r\n" if carried * 2 > content.count(b"\n") else b"\n"


def with_line_ends(content: bytes, ends: bytes) -> bytes:
    """Return a text with all its lines ended in one way."""
    plain = content.replace(b"\r\n", b"\n")
    return plain if ends == b"\n" else plain.replace(b"\n", b"\r\n")
