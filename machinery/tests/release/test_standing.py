"""`poe releases` says what is served, and does not hide what is wrong."""

from pathlib import Path

from machinery.tests.conftest import RunVerb
from rung_ops.project import paths
from rung_ops.release import state, status

BY = "Ada"


def test_a_project_without_releases_shows_how_to_begin(untouched: Path, run_verb: RunVerb) -> None:
    code, output = run_verb(status.main)

    assert code == 0
    assert output.count("nothing yet") == 2
    assert "`uv run poe release` creates one" in output
    assert not untouched.exists()


def test_everything_that_is_under_way_is_reported(untouched: Path, run_verb: RunVerb) -> None:
    (paths.candidates() / "v4").mkdir(parents=True)
    (paths.candidates() / ".new-1").mkdir()
    state.serve(untouched, "v1", BY)
    state.serve(untouched, "v2", BY)
    state.canary(untouched, "v3", BY)
    state.shadow(untouched, "v4", 0.25, BY)
    state.stop(untouched, BY, "it harms people")

    code, output = run_verb(status.main)

    assert code == 0
    lines = [line.strip() for line in output.splitlines()]
    assert "serving    v2" in lines
    assert any(line.startswith("canary     v3, step 0 since") for line in lines)
    assert "shadow     v4, 25% of the requests" in lines
    assert "previous   v1" in lines
    assert any(line.startswith("STOPPED by Ada") for line in lines)
    assert any("stop" in line and "it harms people  (Ada)" in line for line in lines)
    assert lines[-2:] == ["candidates", "v4"]


def test_only_the_latest_changes_are_reported(untouched: Path) -> None:
    for number in range(20):
        state.serve(untouched, f"v{number}", BY)

    lines = list(status.describe(untouched))

    assert len([line for line in lines if "(Ada)" in line]) == status.EVENTS
    assert "v19" in lines[-1]


def test_a_history_that_was_changed_is_reported(untouched: Path) -> None:
    state.serve(untouched, "v1", BY)
    state.serve(untouched, "v2", BY)
    path = untouched / state.HISTORY
    path.write_text(path.read_text().replace("Ada", "Eve", 1))

    assert "line 1 (serve) was changed" in list(status.describe(untouched))[-1]


def test_a_damaged_state_does_not_hide_the_other_environment(
    untouched: Path, run_verb: RunVerb
) -> None:
    state.serve(paths.environment(paths.STAGING), "v1", BY)
    state.serve(untouched, "v1", BY)
    (untouched / state.STATE).write_text("{")

    code, output = run_verb(status.main)

    assert code == 1
    assert "serving    v1" in output
    assert "is damaged" in output
