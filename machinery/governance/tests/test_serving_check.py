"""What answers in production without an approval is found, however it came to answer."""

import json

import pytest

from machinery.governance.tests.conftest import Patch, Releases
from machinery.tests.conftest import FACTS
from rung_governance import monitor
from rung_governance.approval import audit, keys, promote, validation
from rung_governance.approval.signed_log import APPROVED, WITHDRAWN, details
from rung_ops.release import state


@pytest.fixture
def promoted(releases: Releases) -> Releases:
    """The first release was approved and promoted; the second is approved, and was copied."""
    releases.deploy_first()
    assert promote.main(["1"]) == 0
    releases.approve("2")
    releases.install(releases.second)
    return releases


def test_what_was_promoted_is_approved(promoted: Releases) -> None:
    assert monitor.unapproved(promoted.folder, promoted.first) == []
    assert monitor.unapproved(promoted.folder.with_name("staging"), "v9") == []


@pytest.mark.tried(
    "Let a release answer without a signed line that approves of it",
    "the service refuses, and `poe monitor` names it",
)
def test_a_release_that_was_served_past_promote_is_found(promoted: Releases) -> None:
    state.serve(promoted.folder, promoted.second, "Eve")
    assert monitor.unapproved(promoted.folder, promoted.second) == [
        f"{promoted.second} answers unapproved: no signed line of the audit log approves of it"
    ]


def test_an_approval_that_somebody_wrote_without_the_key_does_not_count(promoted: Releases) -> None:
    state.note(promoted.folder, "approved", "Eve", release=promoted.second)
    assert len(monitor.unapproved(promoted.folder, promoted.second)) == 1


def test_an_edited_state_that_names_another_release_is_found(promoted: Releases) -> None:
    path = promoted.folder / state.STATE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"serving": promoted.second}))
    (problem,) = monitor.unapproved(promoted.folder, promoted.second)
    assert "it belongs to another state" in problem


def withdrawal(releases: Releases, digest: str) -> None:
    name = f"{FACTS['model']}-1.withdrawal-{digest[:12]}.json"
    (releases.project / validation.RECORDS / name).write_text("{}")


def test_a_withdrawal_and_a_rejection_are_found(promoted: Releases) -> None:
    promoted.approve("1", decision="rejected")
    withdrawal(promoted, "0" * 12)

    rejected, withdrawn = monitor.unapproved(promoted.folder, promoted.first)

    assert "has rejected this version" in rejected and "was withdrawn" in withdrawn
    assert audit.report(promoted.folder) == []


def approve(releases: Releases, digest: str) -> None:
    """Write that an approval of this hash is that of what answers."""
    with audit.signed(releases.folder):
        about = {"release": releases.first, "approval_hash": digest}
        state.note(releases.folder, APPROVED, "Vera", **about)


@pytest.fixture
def withdrawn(promoted: Releases) -> Releases:
    """The repository holds the withdrawal of the approval of what answers."""
    approve(promoted, "9" * 64)
    withdrawal(promoted, "9" * 64)
    return promoted


@pytest.mark.tried(
    "Keep the service from hearing of a withdrawal by deploying nothing",
    "`poe monitor` writes it into the log",
)
def test_the_monitor_passes_a_withdrawal_to_the_service_once(withdrawn: Releases) -> None:
    for _ in range(2):
        assert monitor.relay_withdrawals(withdrawn.folder, "monitor") == []
    assert details(withdrawn.events, WITHDRAWN) == [{"approval": "9" * 64}]
    assert audit.report(withdrawn.folder) == []


def test_without_the_key_it_writes_nothing_and_says_so(
    withdrawn: Releases, monkeypatch: Patch
) -> None:
    monkeypatch.delenv(keys.VARIABLE)
    (problem,) = monitor.relay_withdrawals(withdrawn.folder, "monitor")
    assert problem.startswith(f"The service does not know that {withdrawn.first} was withdrawn: ")
    assert details(withdrawn.events, WITHDRAWN) == []


def test_the_withdrawal_of_another_approval_is_not_passed_on(withdrawn: Releases) -> None:
    approve(withdrawn, "8" * 64)
    assert monitor.relay_withdrawals(withdrawn.folder, "monitor") == []
    assert details(withdrawn.events, WITHDRAWN) == []
