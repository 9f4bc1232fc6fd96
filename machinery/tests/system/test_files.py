"""What is not a regular file within bounds is refused at once, and never waited for."""

import os
from pathlib import Path

import pytest

from rung_ops.system.files import UnusableFileError, read_regular


def test_a_regular_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")

    assert read_regular(path, 6) == b"abcdef"
    assert read_regular(path, 4, start=2) == b"cdef"
    with pytest.raises(UnusableFileError, match="is larger than 5 bytes"):
        read_regular(path, 5)


def test_a_pipe_a_folder_and_a_device_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(UnusableFileError, match="is not a regular file"):
            read_regular(path, 10)


def test_a_sparse_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as opened:
        opened.truncate(1 << 40)

    with pytest.raises(UnusableFileError, match="is larger than"):
        read_regular(tmp_path / "file", 1 << 30)


def test_a_link_is_followed_only_where_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"key")
    (tmp_path / "link").symlink_to("file")

    assert read_regular(tmp_path / "link", 10, follow=True) == b"key"
    with pytest.raises(UnusableFileError, match="is a link"):
        read_regular(tmp_path / "link", 10)
