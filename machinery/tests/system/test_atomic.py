"""A file that is written atomically holds the old content or the new one, whenever it is killed."""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from machinery.tests.system.kills import killed_at
from rung_ops.system import files


def by_path(path: Path) -> None:
    with files.writing(path) as draft:
        draft.write_bytes(b"new content")


@pytest.mark.parametrize("write", [lambda path: files.write(path, b"new content"), by_path])
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


@pytest.mark.parametrize("ends", [Path.unlink, lambda draft: draft.joinpath("none").read_bytes()])
def test_without_a_draft_or_after_an_error_the_file_is_as_it_was(
    ends: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old content")

    with suppress(NotADirectoryError), files.writing(path) as draft:
        draft.write_bytes(b"new content")
        ends(draft)

    assert path.read_bytes() == b"old content"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_writers_with_names_have_a_draft_each(tmp_path: Path) -> None:
    path = tmp_path / "file"

    with files.writing(path, "one") as first, files.writing(path, "two") as second:
        assert first != second
        first.write_bytes(b"one")
        second.write_bytes(b"two")

    assert path.read_bytes() == b"one"


def test_a_draft_folder_is_removed_once_no_process_writes_it(tmp_path: Path) -> None:
    (tmp_path / f"{files.DRAFT_FOLDER}of-a-killed-process.tmp/v1").mkdir(parents=True)
    (tmp_path / f"{files.DRAFT_FOLDER}of-a-user/v1").mkdir(parents=True)

    with files.draft_folder(tmp_path) as first, files.draft_folder(tmp_path) as second:
        assert {first, second} == set(tmp_path.glob(f"{files.DRAFT_FOLDER}*.tmp"))

    assert [path.name for path in tmp_path.iterdir()] == [f"{files.DRAFT_FOLDER}of-a-user"]


def test_a_draft_folder_that_another_process_took_for_left_is_not_lent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = tempfile.mkdtemp, list[Path]()

    def overtaken(**options: Any) -> str:
        made.append(draft := Path(make(**options)))
        if len(made) == 1:
            with files.draft_folder(tmp_path):
                assert not draft.exists()
        return str(draft)

    monkeypatch.setattr(tempfile, "mkdtemp", overtaken)
    with files.draft_folder(tmp_path) as draft:
        assert draft == made[-1]
        assert draft.is_dir()


def test_a_draft_folder_whose_lock_is_another_file_by_now_is_not_lent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, locked = files.try_lock, list[Path]()

    def overtaken(path: Path) -> int | None:
        held = lock(path)
        locked.append(path)
        if len(locked) == 1:  # two others take it for left: one removes the lock, one makes another
            path.unlink()
            path.touch()
        return held

    monkeypatch.setattr(files, "try_lock", overtaken)
    with files.draft_folder(tmp_path) as draft:
        assert draft == locked[-1].parent != locked[0].parent


def test_what_a_kill_at_any_point_leaves_the_next_draft_folder_removes(tmp_path: Path) -> None:
    def lend() -> None:
        with files.draft_folder(tmp_path) as draft:
            files.write(draft / "file", b"content")

    point, killed = 0, True
    while killed:
        killed = killed_at(point, lend)
        point += 1
        with files.draft_folder(tmp_path) as draft:
            assert list(tmp_path.iterdir()) == [draft]

    assert point > 4


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
def test_a_private_file_is_never_open_to_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with files.writing(path, private=True) as draft:
        drafted = draft.stat().st_mode & 0o777
        draft.write_bytes(b"rows")

    assert (drafted, path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, 0o600, b"rows")


def test_a_draft_that_cannot_be_removed_fails_nothing_and_the_next_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, files.draft_folder(tmp_path) as left:
        patch.setattr(shutil, "rmtree", Mock(side_effect=OSError("busy")))
    assert left.is_dir()

    with files.draft_folder(tmp_path):
        assert not left.exists()
