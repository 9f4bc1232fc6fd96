"""The library goes into a project as source and comes back as a wheel; edits are never lost."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from rung.core.climbing import messages
from rung.core.commands import eject as ejecting
from rung.errors import NotDoneError, RungError
from tests.climbing import tiny
from tests.climbing.tiny import commit, files_of, git
from tests.command import rung

SOURCE = '"""The service."""\n\n\ndef port() -> int:\n    return 8000\n\n\n' + (
    'def path() -> str:\n    return "/predict"\n'
)
WITH_LIBRARY = {
    "copier.yml": tiny.FILES["copier.yml"].replace(
        "_exclude:\n",
        "_exclude:\n  - \"{{ '/vendor' if ejected else '/machinery' }}\"\n",
    ),
    "levels/questions.yml": tiny.FILES["levels/questions.yml"]
    + 'ejected: {type: bool, default: false, when: "{{ ejected | default(false) }}"}\n',
    "files/vendor/rung_ops-1-py3-none-any.whl": tiny.BINARY,
    "files/machinery/rung_ops/service.py": SOURCE,
    "files/machinery/rung_ops/gate.py": "LIMIT = 1\n",
    "files/machinery/tests/test_service.py": "def test_port(): ...\n",
    "files/dvc.yaml.jinja": "stages:\n  train:\n    deps:\n"
    "      - {{ 'machinery/rung_ops' if ejected else 'vendor' }}\n",
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a template whose projects run on a library."""
    return tiny.template(tmp_path / "template", files=WITH_LIBRARY)


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """Return a project on rung 2, which has a pipeline."""
    return tiny.new_project(template, tmp_path / "project", level=2)


def eject(project: Path, template: Path) -> None:
    assert 0 == ejecting.eject(project, template=str(template), no_verify=True)
    assert "" == git(project, "status", "--porcelain")


def undo(project: Path, template: Path) -> None:
    assert 0 == ejecting.eject(project, template=str(template), no_verify=True, undo=True)
    assert "" == git(project, "status", "--porcelain")


def edit(project: Path, old: str, new: str) -> None:
    file = project / "machinery/rung_ops/service.py"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    commit(project)


