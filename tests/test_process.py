"""A program of a project that fails, and a command that is stopped."""

import os
import signal
from pathlib import Path

import pytest

from rung.errors import NotDoneError
from rung.system import process

PROJECT = """
[project]
name = "ours"
version = "0"
requires-python = ">=3.11"
dependencies = ["tiny"]

[tool.uv]
exclude-newer = "2026-11-20T00:00:00Z"

[[tool.uv.index]]
url = "ADDRESS/simple"
default = true
"""


def test_an_index_without_days_is_reported(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    text = PROJECT.replace("ADDRESS", index)
    (folder / "pyproject.toml").write_text(text)
    uv = process.uv()
    assert uv
    command = [uv, "lock", "--quiet", "--cache-dir", str(tmp_path / "cache")]

    with pytest.raises(NotDoneError):
        process.run("lock", command, folder)

    assert process.NO_DAYS in capsys.readouterr().err

    without = [line for line in text.splitlines() if not line.startswith("exclude-newer")]
    (folder / "pyproject.toml").write_text("\n".join(without))

    process.run("lock", command, folder)

    assert "tiny" in (folder / "uv.lock").read_text()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_in_a_finalizer_is_raised_at_the_end() -> None:
    """Python ignores what is raised there."""

    class Last:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt), process.stopped_like_ctrl_c():
        Last()

    with process.stopped_like_ctrl_c():
        process.raise_lost_stop()  # the next command is not stopped
