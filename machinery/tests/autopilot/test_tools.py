"""The autopilot types the project's tasks; those that train get none of its keys."""

from pathlib import Path

import pytest

from machinery.tests.projects import moved
from rung_ops.autopilot import step_runner
from rung_ops.system import key_names

SHOWS = "import os; print(*sorted(n for n in os.environ if n in {names}))"


@pytest.mark.parametrize(
    ("task", "observed"),
    [
        *((name, "") for name in step_runner.WITHOUT_KEYS),
        ("release", f"{key_names.AUDIT} {key_names.RELEASE}"),
    ],
)
def test_what_trains_sees_no_key_and_what_signs_does(
    task: str, observed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (key_names.AUDIT, key_names.RELEASE)
    for name in names:
        monkeypatch.setenv(name, "a secret")
    (tmp_path / "shows.py").write_text(SHOWS.format(names=names))
    lines = f"[tool.poe.tasks.{task}]\ncmd = 'python shows.py'\n"
    (tmp_path / "pyproject.toml").write_text(lines)
    moved(monkeypatch, step_runner, root=tmp_path)

    assert step_runner.TaskRunner(None).last_line(task) == observed
