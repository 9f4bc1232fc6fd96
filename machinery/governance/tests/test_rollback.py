"""What answered before comes back at once, signed for, and only while it is still approved."""

import shutil

import pytest

from machinery.governance.tests.conftest import Capture, Patch, Refusal, Releases
from rung_governance.approval import audit, deploy, keys
from rung_ops.project import release_folders
from rung_ops.release import state


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
        shutil.copytree(release_folders.candidates() / release, staging / "bundles" / release)
        state.serve(staging, release, "Ada")

    assert deploy.rollback(["staging"]) == 0
    assert state.read(staging).serving == releases.first


def test_without_an_earlier_release_there_is_no_rollback(
    releases: Releases, refusal: Refusal
) -> None:
    releases.serve(releases.first)
    assert "no previous release" in refusal(deploy.rollback)
