"""A training of the autopilot chooses the rows that judge it, as lines of params.toml."""

from pathlib import Path

import pytest

from machinery.tests.autopilot.repository import git
from machinery.tests.projects import moved
from rung_ops.autopilot import training_rows
from rung_ops.autopilot.training_rows import is_changed, judging_rows
from rung_ops.errors import StageError

PARAMS = """seed = 7

[split]
test_share = 0.25 # the last quarter
window = "all" # or "6 months"

[model]
depth = 3
"""
CHOSEN = {"window": "2 months", "test_rows": 410}


@pytest.mark.parametrize(
    ("newer", "changed", "judged"),
    [
        (820, None, 410),  # a month of 27 rows a day: the other half teaches
        (4_000, 820, 410),  # a change was seen in the newest 820 rows
        (300, 820, 200),  # the gate judges with no fewer
        (40_000, None, 5_000),  # the share of all rows
    ],
)
def test_half_of_what_is_new_judges(newer: int, changed: int | None, judged: int) -> None:
    assert judging_rows(20_000, newer, changed, least=200, share=0.25) == judged


def test_a_change_is_what_the_monitor_saw() -> None:
    quality = {"name": "auc", "higher_is_better": True, "figure": 0.60, "low": 0.55, "high": 0.65}
    worse = {"quality": quality | {"at_release": 0.8, "rows": 800}}

    assert is_changed({"drifted": ["weight"]}, 0.02)
    assert is_changed({"drifted": [], "prediction_drifted": True}, 0.02)
    assert is_changed(worse, 0.02)
    assert not is_changed(worse, 0.2)
    assert not is_changed({"drifted": None, "prediction_drifted": None, "quality": None}, 0.02)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project."""
    (tmp_path / "params.toml").write_text(PARAMS)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Start"]):
        git(tmp_path, *arguments)
    moved(monkeypatch, repository=tmp_path, root=tmp_path)
    return tmp_path


def test_both_lines_are_committed_and_comments_stay(project: Path) -> None:
    commit = training_rows.write(CHOSEN)

    text = (project / "params.toml").read_text()
    assert 'window = "2 months" # or "6 months"\n' in text
    assert "test_rows = 410\n" in text
    assert "test_share = 0.25 # the last quarter\n" in text
    said = git(project, "show", "--format=%an %s", "--name-only", commit)
    assert said == "autopilot params: window 2 months, judged on 410 rows\n\nparams.toml"


def test_lines_of_a_stopped_pass_are_taken_back(project: Path) -> None:
    training_rows.override(project / "params.toml", {"split": CHOSEN})

    training_rows.undo()

    assert (project / "params.toml").read_text() == PARAMS


def test_a_persons_edit_is_not_taken_back(project: Path) -> None:
    edited = PARAMS.replace("depth = 3", "depth = 4")
    (project / "params.toml").write_text(edited)
    training_rows.override(project / "params.toml", {"split": CHOSEN})

    with pytest.raises(StageError, match=r"params\.toml has uncommitted changes"):
        training_rows.undo()

    assert "depth = 4" in (project / "params.toml").read_text()
