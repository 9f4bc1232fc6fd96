"""A release whose approval was withdrawn comes to no environment, and does not come back."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from machinery.tests.conftest import FACTS
from rung_governance.approval import audit, deploy, promote, rollback, validation
from rung_governance.approval.signed_log import WITHDRAWN
from rung_ops.project import release_folders
from rung_ops.release import state

Candidates = tuple[str, str]
Write = Callable[..., None]
WHERE = pytest.mark.parametrize("where", ["file", "log"])


def withdraw(production: Path, version: str, where: str) -> None:
    """Withdraw the approval of a version, as its file says or as the audit log says."""
    released = validation.ReleasedVersion(FACTS["model"], version, {})
    path = validation.approval_path(released)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if where == "log":
        audit.record(production, WITHDRAWN, "Vera", approval=digest)
        return
    facts = {"by": "Vera", "withdrawn": "2026-01-31", "reason": "it leans on age"}
    name = f"{FACTS['model']}-{version}.withdrawal-{digest[:12]}.json"
    path.with_name(name).write_text(json.dumps(facts))


@WHERE
@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.tried("Release, deploy or roll back to a withdrawn version", "refused")
def test_it_is_not_deployed(
    candidates: Candidates,
    production: Path,
    judge: Write,
    approve: Write,
    where: str,
    environment: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge("1", None)
    approve("1")
    withdraw(production.with_name(environment), "1", where)

    assert deploy.main([environment, candidates[0]]) == 1

    assert "approval was withdrawn" in capsys.readouterr().err
    folder = production.with_name(environment)
    assert state.read(folder).serving is None
    assert not release_folders.bundle(folder, candidates[0]).exists() or environment == "production"


@WHERE
def test_it_is_not_promoted(
    candidates: Candidates,
    production: Path,
    judge: Write,
    approve: Write,
    where: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge("1", None)
    approve("1")
    assert deploy.main(["production", candidates[0]]) == 0
    withdraw(production, "1", where)

    assert promote.main(["1"]) == 1

    assert "approval was withdrawn" in capsys.readouterr().err
    assert state.read(production).serving is None


@WHERE
def test_what_answers_is_not_called_promoted_already(
    candidates: Candidates,
    production: Path,
    judge: Write,
    approve: Write,
    where: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge("1", None)
    approve("1")
    assert deploy.main(["production", candidates[0]]) == 0
    assert promote.main(["1"]) == 0
    withdraw(production, "1", where)

    assert promote.main(["1"]) == 1

    assert "approval was withdrawn" in capsys.readouterr().err


@WHERE
@pytest.mark.tried("Release, deploy or roll back to a withdrawn version")
def test_it_does_not_come_back(
    candidates: Candidates,
    production: Path,
    approve: Write,
    where: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for version, release in enumerate(candidates, start=1):
        shutil.copytree(release_folders.candidates() / release, production / "bundles" / release)
        approve(str(version))
        with audit.signed(production):
            state.serve(production, release, "Ada")
    withdraw(production, "1", where)

    assert rollback.main([]) == 1

    assert "approval was withdrawn" in capsys.readouterr().err
    assert state.read(production).serving == candidates[1]
