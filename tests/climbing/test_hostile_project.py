"""A project can come from anywhere: its text reaches no screen or log as it is, and nothing hangs."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from rung.__main__ import main
from tests.climbing import tiny
from tests.climbing.tiny import commit
from tests.command import RUNG


def rung(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


HOSTILE = "\x1b[2Jx\u202ey\n::error::z\n##vso[task.setvariable]"
ALONE = re.compile(r"^\s*::|\x1b|\u202e|##vso\[", re.MULTILINE)  # what no message may hold


@pytest.mark.parametrize("answer", ["_src_path", "package", "ci"])
def test_a_refusal_holds_no_text_of_a_project_as_it_is(
    project: Path, small: Path, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    file = project / ".copier-answers.yml"
    answers = yaml.safe_load(file.read_text())
    value = f"https://{HOSTILE}" if answer == "_src_path" else HOSTILE
    file.write_text(yaml.safe_dump(answers | {answer: value}))
    commit(project)

    assert 2 == rung("plan", project, "--to", 1, "--template", small)
    message = capsys.readouterr().err
    assert r"\x1b[2Jx\u202ey\n::error::z" in message
    assert not ALONE.search(message)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_plan_and_a_climb_hold_no_text_of_a_project_as_it_is(
    project: Path, small: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    tiny.write(
        project, {f"ops/{HOSTILE}": tiny.FILES["files/ops/zero.py.jinja"], "ops/zero.py": None}
    )
    tiny.edit(project, {"pyproject.toml": f"# {HOSTILE}\n[project]\nname = 1\n", HOSTILE: ""})

    for verb in ("plan", "climb"):
        code = rung(verb, project, "--to", 1, "--template", small, "--format", form)
        output = capsys.readouterr()
        assert (1, None) == (code, ALONE.search(output.out + output.err))
        assert "pyproject.toml" in output.out


@pytest.mark.parametrize("name", [".copier-answers.yml", ".gitignore"])
def test_a_pipe_in_the_place_of_a_file_is_refused(project: Path, small: Path, name: str) -> None:
    (project / name).unlink()
    os.mkfifo(project / name)
    for verb in ("plan", "climb", "update"):
        command = [RUNG, verb, project, "--template", small]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (2, True) == (done.returncode, f"{name} is not a file" in done.stderr)
