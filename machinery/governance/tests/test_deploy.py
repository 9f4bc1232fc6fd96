"""A release enters production's shadow after the gate's verdict, and answers no request there.

What answered before comes back at once, signed for, and only while it is still approved.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from machinery.governance.tests.conftest import Capture, Patch, Refusal, Releases
from machinery.tests.conftest import FACTS
from rung_governance.approval import audit, deploy, keys, promote, served_model, validation
from rung_governance.approval.signed_log import WITHDRAWN
from rung_ops.project import paths
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


def test_without_the_audit_key_nothing_reaches_production_and_the_remedy_is_named(
    releases: Releases, monkeypatch: Patch, refusal: Refusal
) -> None:
    releases.judge("1")
    monkeypatch.delenv(keys.VARIABLE)

    output = refusal(deploy.main, "production", releases.first)

    assert "`uv run poe keys --audit` makes" in output
    assert releases.names == []


@pytest.fixture
def twice(releases: Releases) -> Releases:
    """Production serves the second release, after the first; both are approved."""
    for version, release in (("1", releases.first), ("2", releases.second)):
        releases.install(release)
        releases.approve(version)
        releases.serve(release)
    return releases


def test_the_previous_release_answers_again_and_the_log_says_why(
    twice: Releases, capsys: Capture
) -> None:
    assert deploy.rollback(["--reason", "it refuses everybody"]) == 0

    assert twice.now.serving == twice.first
    assert f"production serves {twice.first} again" in capsys.readouterr().out
    last = twice.events[-1]
    assert (last["event"], last["detail"]["reason"]) == ("roll_back", "it refuses everybody")
    assert audit.report(twice.folder) == []


def test_a_release_that_is_no_longer_approved_does_not_come_back(
    twice: Releases, refusal: Refusal
) -> None:
    twice.approve("1", decision="rejected")
    output = refusal(deploy.rollback)
    assert "has rejected this version" in output and "`uv run poe stop" in output
    assert twice.now.serving == twice.second


def test_a_trial_ends_although_the_previous_release_is_no_longer_approved(
    twice: Releases, capsys: Capture
) -> None:
    with audit.signed(twice.folder):
        state.shadow(twice.folder, "v9-waits", 1.0, "Ada")
    twice.approve("1", decision="rejected")

    assert deploy.rollback([]) == 0

    assert (twice.now.serving, twice.now.shadow) == (twice.second, None)
    assert "The shadow v9-waits has ended." in capsys.readouterr().out


def test_without_the_audit_key_nothing_comes_back_as_no_service_would_follow(
    twice: Releases, monkeypatch: Patch, refusal: Refusal
) -> None:
    monkeypatch.delenv(keys.VARIABLE)
    output = refusal(deploy.rollback)
    assert "could not be signed" in output and "`uv run poe stop` still works" in output
    assert twice.now.serving == twice.second


def test_staging_goes_back_without_an_approval(releases: Releases) -> None:
    staging = releases.folder.with_name("staging")
    for release in (releases.first, releases.second):
        shutil.copytree(paths.candidates() / release, staging / "bundles" / release)
        state.serve(staging, release, "Ada")

    assert deploy.rollback(["staging"]) == 0
    assert state.read(staging).serving == releases.first


WITHDRAWAL = "approval was withdrawn"
IN_FILE_OR_LOG = pytest.mark.parametrize("where", ["file", "log"])


def withdraw(production: Path, where: str) -> None:
    """Withdraw the approval of version 1, as its file says or as the audit log says."""
    path = validation.approval_path(validation.ReleasedVersion(FACTS["model"], "1", {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if where == "log":
        audit.record(production, WITHDRAWN, "Vera", approval=digest)
        return
    facts = {"by": "Vera", "withdrawn": "2026-01-31", "reason": "it leans on age"}
    name = f"{FACTS['model']}-1.withdrawal-{digest[:12]}.json"
    path.with_name(name).write_text(json.dumps(facts))


@IN_FILE_OR_LOG
@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.tried("Release, deploy or roll back to a withdrawn version", "refused")
def test_what_was_withdrawn_is_not_deployed(
    releases: Releases, where: str, environment: str, refusal: Refusal
) -> None:
    releases.judge("1")
    releases.approve("1")
    folder = releases.folder.with_name(environment)
    withdraw(folder, where)

    assert WITHDRAWAL in refusal(deploy.main, environment, releases.first)

    assert state.read(folder).serving is None
    bundle = paths.bundle(folder, releases.first)
    assert not bundle.exists() or environment == "production"


@IN_FILE_OR_LOG
@pytest.mark.parametrize("answers", [False, True])
def test_what_was_withdrawn_is_not_promoted(
    releases: Releases, where: str, answers: bool, refusal: Refusal
) -> None:
    releases.deploy_first()
    if answers:
        assert promote.main(["1"]) == 0
    withdraw(releases.folder, where)

    assert WITHDRAWAL in refusal(promote.main, "1")
    assert releases.now.serving == (releases.first if answers else None)


@IN_FILE_OR_LOG
def test_what_was_withdrawn_does_not_come_back(
    twice: Releases, where: str, refusal: Refusal
) -> None:
    withdraw(twice.folder, where)

    assert WITHDRAWAL in refusal(deploy.rollback)
    assert twice.now.serving == twice.second
