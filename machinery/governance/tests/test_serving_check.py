"""What answers in production without an approval is found, however it came to answer."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from machinery.tests.conftest import FACTS
from rung_governance.approval import audit, deploy, keys, promote, serving_check, validation
from rung_governance.approval.signed_log import APPROVED, WITHDRAWN
from rung_ops.release import state

Candidates = tuple[str, str]
Write = Callable[..., None]


@pytest.fixture
def answers(candidates: Candidates, production: Path, judge: Write, approve: Write) -> str:
    """A release that was approved and promoted; its id."""
    judge("1", None)
    approve("1")
    assert deploy.main(["production", candidates[0]]) == 0
    assert promote.main(["1"]) == 0
    return candidates[0]


def test_what_was_promoted_is_approved(answers: str, production: Path) -> None:
    assert serving_check.problems(production, answers) == []
    assert serving_check.problems(production.with_name("staging"), "v9") == []


@pytest.mark.tried(
    "Let a release answer without a signed line that approves of it",
    "`poe monitor` names it, beside the service's refusal",
)
def test_a_release_that_was_served_past_promote_is_found(
    answers: str, candidates: Candidates, production: Path, approve: Write
) -> None:
    approve("2")
    deploy.release_deploy.install(production, candidates[1])
    state.serve(production, candidates[1], "Eve")

    (problem,) = serving_check.problems(production, candidates[1])

    assert problem == (
        f"{candidates[1]} answers unapproved: no signed line of the audit log approves of it"
    )


def test_an_approval_that_somebody_wrote_without_the_key_does_not_count(
    answers: str, candidates: Candidates, production: Path, approve: Write
) -> None:
    approve("2")
    deploy.release_deploy.install(production, candidates[1])
    state.note(production, "approved", "Eve", release=candidates[1])

    assert len(serving_check.problems(production, candidates[1])) == 1


def test_an_edited_state_that_names_another_release_is_found(
    answers: str, candidates: Candidates, production: Path, approve: Write
) -> None:
    approve("2")
    deploy.release_deploy.install(production, candidates[1])
    path = production / state.STATE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"serving": candidates[1]}))

    (problem,) = serving_check.problems(production, candidates[1])
    assert "it belongs to another state" in problem


def test_a_withdrawal_and_a_rejection_are_found(
    answers: str, production: Path, approve: Write
) -> None:
    approve("1", decision="rejected")
    released = validation.ReleasedVersion(FACTS["model"], "1", {})
    path = validation.approval_path(released)
    path.with_name(f"{FACTS['model']}-1.withdrawal-000000000000.json").write_text("{}")

    rejected, withdrawn = serving_check.problems(production, answers)

    assert "has rejected this version" in rejected and "was withdrawn" in withdrawn
    assert audit.report(production) == []


@pytest.fixture
def withdrawn(answers: str, production: Path, tmp_path: Path) -> str:
    """The hash of the approval of what answers; the repository holds its withdrawal."""
    digest = "9" * 64
    with audit.signed(production):
        state.note(production, APPROVED, "Vera", release=answers, approval_hash=digest)
    folder = tmp_path / validation.RECORDS
    (folder / f"{FACTS['model']}-1.withdrawal-{digest[:12]}.json").write_text("{}")
    return digest


def of_withdrawals(production: Path) -> list[str]:
    events = state.events(production)
    return [each["detail"]["approval"] for each in events if each["event"] == WITHDRAWN]


@pytest.mark.tried(
    "Keep the service from hearing of a withdrawal by deploying nothing",
    "`poe monitor` writes a committed withdrawal into the log",
)
def test_the_monitor_passes_a_withdrawal_to_the_service_once(
    withdrawn: str, production: Path
) -> None:
    for _ in range(2):
        assert serving_check.relay_withdrawals(production, "monitor") == []

    assert of_withdrawals(production) == [withdrawn]
    assert audit.report(production) == []


def test_without_the_key_it_writes_nothing_and_says_so(
    withdrawn: str, answers: str, production: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(keys.VARIABLE)

    (problem,) = serving_check.relay_withdrawals(production, "monitor")

    assert problem.startswith(f"The service does not know that {answers} was withdrawn: ")
    assert of_withdrawals(production) == []


def test_the_withdrawal_of_another_approval_is_not_passed_on(
    withdrawn: str, answers: str, production: Path
) -> None:
    with audit.signed(production):
        state.note(production, APPROVED, "Vera", release=answers, approval_hash="8" * 64)

    assert serving_check.relay_withdrawals(production, "monitor") == []
    assert of_withdrawals(production) == []
