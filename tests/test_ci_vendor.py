"""A new CI vendor is a file of levels/ci/, its name there, and its job files."""

import re
from pathlib import Path

import copier
import pytest
import yaml

from rung.core import level_contents, template_source
from rung.core.adoption.existing import Existing
from rung.core.adoption.inferred import infer
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels import ladder
from tests import asking
from tests.climbing import tiny
from tests.command import init, rung
from tests.conftest import CI, ROOT

# A vendor whose jobs are in one file, and that has only the check.
BITBUCKET = """\
title: Bitbucket Pipelines
host: bitbucket.org
files: [bitbucket-pipelines.yml]
up_to: 1
text: the step `JOB`
runner: ""
person: BITBUCKET_STEP_TRIGGERER_UUID
owners: .bitbucket/CODEOWNERS
jobs: {check: bitbucket-pipelines.yml}
owns:
  ownership-roles: [{path: .bitbucket/CODEOWNERS, team_size: [team, teams]}]
"""
JOBS = """\
image: ghcr.io/astral-sh/uv:python3.13-bookworm
pipelines:
  default:
    - step: {name: check, script: [uv run poe check]}
"""
FILE = "bitbucket-pipelines.yml"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Add the vendor to a copy of the template."""
    folder = asking.whole(tmp_path_factory.mktemp("vendor") / "template")
    names = folder / "levels/ci/names.yml"
    text = names.read_text("utf-8")
    text, times = re.subn(r"(default: \[.*)\]", r"\1, bitbucket]", text)
    assert 1 == times
    names.write_text(text, "utf-8")
    (folder / "levels/ci/bitbucket.yml").write_text(BITBUCKET, "utf-8")
    (folder / "templates/project" / FILE).write_text(JOBS, "utf-8")
    owners = folder / "templates/project/.bitbucket/CODEOWNERS"
    owners.parent.mkdir()
    owners.write_text("* @you\n", "utf-8")
    tiny.git(init(folder), "tag", "v0.1.0")
    return template_source.choose(str(folder), None)


@pytest.fixture(scope="module")
def project(template: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project of it, on its highest rung. Do not change it."""
    made = tmp_path_factory.mktemp("made") / "p"
    return tiny.new_project(Path(template.address), made, level=1, ci="bitbucket", team_size="team")


def test_its_jobs_come_with_it_and_only_with_it(
    template: Source, project: Path, tmp_path: Path
) -> None:
    theirs = tiny.files_of(project)
    githubs = tiny.files_of(
        tiny.fresh(Path(template.address), tmp_path / "b", level=1, ci="github", team_size="team")
    )

    assert {FILE, ".bitbucket/CODEOWNERS"} <= set(theirs)
    others = [vendor for name, vendor in CI.items() if name != "bitbucket"]
    assert not [path for path in theirs if any(vendor.runs(path) for vendor in others)]
    assert not [path for path in githubs if "bitbucket" in path]
    assert ".github/workflows/check.yml" in githubs


def test_a_plan_lists_its_jobs(template: Source, tmp_path: Path) -> None:
    project = tiny.new_project(Path(template.address), tmp_path / "p", level=1)
    plan = tiny.plan(project, ci="bitbucket")

    assert [FILE] == plan.jobs
    assert ".github/workflows/check.yml" in plan.retired


def test_a_project_above_its_rung_is_refused_with_what_to_do(
    template: Source, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    options = ("--defaults", "--level", "3", "--ci", "bitbucket", "--template", template.address)
    done = rung("new", made, *options)

    assert 2 == done.returncode
    assert "Bitbucket Pipelines serves projects up to rung 1, with the step `check`" in done.stderr
    assert "Choose rung 1 or below, or take another CI: `-d ci=github`" in done.stderr
    assert not made.exists()


def test_a_climb_above_its_rung_is_refused_unless_the_ci_changes_with_it(
    template: Source, project: Path
) -> None:
    with pytest.raises(RungError, match="Bitbucket Pipelines serves projects up to rung 1"):
        tiny.plan(project, level=2)
    plan = tiny.plan(project, level=2, ci="gitlab")

    assert ".gitlab/ci/train.yml" in plan.jobs
    assert FILE in plan.retired


def test_plain_copier_refuses_as_well(template: Source, tmp_path: Path) -> None:
    answers = {"ci": "bitbucket", "level": 3}

    with pytest.raises(ValueError, match="This CI has no jobs for that rung yet"):
        copier.run_copy(
            template.address, tmp_path / "made", data=answers, defaults=True, quiet=True
        )


@pytest.mark.parametrize(
    ("paths", "remote", "because"),
    [
        ([FILE], "", FILE),
        ([], "https://bitbucket.org/a/b.git", "the remote's address; there is no CI yet"),
    ],
)
def test_an_adoption_recognises_it(
    template: Source, paths: list[str], remote: str, because: str
) -> None:
    existing = Existing("here", frozenset(paths), lambda path: "", remote)
    result = infer(existing, [], level_contents.vendors(template), "github")

    assert ("bitbucket", because) == next(
        (fact.value, fact.because) for fact in result.facts if fact.about == "ci"
    )


@pytest.mark.parametrize("name", ladder.load_vendors(ROOT / "levels"))
def test_a_vendor_has_every_job_of_the_rungs_that_it_serves(name: str) -> None:
    levels = ROOT / "levels"
    vendor = ladder.load_vendors(levels)[name]
    files = {file.relative_to(levels).as_posix() for file in (levels / "ci").iterdir()}
    jobs = {
        capability.job
        for rung_ in ladder.load(levels)[: vendor.up_to + 1]
        for capability in rung_.capabilities.values()
        if capability.job
    }

    assert f"ci/{name}.yml" in files
    assert jobs == set(vendor.jobs)
    assert all(vendor.runs(path) for path in vendor.jobs.values())
    template = ROOT / "templates/project"
    for path in (*vendor.jobs.values(), vendor.owners):
        assert (template / path).exists() or (template / f"{path}.jinja").exists(), path
    library = (ROOT / "machinery/rung_ops").rglob("*.py")
    assert any(vendor.person in path.read_text("utf-8") for path in library)


def test_a_vendor_of_version_0_2_is_still_read() -> None:
    data = yaml.safe_load("{title: Forge, job: .forge/JOB.yml, files: [.forge/*.yml], host: forge}")

    assert ladder.decode_vendor(data, Path("infrastructure.yml")).runs(".forge/check.yml")
