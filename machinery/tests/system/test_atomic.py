"""A file that is written atomically holds the old content or the new one, whenever it is killed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung_ops.system import atomic

CALLS = ("open", "write", "fsync", "replace", "close")  # of os, which a kill may hit


def killed_at(point: int, work: Callable[[], Any]) -> bool:
    """Run work in a process that is killed at its point-th system call; False: it was finished.

    A write that is hit is half done.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status)
    calls = {name: getattr(os, name) for name in CALLS}
    left = point

    def counted(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                if name == "write":
                    descriptor, content = arguments
                    calls["write"](descriptor, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return calls[name](*arguments, **named)

        return call

    for name in calls:
        setattr(os, name, counted(name))
    try:
        work()
    finally:
        os._exit(0)


def by_path(path: Path) -> None:
    with atomic.writing(path) as draft:
        draft.write_bytes(b"new content")


@pytest.mark.parametrize("write", [lambda path: atomic.write(path, b"new content"), by_path])
def test_a_kill_at_any_point_leaves_the_old_content_or_the_new_one(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    contents = set()
    point, killed = 0, True
    while killed:
        path.write_bytes(b"old content")
        killed = killed_at(point, lambda: write(path))
        contents.add(path.read_bytes())
        point += 1

    assert contents == {b"old content", b"new content"}
    assert point > 4
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_draft_that_is_removed_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old content")

    with atomic.writing(path) as draft:
        draft.write_bytes(b"new content")
        draft.unlink()

    assert path.read_bytes() == b"old content"


def test_an_error_leaves_the_file_as_it_was_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old content")

    with pytest.raises(RuntimeError), atomic.writing(path) as draft:
        draft.write_bytes(b"new content")
        raise RuntimeError

    assert path.read_bytes() == b"old content"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_writers_with_names_have_a_draft_each(tmp_path: Path) -> None:
    path = tmp_path / "file"

    with atomic.writing(path, "one") as first, atomic.writing(path, "two") as second:
        assert first != second
        first.write_bytes(b"one")
        second.write_bytes(b"two")

    assert path.read_bytes() == b"one"


def test_a_draft_folder_is_removed_once_no_process_writes_it(tmp_path: Path) -> None:
    (tmp_path / f"{atomic.DRAFT_FOLDER}of-a-killed-process/v1").mkdir(parents=True)

    with atomic.draft_folder(tmp_path) as first, atomic.draft_folder(tmp_path) as second:
        assert {first, second} == set(tmp_path.glob(f"{atomic.DRAFT_FOLDER}*"))

    assert not list(tmp_path.glob(f"{atomic.DRAFT_FOLDER}*"))


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
def test_a_private_file_is_never_open_to_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic.writing(path, private=True) as draft:
        drafted = draft.stat().st_mode & 0o777
        draft.write_bytes(b"rows")

    assert (drafted, path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, 0o600, b"rows")
