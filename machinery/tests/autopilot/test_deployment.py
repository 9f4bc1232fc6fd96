"""What the autopilot does to production, and what it says of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung_ops.autopilot import steps
from rung_ops.autopilot.decide import read_rules
from rung_ops.autopilot.journal import Record, Tools, production
from rung_ops.errors import StageError
from rung_ops.project import paths
from rung_ops.release import state

BY = "Ada"


class Verbs:
    """Stands for the project's verbs: notes each, and does in its place what a test says."""

    def __init__(self, does: Callable[[], Any]) -> None:
        self.does = does
        self.called: list[tuple[str, ...]] = []

    def must(self, *arguments: str) -> None:
        self.called.append(arguments)
        self.does()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Production, in which v2 followed v1."""
    monkeypatch.setenv("RELEASES", str(tmp_path))
    made = paths.environment(paths.PRODUCTION)
    state.serve(made, "v1", BY)
    state.serve(made, "v2", BY)
    return made


def tools(verbs: Verbs) -> Tools:
    return Tools(read_rules(), verbs, print)  # type: ignore[arg-type]


def record(**steps: dict[str, Any]) -> Record:
    """A pass of which these steps have ended."""
    ended = [{"step": name, "detail": each, "ended": "2026-01-31"} for name, each in steps.items()]
    return {"steps": ended}


WORSE = {"facts": {"serving": "v2"}, "reasons": ["v2 is worse than v1 was"]}


def test_a_release_is_rolled_back_also_while_another_one_is_on_trial(folder: Path) -> None:
    state.canary(folder, "v3", BY)
    verbs = Verbs(lambda: state.roll_back(folder, "autopilot"))

    done = steps.roll_back(tools(verbs), record(decide=WORSE))

    assert production().serving == "v1"
    assert "v2 was rolled back; v1 is served again" in done.summary
    assert len(verbs.called) == 2  # the first one ends the canary


def test_what_was_not_rolled_back_is_not_reported_to_be(folder: Path) -> None:
    with pytest.raises(StageError, match="v2 is still served"):
        steps.roll_back(tools(Verbs(lambda: None)), record(decide=WORSE))


def test_what_was_sent_back_meanwhile_is_not_deployed_again(folder: Path) -> None:
    state.shadow(folder, "v3", 1.0, "autopilot")
    state.abort(folder, "it could not score", "service")
    verbs = Verbs(lambda: None)

    done = steps.deploy(tools(verbs), record(release={"release": "v3"}))

    assert verbs.called == []
    assert done.summary == "v3 was removed from production"
