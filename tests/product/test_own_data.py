"""Other data climbs all rungs: without a time, with a text, with 300 columns."""

import csv
import json
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.command import git, rung
from tests.product.conftest import commit
from tests.product.serving import free_port
from tests.product.variants import Project, ask, in_production, promise_less, serving

pytestmark = pytest.mark.slow

OWN_DATA = Path(__file__).parents[1] / "assets/own_data"
FIRST = datetime(2026, 1, 1)
Rows = Iterator[dict[str, object]]


def yields(draw: random.Random) -> Rows:
    """Draw 900 fields: the gate wants 200 to test on."""
    for _ in range(900):
        soil, rain = draw.choice(["clay", "loam", "sand"]), draw.uniform(50, 400)
        nitrogen, irrigated = draw.uniform(0, 200), draw.random() < 0.3
        tonnes = 2 + rain / 100 + nitrogen / 80 + irrigated + (soil == "loam") + draw.gauss(0, 0.4)
        yield {
            "soil": soil,
            "rain": "" if draw.random() < 0.05 else round(rain, 1),
            "nitrogen": round(nitrogen, 1),
            "irrigated": str(irrigated).lower(),
            "tonnes": round(tonnes, 2),
        }


def tickets(draw: random.Random) -> Rows:
    """Draw 900 tickets whose texts hold commas, quotes, line breaks and letters beyond ASCII."""
    calm = [
        "thank you,\nall is well",
        'the "new" page is nice',
        "когда вы открыты?",
        "größere Tüte 🙂",
    ]
    loud = ["nothing works at all", "we lost 3,000 € since noon", "login fails, please call"]
    for number in range(900):
        urgent = draw.random() < 0.4
        reported = [draw.choice(loud if draw.random() < (0.8 if urgent else 0.1) else calm)]
        reported += [draw.choice(["hello", "dear team", "hi", "good day"]), f"case {number}"]
        draw.shuffle(reported)
        yield {
            "received": (FIRST + timedelta(hours=7 * number)).isoformat(),
            "message": ". ".join(reported),
            "urgent": str(urgent).lower(),
        }


def sensors(draw: random.Random) -> Rows:
    """Draw 900 machines, each with 298 sensors, of which three tell something."""
    for number in range(900):
        reported = [draw.gauss(0, 1) for _ in range(298)]
        failed = reported[3] + reported[50] - reported[200] + draw.gauss(0, 0.5) > 0.5
        texts = ["" if draw.random() < 0.02 else f"{value:.3f}" for value in reported]
        yield {
            "day": (FIRST + timedelta(days=number // 4)).date().isoformat(),
            **{f"sensor_{location:03}": text for location, text in enumerate(texts)},
            "failed": str(failed).lower(),
        }


DATA: dict[str, Callable[[random.Random], Rows]] = {
    "yields": yields,
    "tickets": tickets,
    "sensors": sensors,
}


def bring(project: Project, name: str) -> None:
    """Put data and code in place of the example, as the README's "Your own data" says."""
    put(project, name, DATA[name], (OWN_DATA / name).iterdir())


def put(
    project: Project, name: str, drawn: Callable[[random.Random], Rows], code: Iterable[Path]
) -> None:
    """Put drawn rows, modules of src/ and a params.toml in place of the example."""
    rows = list(drawn(random.Random(1)))
    sample = project.folder / "data/sample"
    shutil.rmtree(sample)
    sample.mkdir()
    with (sample / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (package,) = (project.folder / "src").iterdir()
    for own in code:
        shutil.copy(own, project.folder if own.name == "params.toml" else package)
    project.commit("Bring our own data")


def watch_an_outcome(project: Project, identity: str, target: str, value: object) -> None:
    """Bring what became of one prediction, and let the monitor read it."""
    folder = project.folder / "data/outcomes"
    folder.mkdir(exist_ok=True)
    with (folder / "outcomes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", target])
        writer.writerow([identity, value])
    output = project.run("uv run poe monitor || test $? -eq 1")
    assert "Traceback" not in output


def climb(project: Project, template: Path, level: int) -> None:
    rung("climb", project.folder, "--template", template, "--to", str(level), expect=0)
    project.run("uv sync")


@pytest.mark.parametrize("name", ["tickets", "sensors"])
def test_other_data_climbs_all_rungs(copier_template: Path, tmp_path: Path, name: str) -> None:
    project = start(copier_template, tmp_path / name)
    bring(project, name)
    goes_up(project, copier_template)


@pytest.mark.every_commit
def test_other_data_climbs_all_rungs_where_there_is_no_governance(
    copier_template: Path, tmp_path: Path
) -> None:
    """The template has neither source nor wheel of governance; the other game needs none."""
    template = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(copier_template), str(template))
    git(template, "rm", "-rq", "machinery/governance")
    git(template, "rm", "-q", "templates/project/vendor/rung_governance-*.whl")
    commit(template, "Take governance away")
    git(template, "tag", "100.0.0")
    project = start(template, tmp_path / "yields")
    bring(project, "yields")

    goes_up(project, template, rung_by_rung=True)

    assert "governance" not in project.run("uv run rung-ops --help").lower()
    assert "rung-governance" not in (project.folder / "uv.lock").read_text()
    assert [] == list((project.folder / ".venv").rglob("rung_governance*"))


def start(template: Path, folder: Path, level: int = 0) -> Project:
    project = Project(folder)
    options = ("--defaults", "--level", str(level), "--template", template)
    rung("new", project.folder, *options, "-d", f"project_name={folder.name}", expect=0)
    return project


def goes_up(
    project: Project,
    copier_template: Path,
    before_release: str = "",
    row: dict[str, Any] | None = None,
    rung_by_rung: bool = False,
) -> None:
    """Take a project with its own data from rung 0 to an answer of the service on rung 4."""
    project.run("uv sync")
    for verb in ("check", "train", "evaluate", "notebook"):
        project.run(f"uv run poe {verb}")
    project.commit("Lock the packages")

    climb(project, copier_template, 1 if rung_by_rung else 4)
    project.run("uv run poe predict data/sample/*.csv")

    if rung_by_rung:
        climb(project, copier_template, 2)
    project.run("uv run poe pipeline")
    project.commit("Run the pipeline")

    if rung_by_rung:
        climb(project, copier_template, 3)
    project.run("uv run poe keys")
    promise_less(project)
    project.commit("Publish the keys, agree on limits")
    project.run(f"uv run {before_release or 'true'}")
    for verb in ("gate", "release", "deploy staging", "deploy production"):
        project.run(f"uv run poe {verb}")

    if rung_by_rung:
        climb(project, copier_template, 4)
    bundle = in_production(project.folder / "releases")
    with serving(project, free_port()) as address:
        example = json.loads((bundle / "contract.json").read_text())["example"]
        answer = ask(address, row or example)
    assert bundle.name == answer["release"]
    project.run("uv run poe monitor || test $? -eq 1")
    project.run("uv run poe autopilot")
    assert project.is_clean()
