"""An adopted repository works: its checks pass, and its own model trains on its own rows."""

from pathlib import Path

import pytest

from tests.command import git, rung
from tests.product.variants import Project

pytestmark = [pytest.mark.slow, pytest.mark.every_commit]

OWN = {
    "pyproject.toml": (
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
        '[project]\nname = "churn"\nversion = "1.0"\nrequires-python = ">=3.11"\n\n'
        'dependencies = ["scikit-learn>=1.7"]\n'
    ),
    "src/churn/__init__.py": '"""Churn."""\n',
    # Not formatted, which is no failing check on the first day.
    "src/churn/prices.py": (
        "from sklearn.linear_model import Ridge\n\n"
        "def net( gross: float ) -> float: return gross / 1.2\n\n"
        "def train(frame):\n    return Ridge( alpha=0.5 ).fit(frame, frame.pop('price'))\n"
    ),
    "data/prices.csv": "size,rooms,price\n"
    + "".join(f"{n % 97},{n % 4 + 1},{3.5 * (n % 97) + n % 5}\n" for n in range(400)),
    "tests/test_prices.py": (
        '"""Prices."""\n\nfrom churn.prices import net\n\n\n'
        'def test_the_tax_is_taken_off() -> None:\n    """Of 120, 20 are tax."""\n'
        "    assert net(120.0) == 100.0\n"
    ),
    "README.md": "# Churn\n",
}


def test_an_adopted_repository_passes_its_checks_and_trains_its_own_model(
    copier_template: Path, tmp_path: Path
) -> None:
    project = Project(tmp_path / "churn")
    for path, text in OWN.items():
        (project.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / path).write_text(text)
    git(project.folder, "init", "--quiet", "--initial-branch=main")
    project.commit("Ours")

    options = ("--level", "2", "--merge", "--template", copier_template)
    done = rung("adopt", project.folder, *options, expect=0)
    assert "price: a number" in done.stdout
    assert (
        "Ridge(random_state=seed, **settings)"
        in (project.folder / "src/churn/model.py").read_text()
    )
    project.run("uv sync")
    project.commit("Lock the packages")

    assert "tests/test_prices.py" in project.run("uv run poe check")
    project.run("uv run poe pipeline")
    assert "400 rows scored" in project.run("uv run poe predict data/prices.csv")
    assert (project.folder / "reports/report.html").stat().st_size > 50_000
    project.commit("Train")
    kept = {path: (project.folder / path).read_text() for path in OWN}
    assert OWN | {"pyproject.toml": kept["pyproject.toml"]} == kept
