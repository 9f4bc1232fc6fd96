"""A house's own layer beside Rung's: both are climbed and updated, and neither touches the other's files."""

import shutil
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from tests.command import commit, git, init, rung
from tests.conftest import ROOT

HOUSE = ".copier-answers.house.yml"


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """Make the house's template a repository with a release."""
    folder = tmp_path / "layer"
    init(shutil.copytree(ROOT / "tests/house", folder))
    git(folder, "tag", "v1")
    return folder


@pytest.fixture
def template(copier_template: Path, tmp_path: Path) -> Path:
    """Copy Rung's template, to release it again."""
    git(tmp_path, "clone", "--quiet", str(copier_template), "template")
    return tmp_path / "template"


@pytest.fixture
def project(template: Path, layer: Path, tmp_path: Path) -> Path:
    """Make a project of both layers."""
    made = tmp_path / "made"
    rung("new", made, "--defaults", "--level", "1", "--template", template, expect=0)
    copier.run_copy(str(layer), made, data={"owner": "ml-team"}, defaults=True, quiet=True)
    commit(made, "Take the house's layer")
    return made


def entry(project: Path) -> Any:
    return yaml.safe_load((project / "catalog-info.yaml").read_text())


def update(project: Path, **answers: str) -> None:
    """Update the house's layer as `copier update --answers-file FILE` does."""
    copier.run_update(
        project, answers, answers_file=HOUSE, defaults=True, overwrite=True, quiet=True
    )
    commit(project, "Update the house's layer")


def test_both_layers_climb_and_update_in_the_same_week(
    project: Path, layer: Path, template: Path
) -> None:
    assert entry(project)["spec"] == {
        "type": "ml-model",
        "owner": "ml-team",
        "lifecycle": "experimental",
    }
    assert (project / ".github/workflows/house.yml").is_file()
    assert not (project / ".gitlab").exists()
    of_the_house = git(project, "diff", "--name-only", "HEAD^").splitlines()

    (project / "catalog-info.yaml").write_text(
        (project / "catalog-info.yaml").read_text() + "  system: pricing\n"
    )
    commit(project, "Name the system")
    before = {path: (project / path).read_bytes() for path in of_the_house}
    rung("climb", project, "--to", "3", "--no-verify", "--template", template, expect=0)
    assert before == {path: (project / path).read_bytes() for path in of_the_house}

    path = layer / "project/catalog-info.yaml.jinja"
    path.write_text(path.read_text().replace("metadata:\n", "metadata:\n  tags: [rung]\n"))
    commit(layer, "Tag entries")
    git(layer, "tag", "v2")
    update(project, lifecycle="production")

    assert entry(project)["metadata"]["tags"] == ["rung"]
    assert entry(project)["spec"]["system"] == "pricing"
    assert entry(project)["spec"]["lifecycle"] == "production"
    assert yaml.safe_load((project / HOUSE).read_text())["_commit"] == "v2"

    with (template / "templates/project/Dockerfile.jinja").open("a") as file:
        file.write("# Built each week.\n")
    commit(template, "Say how often it is built")
    git(template, "tag", "100.0.0")
    before = {path: (project / path).read_bytes() for path in [*of_the_house, HOUSE]}
    rung("update", project, "--no-verify", "--template", template, expect=0)
    assert before == {path: (project / path).read_bytes() for path in before}
    assert "# Built each week.\n" in (project / "Dockerfile").read_text()
    update(project, lifecycle="experimental")
    assert entry(project)["spec"]["lifecycle"] == "experimental"
    assert "# Built each week.\n" in (project / "Dockerfile").read_text()
    rung("climb", project, "--to", "1", "--no-verify", "--template", template, expect=0)
    assert (project / "catalog-info.yaml").is_file()
    assert "compose.yaml" not in git(project, "ls-files").splitlines()
