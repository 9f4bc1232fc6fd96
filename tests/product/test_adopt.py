"""An adopted repository works: its checks pass, and the example trains beside its own code."""

from pathlib import Path

import pytest

from tests.command import git, rung
from tests.product.variants import Project

pytestmark = [pytest.mark.slow, pytest.mark.every_commit]

OWN = {
    "pyproject.toml": (
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
        '[project]\nname = "churn"\nversion = "1.0"\nrequires-python = ">=3.11"\n\n'
        '[tool.ruff]\nline-length = 100\n\n[tool.ruff.lint]\nselect = ["E", "F"]\n'
    ),
    "src/churn/__init__.py": '"""Churn."""\n',
    "src/churn/prices.py": (
        '"""Prices."""\n\n\n'
        'def net(gross: float) -> float:\n    """Take the tax off."""\n    return gross / 1.2\n'
    ),
    "tests/test_prices.py": (
        '"""Prices."""\n\nfrom churn.prices import net\n\n\n'
        'def test_the_tax_is_taken_off() -> None:\n    """Of 120, 20 are tax."""\n'
        "    assert net(120.0) == 100.0\n"
    ),
    "README.md": "# Churn\n",
}


def test_an_adopted_repository_passes_its_checks_and_trains(
    copier_template: Path, tmp_path: Path
) -> None:
    project = Project(tmp_path / "churn")
    for path, text in OWN.items():
        (project.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / path).write_text(text)
    git(project.folder, "init", "--quiet", "--initial-branch=main")
    project.commit("Ours")

    options = ("--level", "2", "--merge", "--template", copier_template)
    done = rung("adopt", project.folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    project.run("uv sync")
    project.commit("Lock the packages")

    assert "tests/test_prices.py" in project.run("uv run poe check")
    project.run("uv run poe pipeline")
    assert (project.folder / "reports/report.html").stat().st_size > 50_000
    project.commit("Train")
    kept = {path: (project.folder / path).read_text() for path in OWN}
    assert OWN | {"pyproject.toml": kept["pyproject.toml"]} == kept
