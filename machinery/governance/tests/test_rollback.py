"""What answered before comes back at once, signed for, and only while it is still approved."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rung_governance.approval import audit, keys, rollback
from rung_ops.project import release_folders
from rung_ops.release import history, state

Candidates = tuple[str, str]
Write = Callable[..., None]


@pytest.fixture
def twice(candidates: Candidates, production: Path, approve: Write) -> Candidates:
    """Production serves the second release, after the first; both are approved."""
    for version, release in enumerate(candidates, start=1):
        shutil.copytree(release_folders.candidates() / release, production / "bundles" / release)
        approve(str(version))
        with audit.signed(production):
            state.serve(production, release, "Ada")
    return candidates


def test_the_previous_release_answers_again_and_the_log_says_why(
    twice: Candidates, production: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rollback.main(["--reason", "it refuses everybody"]) == 0

    assert state.read(production).serving == twice[0]
    assert f"production serves {twice[0]} again" in capsys.readouterr().out
    last = history.read(production / state.HISTORY)[-1]
    assert (last["event"], last["detail"]["reason"]) == ("roll_back", "it refuses everybody")
    assert audit.report(production) == []


def test_a_release_that_is_no_longer_approved_does_not_come_back(
    twice: Candidates, production: Path, approve: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    approve("1", decision="rejected")

    assert rollback.main([]) == 1

    output = capsys.readouterr().err
    assert "has rejected this version" in output
    assert "`uv run poe stop" in output
    assert state.read(production).serving == twice[1]


def test_a_trial_ends_although_the_previous_release_is_no_longer_approved(
    twice: Candidates, production: Path, approve: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    with audit.signed(production):
        state.shadow(production, "v9-waits", 1.0, "Ada")
    approve("1", decision="rejected")

    assert rollback.main([]) == 0

    now = state.read(production)
    assert (now.serving, now.shadow) == (twice[1], None)
    assert "The shadow v9-waits has ended." in capsys.readouterr().out


def test_without_the_audit_key_nothing_comes_back_as_no_service_would_follow(
    twice: Candidates,
    production: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(keys.VARIABLE)

    assert rollback.main([]) == 1

    assert state.read(production).serving == twice[1]
    output = capsys.readouterr().err
    assert "could not be signed" in output and "`uv run poe stop` still works" in output


def test_staging_goes_back_without_an_approval(candidates: Candidates, production: Path) -> None:
    staging = production.with_name("staging")
    for release in candidates:
        shutil.copytree(release_folders.candidates() / release, staging / "bundles" / release)
        state.serve(staging, release, "Ada")

    assert rollback.main(["staging"]) == 0
    assert state.read(staging).serving == candidates[0]


def test_without_an_earlier_release_there_is_no_rollback(
    candidates: Candidates, production: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with audit.signed(production):
        state.serve(production, candidates[0], "Ada")

    assert rollback.main([]) == 1
    assert "no previous release" in capsys.readouterr().err
