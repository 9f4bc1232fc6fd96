"""The command line: its start, its help, its exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rung import new
from rung.__main__ import main
from tests.command import RUNG, rung
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["new", "--help"],
        ["levels"],
        ["climb", "--help"],
        ["assess", "--defaults"],
        ["plan", "--help"],
        ["update", "--help"],
    ],
)
def test_a_command_that_renders_nothing_imports_no_copier(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom rung.__main__ import main\n"
        f"main({arguments!r})\n"
        "heavy = {'copier', 'plumbum', 'pydantic', 'jinja2', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_version_is_the_packages() -> None:
    assert "rung 0.2.0\n" == rung("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing command.\nSee `rung --help`."),
        (["rise"], "No such command `rise`.\nSee `rung --help`."),
        (["new"], "Missing argument `DEST`.\nSee `rung new --help`."),
        (["new", "a", "b"], "(b).\nSee `rung new --help`."),
        (["new", "a", "--leve=1"], "No such option: --leve"),
        (["climb", "--too", "1"], "No such option: --too"),
        (["climb", "--to"], "Option `--to` requires an argument"),
        (["plan", "--too", "1"], "No such option: --too"),
        (["update", "--to", "1"], "No such option: --to"),
        (["climb", "--to", "high"], "`high` is not a valid int"),
        (["levels", "--mark"], "No such option: --mark"),
    ],
)
def test_a_command_that_cannot_be_read_is_refused(arguments: list[str], said: str) -> None:
    done = rung(*arguments)

    assert 2 == done.returncode
    assert done.stderr.startswith("rung: ")
    assert said in done.stderr
    assert "" == done.stdout


def test_options_may_stand_before_and_after_the_argument(tmp_path: Path) -> None:
    for arguments in (["--to", "1", str(tmp_path)], [str(tmp_path), "--to", "1"]):
        done = rung("climb", *arguments)

        assert f"{tmp_path} is no project of Rung" in done.stderr


def test_the_unexpected_ends_with_code_3_and_one_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(new, "new", broken)
    code = main(["new", str(tmp_path / "made"), "--defaults", "--template", str(ROOT)])
    words = capsys.readouterr().err

    assert 3 == code
    assert "RUNG_DEBUG=1" in words
    assert "Traceback" not in words


def test_the_home_of_nobody_is_refused() -> None:
    done = rung("new", "~nosuchuser/x", "--defaults")

    assert 2 == done.returncode
    assert "nobody is called `nosuchuser`" in done.stderr


def test_output_that_nobody_reads_is_no_success() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([RUNG, "levels"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)

    assert (141, b"") == (done.returncode, done.stderr)


def test_the_ladder_can_be_cut_off(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{Path(sys.executable).with_name('rung')} levels | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "" == done.stderr