def test_source_takes_the_place_of_the_wheel_and_back(
    template: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(project)

    eject(project, template)

    ejected = files_of(project)
    assert SOURCE.encode() == ejected["machinery/rung_ops/service.py"]
    assert not any(path.startswith("vendor/") for path in ejected)
    assert "ejected: true" in (project / ".copier-answers.yml").read_text()
    output = capsys.readouterr().out
    assert "Library from wheel to source:" in output
    assert "`uv run poe pipeline` runs all of them once more" in output
    assert "uv sync" in output

    undo(project, template)

    assert before == files_of(project)


def test_a_project_without_a_pipeline_hears_nothing_of_stages(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eject(tiny.new_project(template, tmp_path / "small", level=0), template)

    assert "poe pipeline" not in capsys.readouterr().out


def test_an_ejected_project_climbs_and_stays_ejected(template: Path, tmp_path: Path) -> None:
    project = tiny.new_project(template, tmp_path / "small", level=0)
    eject(project, template)
    edit(project, "8000", "9000")

    tiny.climb(project, level=2)

    assert (project / "ops/two.py").exists()
    assert "9000" in (project / "machinery/rung_ops/service.py").read_text()
    assert "ejected: true" in (project / ".copier-answers.yml").read_text()


def test_an_update_merges_an_edit_with_changes_elsewhere(template: Path, project: Path) -> None:
    eject(project, template)
    edit(project, "8000", "9000")
    newer = SOURCE.replace("/predict", "/v2/predict")
    tiny.release(template, "v0.2.0", {"files/machinery/rung_ops/service.py": newer})

    tiny.climb(project, "v0.2.0")

    merged = newer.replace("8000", "9000")
    assert merged == (project / "machinery/rung_ops/service.py").read_text()


def test_an_update_of_the_edited_line_is_a_conflict(template: Path, project: Path) -> None:
    eject(project, template)
    edit(project, "8000", "9000")
    newer = SOURCE.replace("8000", "8080")
    tiny.release(template, "v0.2.0", {"files/machinery/rung_ops/service.py": newer})

    with tiny.prepare(project, "v0.2.0") as prepared:
        assert ["machinery/rung_ops/service.py"] == [
            conflict.path for conflict in prepared.plan.conflicts
        ]
        output = messages.stopped(prepared.plan, "rung update")

    assert "yours |     return 9000" in output
    assert "rung  |     return 8080" in output
    assert "9000" in (project / "machinery/rung_ops/service.py").read_text()


def test_a_file_rewritten_by_the_user_is_a_conflict_too(template: Path, project: Path) -> None:
    eject(project, template)
    rewritten = "".join(f"line_{number} = {number}\n" for number in range(12))
    (project / "machinery/rung_ops/service.py").write_text(rewritten)
    commit(project)
    newer = SOURCE.replace("8000", "8080")
    tiny.release(template, "v0.2.0", {"files/machinery/rung_ops/service.py": newer})

    plan = tiny.plan(project, "v0.2.0")

    assert ["machinery/rung_ops/service.py"] == [conflict.path for conflict in plan.conflicts]
    assert [] == plan.own


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machinery/rung_ops/gate.py": "LIMIT = 2\n"}, "machinery/rung_ops/gate.py"),
        ({"machinery/rung_ops/gate.py": None}, "machinery/rung_ops/gate.py (deleted)"),
        ({"machinery/rung_ops/mine.py": "x = 1\n"}, "machinery/rung_ops/mine.py (new)"),
    ],
)
def test_undo_refuses_and_names_what_was_edited(
    template: Path, project: Path, change: dict[str, Any], message: str
) -> None:
    eject(project, template)
    tiny.write(project, change)
    head = commit(project)

    with pytest.raises(NotDoneError) as refused:
        ejecting.eject(project, template=str(template), no_verify=True, undo=True)

    assert f"\n  {message}\n" in str(refused.value)
    assert head == git(project, "rev-parse", "HEAD")


def test_a_conflict_goes_to_a_branch_by_the_command_that_is_printed(
    template: Path, project: Path
) -> None:
    stage = project / "dvc.yaml"
    stage.write_text(stage.read_text().replace("- vendor", "- &own wheels"))
    head = commit(project)

    refused = rung("eject", "--template", template, project, expect=1)
    command = shlex.split(refused.stderr.splitlines()[-1])
    rung(*command[1:], cwd=project, expect=1)

    assert head == git(project, "rev-parse", "HEAD")
    assert "=======" in git(project, "show", "climb:dvc.yaml")
    assert "ejected: true" in git(project, "show", "climb:.copier-answers.yml")


def test_what_cannot_be_ejected_says_why(template: Path, project: Path) -> None:
    with pytest.raises(RungError, match="nothing to undo"):
        ejecting.eject(project, template=str(template), no_verify=True, undo=True)
    tiny.write(project, {"machinery/mine.txt": "ours\n"})
    commit(project)
    with pytest.raises(RungError, match="exists already"):
        ejecting.eject(project, template=str(template), no_verify=True)
    git(project, "rm", "--quiet", "-r", "machinery")
    commit(project)
    eject(project, template)
    with pytest.raises(RungError, match="already"):
        ejecting.eject(project, template=str(template), no_verify=True)


def test_a_template_without_a_library_says_so(small: Path, tmp_path: Path) -> None:
    project = tiny.new_project(small, tmp_path / "old", level=2)

    with pytest.raises(RungError, match="Run `rung update` first"):
        ejecting.eject(project, template=str(small), no_verify=True)


def test_many_files_of_a_folder_are_one_line() -> None:
    paths = [f"machinery/{number}.py" for number in range(30)]

    assert ["a.py", "machinery/ (30 files)", "z.py"] == messages._folded(["a.py", *paths, "z.py"])
    assert paths[:20] == messages._folded(paths[:20])
