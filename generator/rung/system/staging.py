"""A folder that appears whole or not at all."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from rung.errors import RungError
from rung.system import lock
from rung.system.process import raise_lost_stop, stopped_like_ctrl_c

# A new clone of an empty repository counts as empty.
ALLOWED = {".git"}
ROOM = re.compile(r"\.rung-[0-9a-f]{16}\Z")  # a temporary folder beside the destination
PLACING = "placing"  # a file in the temporary folder: the names that are moved out of it


def check_free(destination: Path) -> None:
    """Raise a RungError unless a new project may be at this path."""
    try:
        destination.lstat()
        if not destination.is_dir():
            raise RungError(f"{destination} is a file. Choose another folder.")
        names = (path.name for path in destination.iterdir())
        taken = sorted(name for name in names if name not in ALLOWED and not ROOM.match(name))
    except FileNotFoundError:
        return
    except OSError as error:
        raise RungError(_unusable(destination, error)) from error
    if taken:
        raise RungError(
            f"{destination} is not empty: it holds {taken[0]}"
            f"{f' and {len(taken) - 1} more' if len(taken) > 1 else ''}.\n"
            "Choose a folder that does not exist yet, or an empty one."
        )


@contextlib.contextmanager
def staged(destination: Path) -> Iterator[Path]:
    """Yield a folder to fill; move it to its destination at the end, or leave nothing behind.

    It is beside the destination, so that the move is a rename within a file system.
    """
    clear_left_over(destination)
    check_free(destination)
    parent = destination if destination.is_dir() else destination.parent
    missing = [up for up in (parent, *parent.parents) if not os.path.lexists(up)]
    # The name is chosen first, so that the cleanup knows it whenever it is interrupted.
    room = parent / f".rung-{secrets.token_hex(8)}"
    with stopped_like_ctrl_c(), contextlib.ExitStack() as stack:
        try:
            try:
                parent.mkdir(parents=True, exist_ok=True)
                with _locked(parent):
                    room.mkdir(mode=0o700)
                    stack.enter_context(_locked(room))
            except OSError as error:
                raise RungError(_unusable(destination, error)) from error
            yield room / destination.name
            raise_lost_stop()
            with _locked(destination.parent):
                check_free(destination)  # another process may have been faster
                _place(room, destination)
        except BaseException:
            shutil.rmtree(room, ignore_errors=True)
            with contextlib.suppress(OSError):
                for folder in missing:
                    folder.rmdir()
            raise
        shutil.rmtree(room, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep another `rung new` out of a folder, where the system can lock one (Windows cannot)."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(lock.held(folder, folder=True))
        yield


def clear_left_over(destination: Path) -> None:
    """Remove what killed processes left: temporary folders, and files moved out of them."""
    try:
        parent = destination if destination.is_dir() else destination.parent
    except OSError as error:  # for example because the name is too long
        raise RungError(_unusable(destination, error)) from error
    with contextlib.suppress(OSError), lock.held(parent, folder=True):
        for room in [path for path in parent.iterdir() if ROOM.match(path.name)]:
            with contextlib.suppress(OSError), lock.held(room, folder=True, wait=0):
                if room.is_symlink() or room.stat().st_uid != os.getuid():
                    continue
                if room.parent != destination or _take_back(room, destination):
                    shutil.rmtree(room, ignore_errors=True)


def _place(room: Path, destination: Path) -> None:
    filled = room / destination.name
    if not destination.is_dir():
        filled.rename(destination)
        return
    # An existing folder is filled, not replaced: it may be a mount, or the shell's current folder.
    names = sorted(path.name for path in filled.iterdir())
    (room / PLACING).write_text("".join(f"{name}\n" for name in names), "utf-8")
    try:
        for name in names:
            if os.path.lexists(destination / name):
                raise RungError(f"{destination / name} appeared in the meantime. Nothing was made.")
            (filled / name).rename(destination / name)
    except BaseException:
        _take_back(room, destination)
        raise


def _take_back(room: Path, destination: Path) -> bool:
    """Remove what was moved to the destination; return False if it was changed since, so it stays."""
    listed = room / PLACING
    if not listed.is_file():
        return True
    moved = [
        destination / name
        for name in listed.read_text("utf-8").splitlines()
        if os.path.lexists(destination / name)
        and not os.path.lexists(room / destination.name / name)
    ]
    since = listed.stat().st_mtime_ns
    inside = [path for top in moved for path in (top, *top.rglob("*")) if not path.is_dir()]
    if any(path.lstat().st_mtime_ns > since for path in inside):
        return False
    for path in moved:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return True


def _unusable(destination: Path, error: OSError) -> str:
    return (
        f"{destination} cannot be written: {error.strerror or error}.\n"
        "Choose a folder that you may write to."
    )
