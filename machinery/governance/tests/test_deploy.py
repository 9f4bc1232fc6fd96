"""A release enters production's shadow after the gate's verdict, and answers no request there."""

from pathlib import Path
from typing import Any

import pytest

from machinery.governance.tests.conftest import Capture, Patch, Refusal, Releases
from rung_governance.approval import audit, deploy, keys, served_model
from rung_ops.release import state

UNAPPROVED = {"promote": False, "awaits": ["it is not validated"]}


def test_staging_answers_at_once_and_the_audit_log_is_signed(releases: Releases) -> None:
    assert deploy.main(["staging"]) == 0
    staging = releases.folder.with_name("staging")
    assert state.read(staging).serving == releases.second
    assert audit.report(staging) == []


def test_the_first_release_waits_in_production_and_answers_no_request(
    releases: Releases, capsys: Capture
) -> None:
    releases.judge("1")

    assert deploy.main(["production", releases.first]) == 0

    assert "answers no requests: `uv run poe promote 1`" in capsys.readouterr().out
    assert releases.now.serving is None
    assert (releases.folder / "bundles" / releases.first).is_dir()
    assert releases.names == ["judged"]
    assert audit.report(releases.folder) == []


@pytest.mark.parametrize("verdict", [{}, UNAPPROVED], ids=["approved", "not approved yet"])
def test_a_later_release_comes_to_the_shadow(releases: Releases, verdict: dict[str, Any]) -> None:
    releases.serve(releases.first)
    releases.judge("2", releases.first, **verdict)

    assert deploy.main(["production"]) == 0

    now = releases.now
    assert (now.serving, now.canary) == (releases.first, None)
    assert now.shadow is not None and now.shadow.release == releases.second
    assert audit.report(releases.folder) == []
    # A later verdict on what is in the shadow is recorded, too.
    assert deploy.main(["production"]) == 0
    assert releases.names == ["serve", "judged", "shadow", "judged"]


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        ({"promote": False, "reasons": ["worse than the champion"]}, "worse than the champion"),
        ({**UNAPPROVED, "reasons": ["outside of the plan"]}, "outside of the plan"),
        ({"challenger": {"version": "7"}}, "the gate judged another version, 7"),
        ({"champion": {"release": "v0"}}, "the gate did not compare it with"),
        ({"figures": {"metric": "auc", "challenger": 0.8}}, "did not compare it with the plan"),
        (None, "gate.json is missing"),
    ],
)
def test_what_the_gate_speaks_against_does_not_come_to_production(
    releases: Releases, verdict: dict[str, Any] | None, reason: str, refusal: Refusal
) -> None:
    releases.serve(releases.first)
    if verdict is not None:
        releases.judge("2", releases.first, **verdict)

    assert reason in refusal(deploy.main, "production")
    assert releases.names == ["serve"]


def test_what_serves_another_model_does_not_come_to_production(
    releases: Releases, monkeypatch: Patch, refusal: Refusal
) -> None:
    releases.judge("1")
    monkeypatch.setattr(served_model, "differences", lambda path: [f"{Path(path).name} differs"])

    output = refusal(deploy.main, "production", releases.first)

    assert "does not serve the model of its version" in output
    assert f"{releases.first} differs" in output
    assert releases.names == []


def test_a_release_that_was_taken_back_has_to_be_named(
    releases: Releases, refusal: Refusal
) -> None:
    releases.serve(releases.first, releases.second)
    with audit.signed(releases.folder):
        state.roll_back(releases.folder, "Olga", "it refuses everybody")
    releases.judge("2", releases.first)

    assert "was rolled back" in refusal(deploy.main, "production")
    assert deploy.main(["production", releases.second]) == 0


def test_without_the_audit_key_nothing_reaches_production_and_the_remedy_is_named(
    releases: Releases, monkeypatch: Patch, refusal: Refusal
) -> None:
    releases.judge("1")
    monkeypatch.delenv(keys.VARIABLE)

    output = refusal(deploy.main, "production", releases.first)

    assert "`uv run poe keys --audit` makes" in output
    assert releases.names == []
