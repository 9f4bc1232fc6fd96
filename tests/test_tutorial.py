"""docs/tutorial.md works as it is written: its files are written, and its commands typed, in their order."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.product.conftest import environment, search_path, types_remembered
from tests.product.serving import free_port

__all__ = ["types_remembered"]  # a fixture
PAGE = ROOT / "docs/tutorial.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE.read_text("utf-8"))
INSTALL = "uv tool install git+https://github.com/rung-ml/rung\n"
PORT = "8000"
MARK = "== block"


def script(port: str) -> str:
    """Write the page as one shell script; a line with MARK comes before what each block prints."""
    lines = ["set -em", "trap 'jobs -p | xargs -r kill || true' EXIT"]
    for number, (kind, title, text) in enumerate(BLOCKS):
        if kind == "sh" and title != "install":
            lines += [f"printf '\\n{MARK} {number}\\n'", text.replace(PORT, port)]
        elif title and kind != "sh":
            lines += [f"cat > {title} <<'END OF FILE'", f"{text}END OF FILE"]
    return "\n".join(lines)


def as_pattern(line: str) -> str:
    """Let `...` in a line of output that the page shows stand for whatever differs each time."""
    return ".*".join(map(re.escape, line.split("...")))


def test_each_block_is_a_file_a_command_or_what_the_command_before_it_prints() -> None:
    kinds = [(kind, bool(title)) for kind, title, _ in BLOCKS]

    assert {("sh", False), ("sh", True), ("text", False), ("python", True), ("toml", True)} == set(
        kinds
    )
    assert (
        len(re.findall(rf"(?:localhost:|--port ){PORT}", script(PORT)))
        == script(PORT).count(PORT)
        > 1
    )
    assert [INSTALL] == [text for kind, title, text in BLOCKS if kind == "sh" and title]
    assert {("sh", False)} == {one for one, other in pairwise(kinds) if other == ("text", False)}
    assert all(text.strip() for _, _, text in BLOCKS)


@pytest.mark.slow
@pytest.mark.every_commit
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    """But for the port, and for the command, which is that of this clone."""
    programs, folder = tmp_path / "bin", tmp_path / "tutorial"
    programs.mkdir()
    folder.mkdir()
    (programs / "rung").symlink_to(Path(sys.executable).with_name("rung"))
    done = subprocess.run(
        ["bash", "-c", script(str(free_port()))],
        cwd=folder,
        env=environment(PATH=search_path(programs)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    parts = re.split(rf"^{MARK} (\d+)\n", done.stdout, flags=re.MULTILINE)
    printed = dict(zip(parts[1::2], parts[2::2], strict=True))
    shown = [
        (printed[str(number - 1)], line)
        for number, (kind, _, text) in enumerate(BLOCKS)
        for line in text.splitlines()
        if kind == "text" and line.strip(". ")
    ]

    assert shown
    for output, line in shown:
        assert re.search(f"^{as_pattern(line)}$", output, re.MULTILINE), (
            f"{line!r} not in\n{output}"
        )
