"""A release enters production's shadow after the gate's verdict, and answers no request there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung_governance.approval import audit, deploy, keys, served_model
from rung_ops.release import history, state

Candidates = tuple[str, str]
Write = Callable[..., None]
UNAPPROVED = {"promote": False, "awaits": ["it is not validated"]}


def events(folder: Path) -> list[str]:
    return [event["event"] for event in history.read(folder / state.HISTORY)]


def test_staging_answers_at_once_and_the_audit_log_is_signed(
    candidates: Candidates, production: Path
) -> None:
    assert deploy.main(["staging"]) == 0

    staging = production.with_name("staging")
    assert state.read(staging).serving == candidates[1]
    assert audit.report(staging) == []


def test_the_first_release_waits_in_production_and_answers_no_request(
    candidates: Candidates, production: Path, judge: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    judge("1", None)

    assert deploy.main(["production", candidates[0]]) == 0

    assert "answers no requests: `uv run poe promote 1`" in capsys.readouterr().out
    assert state.read(production).serving is None
    assert (production / "bundles" / candidates[0]).is_dir()
    assert events(production) == ["judged"]
    assert audit.report(production) == []


@pytest.mark.parametrize("verdict", [{}, UNAPPROVED], ids=["approved", "not approved yet"])
def test_a_later_release_comes_to_the_shadow(
    candidates: Candidates, production: Path, judge: Write, verdict: dict[str, Any]
) -> None:
    with audit.signed(production):
        state.serve(production, candidates[0], "Ada")
    audit.record(production, "reviewed", "Ada", review=True)
    judge("2", candidates[0], **verdict)

    assert deploy.main(["production"]) == 0

    now = state.read(production)
    assert (now.serving, now.canary) == (candidates[0], None)
    assert now.shadow is not None and now.shadow.release == candidates[1]
    assert events(production)[-2:] == ["judged", "shadow"]
    assert audit.report(production) == []


def test_a_later_verdict_on_what_is_in_the_shadow_is_recorded_too(
    candidates: Candidates, production: Path, judge: Write
) -> None:
    with audit.signed(production):
        state.serve(production, candidates[0], "Ada")
    judge("2", candidates[0])

    assert deploy.main(["production"]) == deploy.main(["production"]) == 0

    assert events(production) == ["serve", "judged", "shadow", "judged"]


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        ({"promote": False, "reasons": ["worse than the champion"]}, "worse than the champion"),
        ({**UNAPPROVED, "reasons": ["outside of the plan"]}, "outside of the plan"),
        ({"challenger": {"version": "7"}}, "the gate judged another version, 7"),
        ({"champion": {"release": "v0"}}, "the gate did not compare it with"),
        ({"figures": {"metric": "auc", "challenger": 0.8}}, "did not compare it with the plan"),
    ],
)
def test_what_the_gate_speaks_against_does_not_come_to_production(
    candidates: Candidates,
    production: Path,
    judge: Write,
    verdict: dict[str, Any],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with audit.signed(production):
        state.serve(production, candidates[0], "Ada")
    judge("2", candidates[0], **verdict)

    assert deploy.main(["production"]) == 1

    assert reason in capsys.readouterr().err
    assert events(production) == ["serve"]


def test_what_serves_another_model_does_not_come_to_production(
    candidates: Candidates,
    production: Path,
    judge: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge("1", None)
    monkeypatch.setattr(served_model, "differences", lambda path: [f"{Path(path).name} differs"])

    assert deploy.main(["production", candidates[0]]) == 1

    output = capsys.readouterr().err
    assert (
        "does not serve the model of its version" in output and f"{candidates[0]} differs" in output
    )
    assert events(production) == []


def test_without_a_verdict_nothing_comes_to_production(
    candidates: Candidates, production: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy.main(["production"]) == 1

    assert "gate.json is missing" in capsys.readouterr().err
    assert events(production) == []


def test_a_release_that_was_taken_back_has_to_be_named(
    candidates: Candidates, production: Path, judge: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    with audit.signed(production):
        for release in candidates:
            state.serve(production, release, "Ada")
        state.roll_back(production, "Olga", "it refuses everybody")
    judge("2", candidates[0])

    assert deploy.main(["production"]) == 1
    assert "was rolled back" in capsys.readouterr().err
    assert deploy.main(["production", candidates[1]]) == 0


def test_without_the_audit_key_nothing_reaches_production_and_the_remedy_is_named(
    candidates: Candidates,
    production: Path,
    judge: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge("1", None)
    monkeypatch.delenv(keys.VARIABLE)

    assert deploy.main(["production", candidates[0]]) == 1
    assert "`uv run poe keys --audit` makes" in capsys.readouterr().err
    assert events(production) == []
