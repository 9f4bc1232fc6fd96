"""A newcomer can type every command that a project's README and RUNG.md name."""

from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CHOICES, GAMES
from tests.conftest import name_of as name
from tests.product.variants import (
    VARIANTS,
    Project,
    commands_of_the_readme,
    commands_of_the_rung,
    start,
)

# Tried elsewhere, or not here: `audit` asks a service on the network, `runs` stays up until it is
# stopped (test_pipeline.py), `image` needs Docker (test_image.py), `promote` an approval (the
# project's own ops/tests/test_promote.py).
# `test` is what takes longest in `check`, which runs it.
ELSEWHERE = {"audit", "runs", "image", "promote", "test"}


def test_the_variants_cover_every_pair_of_answers() -> None:
    for one, other in combinations(CHOICES, 2):
        seen = {(variant[one], variant[other]) for variant in VARIANTS}

        assert seen == set(product(CHOICES[one], CHOICES[other]))


@pytest.mark.slow
@pytest.mark.parametrize("answers", VARIANTS, ids=name)
def test_a_newcomer_can_type_every_command(
    copier_template: Path, tmp_path: Path, answers: dict[str, Any]
) -> None:
    project = start(copier_template, tmp_path / "project", **answers)

    for command in commands_of_the_readme(project):
        project.run(command)
    assert (project.folder / "reports/report.html").stat().st_size > 50_000
    rows_to_score(project)
    for command in in_order(commands_of_the_rung(project)):
        if command not in commands_of_the_readme(project):
            project.run(command)

    if answers["level"] >= 1:
        assert (project.folder / "reports/scored.parquet").exists()
    assert changed(project) <= {"dvc.lock", "governance/dvc.lock"}


def in_order(commands: list[str]) -> list[str]:
    """Fill in what a person would, and make a version before asking where it came from."""
    filled = [
        command.replace("FILE", "rows.csv").replace("VERSION", "1")
        + (" --trials 2" if command.endswith("poe tune") else "")
        for command in commands
        if command.split()[3] not in ELSEWHERE
    ]
    return sorted(filled, key=lambda command: "pipeline" not in command)


def rows_to_score(project: Project) -> None:
    """Write ten of the rows that the model was judged by to rows.csv."""
    project.run(
        'uv run python -c "import polars; '
        "polars.read_parquet('data/test.parquet').head(10).write_csv('rows.csv')\" "
        "&& echo rows.csv >> .git/info/exclude"
    )


def changed(project: Project) -> set[str]:
    return {line[3:] for line in project.run("git status --porcelain").splitlines()}


@pytest.mark.slow
@pytest.mark.parametrize("use_case", GAMES)
def test_with_data_of_ones_own_everything_goes_on_working(
    copier_template: Path, tmp_path: Path, use_case: str
) -> None:
    """A regression with other columns and missing values, in place of the example."""
    project = start(copier_template, tmp_path / "project", use_case=use_case, level=2)
    replace_with_the_third_data_set(project)

    for command in ("check", "pipeline", "notebook", "tune --trials 2", "lineage", "card"):
        project.run(f"uv run poe {command}")
    rows_to_score(project)
    project.run("uv run poe predict rows.csv")

    assert "residuals.csv" in project.run("ls reports/plots")


def replace_with_the_third_data_set(project: Project) -> None:
    third = Path(__file__).parents[1] / "assets/third_project"
    (package,) = (project.folder / "src").iterdir()
    for file in (project.folder / "data/sample").iterdir():
        file.unlink()
    for file in third.iterdir():
        if file.is_file():
            place = {".py": package, ".toml": project.folder}
            folder = place.get(file.suffix, project.folder / "data/sample")
            (folder / file.name).write_bytes(file.read_bytes())
    project.commit("Bring our own data")
