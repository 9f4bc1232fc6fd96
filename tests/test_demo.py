"""`rung demo` shows what really ran."""

import sys
from pathlib import Path

import pytest

from rung.core.commands import demo
from rung.errors import NotDoneError
from tests.command import rung


def test_a_replay_that_fails_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "print('2013-03: 10 requests'); print(); print('the service died'); raise SystemExit(1)"

    with pytest.raises(NotDoneError, match="exit code 1"):
        demo._replay([sys.executable, "-c", code], tmp_path)

    assert "the service died" in capsys.readouterr().err


@pytest.mark.parametrize("upto", ["-1", "5"])
def test_a_rung_that_the_demo_does_not_reach_is_refused(tmp_path: Path, upto: str) -> None:
    rung("demo", "--keep", tmp_path / "made", f"--upto={upto}", expect=2)

    assert [] == list(tmp_path.iterdir())
