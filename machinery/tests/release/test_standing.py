"""`poe releases` says what is served, and does not hide what is wrong."""

from pathlib import Path

import pytest

from rung_ops.project import release_folders
from rung_ops.release import state, status

BY = "Ada"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Production, where nothing happened yet."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    return release_folders.environment(release_folders.PRODUCTION)


def status_output(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = status.main([])
    output = capsys.readouterr()
    return code, output.out + output.err


def test_a_project_without_releases_shows_how_to_begin(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = status_output(capsys)

    assert code == 0
    assert output.count("nothing yet") == 2
    assert "`uv run poe release` creates one" in output
    assert not folder.exists()


def test_everything_that_is_under_way_is_reported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (release_folders.candidates() / "v4").mkdir(parents=True)
    (release_folders.candidates() / ".new-1").mkdir()
    state.serve(folder, "v1", BY)
    state.serve(folder, "v2", BY)
    state.canary(folder, "v3", BY)
    state.shadow(folder, "v4", 0.25, BY)
    state.stop(folder, BY, "it harms people")

    code, output = status_output(capsys)

    assert code == 0
    lines = [line.strip() for line in output.splitlines()]
    assert "serving    v2" in lines
    assert any(line.startswith("canary     v3, step 0 since") for line in lines)
    assert "shadow     v4, 25% of the requests" in lines
    assert "previous   v1" in lines
    assert any(line.startswith("STOPPED by Ada") for line in lines)
    assert any("stop" in line and "it harms people  (Ada)" in line for line in lines)
    assert lines[-2:] == ["candidates", "v4"]


@pytest.mark.parametrize(
    ("release", "directory"),
    [
        ("v2", "is the current release"),
        ("v3", "is the canary, at step 0"),
        ("v4", "is the shadow, for 25% of the requests"),
        ("v1", None),
    ],
)
def test_the_place_of_a_release_is_named(folder: Path, release: str, directory: str | None) -> None:
    state.serve(folder, "v1", BY)
    state.serve(folder, "v2", BY)
    state.canary(folder, "v3", BY)
    state.shadow(folder, "v4", 0.25, BY)

    assert state.read(folder).role_of(release) == directory


def test_only_the_latest_changes_are_reported(folder: Path) -> None:
    for number in range(20):
        state.serve(folder, f"v{number}", BY)

    lines = list(status.describe(folder))

    assert len([line for line in lines if "(Ada)" in line]) == status.EVENTS
    assert "v19" in lines[-1]


def test_a_history_that_was_changed_is_reported(folder: Path) -> None:
    state.serve(folder, "v1", BY)
    state.serve(folder, "v2", BY)
    path = folder / state.HISTORY
    path.write_text(path.read_text().replace("Ada", "Eve", 1))

    assert "line 1 (serve) was changed" in list(status.describe(folder))[-1]


def test_a_damaged_state_does_not_hide_the_other_environment(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state.serve(release_folders.environment(release_folders.STAGING), "v1", BY)
    state.serve(folder, "v1", BY)
    (folder / state.STATE).write_text("{")

    code, output = status_output(capsys)

    assert code == 1
    assert "serving    v1" in output
    assert "is damaged" in output
