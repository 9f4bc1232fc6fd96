"""A new CI vendor is an entry of levels/infrastructure.yml and the files of its jobs."""

import shutil
from pathlib import Path

import pytest

from rung.core import infrastructure, template_source
from rung.core.adoption.existing import Existing
from rung.core.adoption.inferred import infer
from rung.core.template_source import Source
from tests.climbing import tiny
from tests.conftest import ROOT

ENTRY = """\
      forgejo:
        title: Forgejo Actions
        job: .forgejo/workflows/JOB.yml
        files: [.forgejo/workflows/*.yml]
        host: codeberg.org
    brings:
"""
JOB = "on: [push]\njobs:\n  check:\n    steps:\n      - run: uv run poe check\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("vendor") / "template"
    for part in ("levels", "templates"):
        ignored = shutil.ignore_patterns("__pycache__", "machinery")
        shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "copier.yml", folder)
    file = folder / "levels/infrastructure.yml"
    text = file.read_text("utf-8")
    assert 1 == text.count("    brings:\n")
    file.write_text(text.replace("    brings:\n", ENTRY), "utf-8")
    job = folder / "templates/project/.forgejo/workflows/check.yml"
    job.parent.mkdir(parents=True)
    job.write_text(JOB, "utf-8")
    tiny.git(folder, "init", "--quiet", "--initial-branch=main")
    tiny.commit(folder)
    tiny.git(folder, "tag", "v0.1.0")
    return template_source.choose(str(folder), None)


def test_its_jobs_come_with_it_and_only_with_it(template: Source, tmp_path: Path) -> None:
    theirs = tiny.files_of(
        tiny.fresh(Path(template.address), tmp_path / "a", level=1, ci="forgejo")
    )
    githubs = tiny.files_of(
        tiny.fresh(Path(template.address), tmp_path / "b", level=1, ci="github")
    )

    assert ".forgejo/workflows/check.yml" in theirs
    assert not [path for path in theirs if path.startswith((".github", ".gitlab", ".pipelines"))]
    assert not [path for path in githubs if ".forgejo" in path]
    assert ".github/workflows/check.yml" in githubs


def test_a_plan_lists_its_jobs(template: Source, tmp_path: Path) -> None:
    project = tiny.new_project(Path(template.address), tmp_path / "p", level=1)
    plan = tiny.plan(project, Path(template.address), ci="forgejo")

    assert [".forgejo/workflows/check.yml"] == plan.jobs
    assert ".github/workflows/check.yml" in plan.retired


@pytest.mark.parametrize(
    ("paths", "remote", "because"),
    [
        ([".forgejo/workflows/x.yml"], "", ".forgejo/workflows/x.yml"),
        ([], "https://codeberg.org/a/b.git", "the remote's address; there is no CI yet"),
    ],
)
def test_an_adoption_recognises_it(
    template: Source, paths: list[str], remote: str, because: str
) -> None:
    existing = Existing("here", frozenset(paths), lambda path: "", remote)
    result = infer(existing, [], infrastructure.vendors(template), "github")

    assert ("forgejo", because) == next(
        (fact.value, fact.because) for fact in result.facts if fact.about == "ci"
    )
