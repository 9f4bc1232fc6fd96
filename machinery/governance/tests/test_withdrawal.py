"""A release whose approval was withdrawn comes to no environment, and does not come back."""

import hashlib
import json
from pathlib import Path

import pytest

from machinery.governance.tests.conftest import Refusal, Releases
from machinery.tests.conftest import FACTS
from rung_governance.approval import audit, deploy, promote, validation
from rung_governance.approval.signed_log import WITHDRAWN
from rung_ops.project import release_folders
from rung_ops.release import state

WITHDRAWAL = "approval was withdrawn"
pytestmark = pytest.mark.parametrize("where", ["file", "log"])


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


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.tried("Release, deploy or roll back to a withdrawn version", "refused")
def test_it_is_not_deployed(
    releases: Releases, where: str, environment: str, refusal: Refusal
) -> None:
    releases.judge("1")
    releases.approve("1")
    folder = releases.folder.with_name(environment)
    withdraw(folder, where)

    assert WITHDRAWAL in refusal(deploy.main, environment, releases.first)

    assert state.read(folder).serving is None
    bundle = release_folders.bundle(folder, releases.first)
    assert not bundle.exists() or environment == "production"


@pytest.mark.parametrize("answers", [False, True])
def test_it_is_not_promoted(
    releases: Releases, where: str, answers: bool, refusal: Refusal
) -> None:
    releases.deploy_first()
    if answers:
        assert promote.main(["1"]) == 0
    withdraw(releases.folder, where)

    assert WITHDRAWAL in refusal(promote.main, "1")
    assert releases.now.serving == (releases.first if answers else None)


@pytest.mark.tried("Release, deploy or roll back to a withdrawn version")
def test_it_does_not_come_back(releases: Releases, where: str, refusal: Refusal) -> None:
    for version, release in (("1", releases.first), ("2", releases.second)):
        releases.install(release)
        releases.approve(version)
        releases.serve(release)
    withdraw(releases.folder, where)

    assert WITHDRAWAL in refusal(deploy.rollback)
    assert releases.now.serving == releases.second
