"""A program of a project that fails: what is said beside its own output."""

import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rung import process
from rung.errors import NotDoneError

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
METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"


class Quiet(SimpleHTTPRequestHandler):
    """Serve a folder without a line for each request."""

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """An index of plain HTML, which has no days, with one package; its address."""
    page = tmp_path / "index/simple/tiny/index.html"
    page.parent.mkdir(parents=True)
    name = "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(page.parent / name, "w") as wheel:
        wheel.writestr("tiny-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    page.write_text(f'<a href="{name}">{name}</a>')
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "index"))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_index_without_days_is_told_of(
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
