"""A folder that appears whole or not at all."""

import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rung.errors import RungError

# A repository just cloned from an empty one is as good as empty.
ALLOWED = {".git"}


def check_free(destination: Path) -> None:
    """Raise a RungError unless a new project may stand at this path."""
    try:
        destination.lstat()
        if not destination.is_dir():
            raise RungError(f"{destination} is a file. Choose another folder.")
        taken = sorted(path.name for path in destination.iterdir() if path.name not in ALLOWED)
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
    """Lend a folder to fill; move it to its destination at the end, or leave nothing behind.

    It stands beside the destination, so that the move is one rename on one file system.
    """
    check_free(destination)
    parent = destination if destination.is_dir() else destination.parent
    made = _missing(parent)
    # Named before it is made, so that there is no moment at which nobody would tidy it up.
    room = parent / f".rung-{secrets.token_hex(8)}"
    with stopped_like_ctrl_c():
        try:
            try:
                parent.mkdir(parents=True, exist_ok=True)
                room.mkdir(mode=0o700)
            except OSError as error:
                raise RungError(_unusable(destination, error)) from error
            yield room / destination.name
            _place(room / destination.name, destination)
        except BaseException:
            shutil.rmtree(room, ignore_errors=True)
            _forget(made)
            raise
        shutil.rmtree(room, ignore_errors=True)


def _place(filled: Path, destination: Path) -> None:
    if not destination.is_dir():
        filled.rename(destination)
        return
    # An empty folder stays itself: it may be where the person's shell stands, or a mount.
    moved: list[Path] = []
    try:
        for path in sorted(filled.iterdir()):
            path.rename(destination / path.name)
            moved.append(destination / path.name)
    except BaseException:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


@contextlib.contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let a request to end, or a closed terminal, tidy up as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    except (ValueError, AttributeError):  # not in the main thread; no SIGHUP on this system
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _missing(parent: Path) -> list[Path]:
    """Return the folders that have to be made, innermost first."""
    return [up for up in (parent, *parent.parents) if not os.path.lexists(up)]


def _forget(made: list[Path]) -> None:
    for folder in made:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _unusable(destination: Path, error: OSError) -> str:
    return (
        f"{destination} cannot be written: {error.strerror or error}.\n"
        "Choose a folder that you may write to."
    )
