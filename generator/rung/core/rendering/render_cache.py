"""The cache of renders: a repository that is lent, and deleted when it is old or large.

Everything in it can be rendered again, so it is deleted as a whole, while no process reads it.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from rung.core import cache
from rung.system import lock

OLDEST = 90  # days since it was begun
LARGEST = 50_000_000  # bytes; a render of Rung's own template adds about 65,000


@contextlib.contextmanager
def lent(kind: str) -> Iterator[Path]:
    """Lend the repository; it is not deleted while it is lent.

    Args:
        kind: How it names its objects: sha1 or sha256.
    """
    name = "renders" if kind == "sha1" else f"renders-{kind}"
    with _read(cache.prepared() / f"{name}.git"):
        yield cache.bare(name, kind)


@contextlib.contextmanager
def _read(repository: Path) -> Iterator[None]:
    file = repository.with_suffix(".lock")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # no locks, or no right to write: nothing is thrown away
            with contextlib.suppress(BlockingIOError), lock.held(file, wait=0):
                _throw_away(repository)
            stack.enter_context(lock.held(file, shared=True))
        yield


def _throw_away(repository: Path) -> None:
    """Remove the repository if it is too old or too large, and what an earlier removal left."""
    aside = repository.with_suffix(".old")
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(OSError):  # it is not there; or it cannot be removed, and stays
        old = time.time() - (repository / "HEAD").stat().st_mtime > OLDEST * 24 * 3600
        if old or _bytes(repository) > LARGEST:
            repository.rename(aside)  # at one moment, so that no half of it is ever read
            shutil.rmtree(aside, ignore_errors=True)


def _bytes(folder: Path) -> int:
    entries = list(os.scandir(folder))
    below = sum(_bytes(Path(entry)) for entry in entries if entry.is_dir(follow_symlinks=False))
    return below + sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
