"""A disk that is full when a test says so."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.product.conftest import run

MEGABYTE = 1 << 20


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[None]:
    """Mount a disk of its own at a folder, or skip where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={round(megabytes * MEGABYTE)}"
    mounted = run("mount", "-t", "tmpfs", "-o", size, "tmpfs", folder, cwd=Path("/"), expect=None)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stdout}")
    try:
        yield
    finally:
        run("umount", "--lazy", folder, cwd=Path("/"))


def resize(folder: Path, megabytes: int) -> None:
    """Give the disk another size; what it holds has to fit."""
    run("mount", "-o", f"remount,size={megabytes}m", folder, cwd=Path("/"))


def fill(folder: Path, left: int = 0) -> None:
    """Make the disk so small that some megabytes are left at most."""
    reported = os.statvfs(folder)
    held = (reported.f_blocks - reported.f_bfree) * reported.f_frsize
    resize(folder, -(-held // MEGABYTE) + left)
