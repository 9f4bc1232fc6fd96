"""Climbing with plain Copier: the result is a fresh project, and the user's lines stay."""

import re
import tomllib
from pathlib import Path
from typing import Any

import copier as copier_api
import pytest
import yaml
from pytest_copier.plugin import CopierFixture

from tests.command import commit, init
from tests.conftest import GAMES, ROOT, Render, files_of, of_the_sample

# Together they hold every climb from one rung to another, each in one of the games: what plain Copier
# merges are the renders between which Rung climbs in both (climbing/test_stairs.py).
STAIRS = [
    ("velocity", [0, 1, 2, 3, 4]),
    ("governance", [4, 3, 2, 1, 0]),
    ("governance", [0, 2, 4, 1, 3, 0]),
    ("velocity", [0, 4, 2, 0]),
    ("velocity", [0, 3, 1, 4, 0]),
]
FAST = ("velocity", [0, 1])
IN_VELOCITY = ["velocity", pytest.param("governance", marks=pytest.mark.slow)]


def start(copier: CopierFixture, project: Path, **answers: Any) -> Path:
    """Make a project in a separate repository, with one commit."""
    data = of_the_sample(answers)
    copier_api.run_copy(str(copier.template), project, data=data, defaults=True, quiet=True)
    return init(project)


def climb(project: Path, **answers: Any) -> None:
    """Update as `copier update -d ...` does, without trust, and commit."""
    copier_api.run_update(
        project, data=answers, defaults=True, overwrite=True, quiet=True, unsafe=False
    )
    commit(project, f"Climb: {answers}")


def yours(use_case: str) -> list[str]:
    owners = yaml.safe_load((ROOT / "levels/yours.yml").read_text())["yours"]["default"]
    package = "credit_risk" if use_case == "governance" else "late_flights"
    paths = owners["always"] + owners[use_case]
    return [path.replace("src/*", f"src/{package}") for path in paths]


def wherever(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out the template's path: parallel test processes have one each."""
    answers = re.sub(rb"(?m)^_src_path: .*\n", b"", files[".copier-answers.yml"])
    return files | {".copier-answers.yml": answers}


@pytest.mark.parametrize(
    "use_case, stairs",
    [FAST, *(pytest.param(*stair, marks=pytest.mark.slow) for stair in STAIRS)],
    ids=str,
)
def test_a_climb_gives_the_files_of_a_fresh_project(
    copier: CopierFixture, render: Render, tmp_path: Path, use_case: str, stairs: list[int]
) -> None:
    project = start(copier, tmp_path / "project", use_case=use_case, level=stairs[0])

    for level in stairs[1:]:
        climb(project, level=level)

        # What was answered above stays recorded below.
        answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
        assert (answers["use_case"], answers["level"]) == (use_case, level)
        recorded = {name: answer for name, answer in answers.items() if not name.startswith("_")}
        assert wherever(files_of(project)) == wherever(files_of(render(**recorded)))


@pytest.mark.slow
@pytest.mark.parametrize("use_case", GAMES)
def test_every_byte_of_the_users_files_survives(
    copier: CopierFixture, tmp_path: Path, use_case: str
) -> None:
    project = start(copier, tmp_path / "project", use_case=use_case, level=0)
    for number, path in enumerate(yours(use_case)):
        (project / path).write_bytes(f"mine {number}\r\n\xa0".encode("latin-1"))
    (project / "src/mine.py").write_text("MINE = 1\n")
    commit(project, "Edit everything")
    before = {path: (project / path).read_bytes() for path in [*yours(use_case), "src/mine.py"]}

    for level in (2, 0):
        climb(project, level=level)

        assert {path: (project / path).read_bytes() for path in before} == before


def test_a_file_that_the_user_deleted_stays_deleted(copier: CopierFixture, tmp_path: Path) -> None:
    project = start(copier, tmp_path / "project", level=0)
    (project / "notebooks/explore.ipynb").unlink()
    (project / "tests/test_model.py").unlink()
    commit(project, "Delete what we do not need")

    climb(project, level=2)

    assert not (project / "notebooks/explore.ipynb").exists()
    assert not (project / "tests/test_model.py").exists()


@pytest.mark.parametrize("use_case", IN_VELOCITY)
def test_pyproject_keeps_what_the_user_wrote(
    copier: CopierFixture, tmp_path: Path, use_case: str
) -> None:
    project = start(copier, tmp_path / "project", use_case=use_case, level=0)
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text()
    for old, new in [
        ('version = "0.1.0"', 'version = "1.4.0"'),
        ('    "polars>=1.30",\n', '    "polars>=2.0",\n    "requests>=2.32",\n'),
        ('    "pytest>=8.4",\n', '    "pytest>=9.0",\n'),
        (
            "# Yours: groups of your own go below this line.\n",
            '# Yours: groups of your own go below this line.\n\nplots = [\n    "seaborn>=0.13",\n]\n',
        ),
        ("line-length = 100", "line-length = 120"),
    ]:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    pyproject.write_text(text + '\n[tool.poe.tasks]\nhello = "echo hello"\n')
    commit(project, "Make it ours")

    climb(project, level=2)

    merged = tomllib.loads(pyproject.read_text())
    assert merged["project"]["version"] == "1.4.0"
    assert {"polars>=2.0", "requests>=2.32"} <= set(merged["project"]["dependencies"])
    assert "pytest>=9.0" in merged["dependency-groups"]["rung-0"]
    assert merged["dependency-groups"]["plots"] == ["seaborn>=0.13"]
    assert {"rung-0", "rung-1", "rung-2"} <= set(merged["dependency-groups"])
    assert merged["tool"]["ruff"]["line-length"] == 120
    assert merged["tool"]["poe"]["tasks"] == {"hello": "echo hello"}
