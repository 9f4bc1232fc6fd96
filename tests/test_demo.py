"""`rung demo` shows what really ran."""

import sys
from pathlib import Path

import pytest

from rung.core.commands import demo
from rung.errors import NotDoneError
from rung.system import process
from tests.command import rung


def test_the_table_has_a_row_for_each_rung() -> None:
    climbed = [
        demo.RungResult(0, 40, 9, "auc 0.701", 31.4),
        demo.RungResult(1, 55, 120, "auc 0.701", 48.0),
    ]

    assert [
        "rung  files  tests passed      score  seconds",
        "   0     40             9  auc 0.701       31",
        "   1     55           120  auc 0.701       48",
    ] == demo.table(climbed).splitlines()


def test_a_program_that_fails_shows_its_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; print('why it failed'); sys.exit(7)"
    with pytest.raises(NotDoneError, match="exit code 7"):
        process.run("try", [sys.executable, "-c", code], tmp_path)

    assert "why it failed" in capsys.readouterr().err


def test_a_program_runs_outside_rungs_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH", "PYTEST_ADDOPTS"):
        monkeypatch.setenv(name, "ours")

    assert "ours" not in process.environment().values()


def test_where_to_look_can_be_pasted(tmp_path: Path) -> None:
    directory = tmp_path / "a place"

    assert f"cd '{directory}' && uv run poe runs" in demo.results(directory, 2)
    assert f"cd '{directory}' && uv run poe serve" in demo.results(directory, 3)
    assert f"{directory}/reports/replay/timeline.html" in demo.results(directory, 4)
    assert not [where for where in demo.results(directory, 1) if "poe runs" in where]


def test_a_replay_that_fails_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "print('2013-03: 10 requests'); print(); print('the service died'); raise SystemExit(1)"

    with pytest.raises(NotDoneError, match="exit code 1"):
        demo._replay([sys.executable, "-c", code], tmp_path)

    assert "the service died" in capsys.readouterr().err


@pytest.mark.parametrize("upto", ["-1", "5"])
def test_a_rung_that_the_demo_does_not_reach_is_refused(tmp_path: Path, upto: str) -> None:
    done = rung("demo", "--keep", tmp_path / "made", f"--upto={upto}")

    assert done.returncode == 2
    assert [] == list(tmp_path.iterdir())
