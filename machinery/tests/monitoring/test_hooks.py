"""The project's own check counts like the monitor's, and its notify hears of problems."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.tests.monitoring.test_run import look, predict, serving
from rung_ops.errors import StageError
from rung_ops.monitoring import observation
from rung_ops.project.paths import project_name

__all__ = ["serving"]  # a fixture
LENIENT: dict[str, dict[str, Any]] = {
    "freshness": {"row_days": 1e5, "model_days": 1e5},
    "drift": {"min_rows": 1_000_000},
}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Give the project a hook, by name; it has no others."""
    named: dict[str, Any] = {}
    monkeypatch.setattr("rung_ops.project.hooks.load", named.get)
    return named.__setitem__


def test_a_problem_of_the_projects_check_is_reported_and_notified(
    serving: Path,
    tmp_path: Path,
    hook: Callable[[str, Any], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: list[pl.DataFrame] = []
    messages: list[tuple[str, str]] = []
    hook("monitor_check", lambda predictions: given.append(predictions) or ["too many on Mondays"])
    hook("notify", lambda subject, message: messages.append((subject, message)))
    predict(serving)

    assert look(replaced=LENIENT) == 1

    assert given[0].height == 300
    assert {"id", "time", "row", "features", "prediction"} <= set(given[0].columns)
    assert "- too many on Mondays" in capsys.readouterr().out
    status = json.loads((tmp_path / "monitor/status.json").read_text(encoding="utf-8"))
    assert status["problems"] == ["too many on Mondays"]
    assert "too many on Mondays" in (tmp_path / "monitor/report.html").read_text(encoding="utf-8")
    subject = f"{project_name()} in production: the monitor found 1 problem"
    assert messages == [(subject, "too many on Mondays")]


@pytest.mark.parametrize(("problems", "words"), [([], []), (["too many on Mondays"], ["--json"])])
def test_without_a_problem_or_a_report_nothing_is_notified(
    serving: Path, hook: Callable[[str, Any], None], problems: list[str], words: list[str]
) -> None:
    hook("monitor_check", lambda predictions: problems)
    hook("notify", lambda subject, message: pytest.fail("notified"))
    predict(serving)

    assert look(*words, replaced=LENIENT) == len(problems)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned NoneType; it must return an empty list for no problem"),
        ("too many", "returned str"),
        (["too many", 7], "returned a list with 7 in it"),
        ([" "], "returned a list with ' ' in it"),
    ],
    ids=str,
)
def test_a_check_that_returns_something_else_is_itself_a_problem(
    hook: Callable[[str, Any], None], returned: Any, message: str
) -> None:
    hook("monitor_check", lambda predictions: returned)

    (problem,) = observation.hook_problems(pl.DataFrame())

    assert "the hook monitor_check must return a list of sentences, each a str" in problem
    assert message in problem


def test_a_check_that_cannot_be_loaded_is_exit_code_2(
    serving: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise StageError("pyproject.toml: [tool.rung.hooks] monitor_check: there is no such one.")

    monkeypatch.setattr("rung_ops.project.hooks.load", missing)
    predict(serving)

    assert look(replaced=LENIENT) == 2
    assert "[tool.rung.hooks] monitor_check" in capsys.readouterr().err
