"""One process works on two projects, one after the other: each has its own package and files."""

from pathlib import Path

import polars as pl
import pytest

from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.project import Project, current, hooks, use
from rung_ops.project.paths import params, project_name, raw_files, shown

DATASET = """
from pathlib import Path

import polars as pl


def load(path: Path) -> pl.DataFrame:
    return pl.read_csv(path).select(pl.lit("{package}").alias("from"))


TARGET = "{package}_target"
TIME = None
"""
PARAMS = """
seed = 1
[score]
metric = "auc"
higher_is_better = true
"""
SETTINGS = """
[project]
name = "{name}"
[tool.rung]
package = "{package}"
[tool.rung.hooks]
notify = "{package}.dataset:load"
"""


def make(folder: Path, package: str) -> Project:
    """Write a project of a few files; its package is installed nowhere."""
    source = folder / "src" / package
    for path in (source, folder / "data/sample"):
        path.mkdir(parents=True)
    settings = SETTINGS.format(name=folder.name, package=package)
    (folder / "pyproject.toml").write_text(settings)
    (folder / "params.toml").write_text(f'{PARAMS}[model]\nname = "{folder.name}"\n')
    (folder / "data/sample/rows.csv").write_text("a\n1\n")
    (source / "__init__.py").touch()
    (source / "dataset.py").write_text(DATASET.format(package=package))
    return Project.at(folder)


@pytest.mark.parametrize("order", [("tides", "wind"), ("wind", "tides")])
def test_each_project_has_its_own_contract_parameters_and_files(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    outside = current()
    # The names differ between tests as well: Python keeps what it has imported.
    packages = [f"{name}_{'_'.join(order)}" for name in order]
    projects = [make(tmp_path / package, package) for package in packages]

    for project, package in [*zip(projects, packages, strict=True)] * 2:
        with use(project):
            assert contract.TARGET == f"{package}_target"
            assert contract.package() == package
            assert contract.load(raw_files()[0]).equals(pl.DataFrame({"from": [package]}))
            assert hooks.named() == {"notify": f"{package}.dataset:load"}
            assert params()["model"] == {"name": package}
            assert project_name() == package
            assert shown(project.root / "data/sample/rows.csv") == "data/sample/rows.csv"
            assert current().reports == tmp_path / package / "reports"
    assert current() is outside


def test_the_project_before_is_in_use_again_after_an_error(tmp_path: Path) -> None:
    outside, package = current(), "waves"

    with (
        pytest.raises(StageError, match="`Row` is missing"),
        use(make(tmp_path, package)),
    ):
        contract.Row  # noqa: B018

    assert current() is outside
