"""Several models in one repository: each is trained, released and served by itself, side by side."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.product.flown import override
from tests.product.serving import free_port
from tests.product.variants import (
    Project,
    ask,
    in_production,
    promise_less,
    serving,
    start,
    take_another_seed,
    validate,
)

pytestmark = pytest.mark.slow

# What the second model's team has agreed on.
ITS_OWN_PLAN = ("governance/change_control_plan.yaml", "least: 0.75", "least: 0.70")
SECOND = {"velocity": "cancellations", "governance": "household_credits"}


def release(model: Project, *, governed: bool) -> None:
    """Bring a model from its raw rows to production, as its team would."""
    model.run("uv run poe pipeline")
    model.commit("Train")
    if governed:
        validate(model)
    model.run("uv run poe gate")
    model.run("uv run poe release")
    model.run("uv run poe deploy production")
    if governed:
        model.run("uv run poe promote 1")


@contextmanager
def served(*models: Project) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serving(model, free_port())) for model in models]


@pytest.mark.parametrize("use_case", SECOND)
def test_two_models_are_trained_released_and_served_side_by_side(
    copier_template: Path, tmp_path: Path, use_case: str
) -> None:
    governed = use_case == "governance"
    first = start(copier_template, tmp_path / "p", use_case=use_case, team_size="teams", level=3)
    promise_less(first)
    first.run("uv run poe models")
    first.run("uv run poe keys")
    first.commit("Bring the documents of the second model, publish the keys")
    second = Project(first.folder / "models" / SECOND[use_case])
    if governed:
        override(second.folder, ITS_OWN_PLAN)
        second.commit("Agree on bounds")

    first.run("uv run poe check")  # of both
    release(second, governed=governed)
    release(first, governed=governed)

    bundles = [in_production(model.folder / "releases") for model in (first, second)]
    rows = [json.loads((bundle / "contract.json").read_text())["example"] for bundle in bundles]
    with served(first, second) as addresses:
        answers = [ask(*request) for request in zip(addresses, rows, strict=True)]
    names = [json.loads((bundle / "manifest.json").read_text())["model"] for bundle in bundles]
    assert [bundle.name for bundle in bundles] == [answer["release"] for answer in answers]
    assert names[1] == f"{names[0]}-{second.folder.name}"
    # Each was made from its own rows, and nothing of one is with the other.
    assert (first.folder / "reports/metrics.json").read_text() != (
        second.folder / "reports/metrics.json"
    ).read_text()
    assert first.is_clean()
    if not governed:
        is_taken_back_alone(second, first)


def is_taken_back_alone(second: Project, first: Project) -> None:
    """Bring another release of a model to production and take it back; another model's stays."""
    before = [in_production(model.folder / "releases").name for model in (first, second)]
    take_another_seed(second.folder)
    second.commit("Another seed")
    second.run("uv run poe pipeline")
    second.commit("Train again")
    second.run("uv run poe release")
    second.run("uv run poe deploy production --at-once --without-gate 'to be rolled back'")
    assert in_production(second.folder / "releases").name.startswith("v2-")

    second.run("uv run poe rollback")

    assert before == [in_production(model.folder / "releases").name for model in (first, second)]


def test_a_verb_runs_for_each_model_and_otherwise_for_the_one_it_is_typed_in(
    copier_template: Path, tmp_path: Path
) -> None:
    project = start(copier_template, tmp_path / "p", team_size="teams", level=2)
    project.run("uv run poe models returns")
    third = Project(project.folder / "models/returns")
    project.commit("Add a model")

    alone = third.run("uv run poe pipeline")
    output = project.run("uv run poe models --each validate")

    assert "late-flights-returns version 1 is challenger" in alone
    for model in ("", "-cancellations", "-returns"):
        assert f"late-flights{model}:\n" in output
    for folder in (".", "models/cancellations", "models/returns"):
        assert (project.folder / folder / "reports/validation.json").is_file()
        assert (folder == "models/returns") == (
            project.folder / folder / "reports/report.html"
        ).is_file()
    assert (third.folder / "reports/report.html").stat().st_size > 50_000
    project.run("uv run poe check")
    features = third.folder / "src/returns/features.py"
    features.write_text(features.read_text() + "\nFEATURES = []\n")
    assert "models/returns does not hold" in project.fail("uv run poe models --check")
