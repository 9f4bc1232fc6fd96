"""A project that Rung made is on its rung, and lacks exactly what is removed from it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rung.check.report import facts
from rung.check.review import findings
from rung.check.review.review import Review, review
from rung.levels.ladder import TIERS, Capability
from tests.conftest import GAMES, LEVELS, VARIANTS, VENDORS, Render, name_of
from tests.repositories import LADDER, ML, PLENTY, evidence, plant

CAPABILITIES = {name: one for rung in LADDER for name, one in rung.capabilities.items()}

# What commands make, and every project has after its first day: `uv sync` and `poe pipeline`.
MADE = {"uv.lock": "version = 1\n"}
MADE_BY_THE_PIPELINE = {"dvc.lock": "schema: '2.0'\nstages: {}\n"}


def project(render: Render, folder: Path, **answers: Any) -> Path:
    """Copy a project as it is after its first day."""
    shutil.copytree(render(**answers), folder)
    plant(folder, MADE)
    if answers["level"] >= 2:
        plant(folder, MADE_BY_THE_PIPELINE)
    return folder


def write_documents(folder: Path) -> None:
    """Write text below each heading of the example's documents."""
    for path in OF_THE_EXAMPLE.values():
        file = folder / path
        if file.exists():
            lines = file.read_text("utf-8").split("\n")
            headings = [line for line in lines if line.startswith("#")]
            file.write_text("".join(f"{line}\n\nWe rank our own trains.\n\n" for line in headings))


def test_answers_that_contradict_the_files_are_named(render: Render, tmp_path: Path) -> None:
    governed = project(render, tmp_path / "project", use_case="governance", level=3)
    answers = governed / ".copier-answers.yml"

    def edited(old: str, new: str) -> str:
        text = answers.read_text()
        answers.write_text(text.replace(old, new))
        (note,) = (each for each in review(governed, limits=PLENTY).notes if "`use_case: " in each)
        answers.write_text(text)
        return note

    left = edited("use_case: governance", "use_case: velocity")
    assert "`use_case: velocity` and `level: 3`, which does not bring `governance/" in left
    assert "does not bring `governance/change_control_plan.yaml`" in edited("level: 3", "level: 2")
    assert "brings `ops/autopilot.toml`" in edited("level: 3", "level: 4")
    early = edited("level: 3", "level: 1\ndocuments: now")
    assert "does not bring `governance/dvc.yaml`" in early
    shutil.rmtree(governed / "governance")
    assert "which is missing" in edited("level: 3", "level: 3 ")


PLAIN_ONES: list[dict[str, Any]] = [
    {"use_case": game, "team_size": "one", "ci": "github", "level": level}
    for game in GAMES
    for level in LEVELS
]
EARLY = PLAIN_ONES[len(LEVELS) + 1] | {"documents": "now"}  # of governance, on rung 1


@pytest.mark.parametrize("answers", [*VARIANTS, *PLAIN_ONES, EARLY], ids=name_of)
def test_a_generated_project_is_on_its_rung(
    render: Render, tmp_path: Path, answers: dict[str, Any]
) -> None:
    folder = project(render, tmp_path / "project", **answers)
    result = review(folder, limits=PLENTY)

    assert answers["level"] == result.level
    assert answers["use_case"] == result.game
    assert not result.left_out.out_of_time
    assert not [note for note in result.notes if "`use_case: " in note]
    for name in OF_THE_EXAMPLE.values():
        if (folder / name).exists():
            assert any(f"`{name}`" in note for note in result.notes)
    assert [] == [
        finding.capability.id
        for finding in result.findings.values()
        for rung in [finding.rung(result.game)]
        if rung is not None
        and rung <= result.level
        and not finding.holds
        and finding.capability.id not in NOT_IN_PROJECTS | set(OF_THE_EXAMPLE)
        and (result.game, finding.capability.id) != ("governance", "canary-or-ab-rollout")
    ]


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("answers", [{"use_case": game, "team_size": "one"} for game in GAMES])
def test_what_a_climb_is_said_to_bring_is_found_after_it(
    render: Render, tmp_path: Path, answers: dict[str, Any], level: int
) -> None:
    before, after = (
        review(project(render, tmp_path / f"{rung}", **answers, level=rung), limits=PLENTY)
        for rung in (level, level + 1)
    )

    brought = {
        blocker.finding.capability.id
        for blocker in before.rating.blockers
        if "Rung brings it," in facts.effort(before, blocker)
    }
    missing = {one.capability.id for one in after.required(level + 1) if not one.holds}
    assert brought and not brought & missing
    assert missing == {name for name in missing if name in facts.by_rung(before)}


@pytest.mark.parametrize("ci", VENDORS)
def test_a_project_that_declares_entity_features_fills_its_store_without_being_asked(
    render: Render, tmp_path: Path, ci: str
) -> None:
    folder = project(render, tmp_path / "project", use_case="velocity", level=3, ci=ci)
    (features,) = folder.glob("src/*/features.py")
    declared = "\nENTITY_FEATURES = [EntityFeature(name='late', entity=['carrier'])]\n"
    features.write_text(
        f"from rung_ops.features import EntityFeature\n{features.read_text()}{declared}"
    )

    result = review(folder, limits=PLENTY).findings["online-feature-store"]

    assert result.tier == "automated"


# Documents that are the example's until somebody writes them.
OF_THE_EXAMPLE = {
    "use-case-brief": "docs/use_case.md",
    "model-card": "docs/model_card.md",
    "datasheet": "docs/datasheet.md",
}
# What a new project of Rung's does without: its features are of the row alone.
NOT_IN_PROJECTS = {"online-feature-store", "ownership-roles"}


OF_RUNG = "_commit: v1\nuse_case: velocity\nlevel: 3\n"


@pytest.mark.parametrize(
    ("files", "rung"),
    [
        ({}, 3),
        ({".copier-answers.yml": "_commit: v1\nname: of another template\n"}, 3),
        ({".copier-answers.yml": OF_RUNG + "compute: kubernetes\n"}, 3),
        ({".copier-answers.yml": OF_RUNG + "compute: machine\n"}, None),
        ({".copier-answers.yml": OF_RUNG}, None),
        ({".copier-answers.yml": OF_RUNG, "main.tf": 'resource "a" "b" {}\n'}, 3),
    ],
)
def test_infrastructure_as_code_is_required_if_an_answer_names_infrastructure(
    files: dict[str, str], rung: int | None, tmp_path: Path
) -> None:
    result = review(plant(tmp_path, ML | files), limits=PLENTY)

    assert result.findings["infrastructure-as-code"].rung("velocity") == rung


@pytest.mark.parametrize(
    ("call", "promotes"),
    [
        ("store.set_registered_model_alias(name, CHALLENGER, version)", False),
        ("store.set_registered_model_alias(name, CHAMPION, version)", True),
        ("store.set_registered_model_alias(\n    name=name,\n    alias='champion',\n)", True),
        ("store.transition_model_version_stage(name, version, stage)", True),
    ],
)
def test_a_version_is_promoted_when_it_becomes_champion_not_when_it_is_registered(
    tmp_path: Path, call: str, promotes: bool
) -> None:
    names = 'CHAMPION = "champion"\nCHALLENGER = "challenger"\n'
    result = review(plant(tmp_path, ML | {"a.py": f"{names}{call}\n"}), limits=PLENTY)

    for name in ("environment-promotion", "automated-promotion-policy"):
        assert promotes == result.findings[name].holds


VERBS = ["predict", "baseline", "slices", "track", "gate", "release", "deploy", "rollback"]
VERBS += ["serve", "load-test", "monitor", "autopilot", "records", "fairness", "explain"]
VERBS += ["governance gate", "governance promote", "governance stop", "governance monitor"]
OF_THE_VERBS = {
    "model-quality-gate",
    "prediction-service",
    "one-step-rollback",
    "drift-monitoring",
    "experiment-tracking",
    "model-registry",
    "fairness-assessment",
}


def with_verbs(line: str) -> dict[str, str]:
    lines = "".join(f"          {line.format(verb)}\n" for verb in VERBS)
    steps = f"    steps:\n      - run: |\n{lines}"
    tasks = "".join(f'{verb.replace(" ", "-")} = "{line.format(verb)}"\n' for verb in VERBS)
    return ML | {
        ".github/workflows/a.yml": f"on: {{schedule: [{{cron: 1 1 * * *}}]}}\njobs:\n  a:\n{steps}",
        "pyproject.toml": f"[tool.poe.tasks]\n{tasks}",
        "Dockerfile": f"FROM a\nRUN {line.format('serve')}\n",
    }


def test_a_verb_of_the_library_is_evidence_where_it_runs(tmp_path: Path) -> None:
    result = review(plant(tmp_path, with_verbs("uv run rung-ops {}")), limits=PLENTY)

    assert held(result) >= OF_THE_VERBS


@pytest.mark.parametrize("line", ["# rung-ops {}", "echo rung-ops {}", "pip install rung-ops {}"])
def test_a_verb_that_is_only_mentioned_is_not_evidence(tmp_path: Path, line: str) -> None:
    result = review(plant(tmp_path / "said", with_verbs(line)), limits=PLENTY)
    nothing = review(plant(tmp_path / "nothing", with_verbs("ls")), limits=PLENTY)

    assert held(result) == held(nothing)
    assert not held(result) & OF_THE_VERBS


def test_a_repository_without_machine_learning_is_reported_as_such(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "a"\ndependencies = ["requests"]\n',
        ".github/workflows/a.yml": "jobs: {a: {steps: [{run: pytest}, {run: ruff check}]}}\n",
        "tests/test_a.py": "def test_a(): assert score(1)\n",
    }
    result = review(plant(tmp_path, files), limits=PLENTY)

    assert 0 == result.level
    assert not result.machine_learning
    assert "not a machine-learning repository" in result.notes[0]


def test_several_projects_in_one_repository_are_pointed_out(tmp_path: Path) -> None:
    files = {f"sample{number}/requirements.txt": "torch==2.0\n" for number in range(9)}
    result = review(plant(tmp_path, ML | files), limits=PLENTY)

    assert "9 of its folders have dependencies of their own" in result.notes[0]


def held(result: Review) -> set[str]:
    return {name for name, finding in result.findings.items() if finding.holds}


def erase(folder: Path, capability: Capability) -> None:
    """Take out each line and each name that shows a capability, until nothing does."""
    for round_ in range(60):
        looked = evidence(folder, *capability.evidence.values())
        finding = findings.find(capability, looked)
        if finding.points < TIERS["used"]:
            return
        for hit in {
            shown.match for shown in finding.shown if shown.tier == "used" and shown.match.path
        }:
            path = folder / hit.path
            if not path.exists():
                continue  # renamed in this round
            if hit.line:
                lines = path.read_text("utf-8").split("\n")
                lines[hit.line - 1] = ""
                path.write_text("\n".join(lines), "utf-8")
            else:
                path.rename(path.with_name(f"x{round_}{path.suffix}"))
    raise AssertionError("it never ends")


def erasable() -> Iterator[Any]:
    """Give each capability with a project at the rung from which its game has it."""
    for name, capability in CAPABILITIES.items():
        game = "governance" if capability.game == "governance" else "velocity"
        rung = capability.rung(game)
        if name not in NOT_IN_PROJECTS:
            answers = {question: of[0] for question, of in capability.where.items()}
            yield pytest.param(name, {"use_case": game, "level": rung, **answers}, id=name)


# One verb of rung-ops, or one import, that does several things.
TRACK = {"experiment-tracking", "model-registry"}
SERVE = {"prediction-service", "prediction-logging", "service-metrics"}
MONITOR = {"drift-monitoring", "outcome-monitoring", "freshness-and-staleness"}
ROW = {"data-validation", "io-contract"}

# Where one piece of evidence serves two: the other goes with it.
TOGETHER: dict[str, set[str]] = {
    # a heading of the brief says who decides
    "use-case-brief": {"ownership-roles"},
    # the imports of tests say what they test: features and a model
    "unit-tests": {"ml-unit-tests"},
    **dict.fromkeys(TRACK, TRACK),
    **dict.fromkeys(SERVE, SERVE | {"automated-promotion-policy"}),
    **dict.fromkeys(MONITOR, MONITOR),
    **dict.fromkeys(ROW, ROW),
    # dvc.lock names the data's version, and what it made; `track` notes both
    "training-lineage": {"data-versioning"} | TRACK,
    # without the key `stages` no stage is left
    "orchestrated-pipeline": {"baseline-comparison", "slice-evaluation"} | TRACK,
    # the rules are rollout.toml, and the verbs that follow them
    "automated-promotion-policy": {
        *SERVE,
        "canary-or-ab-rollout",
        "shadow-deployment",
        "drift-triggered-retraining",
    },
    # `dvc repro` in a scheduled job of CI, and at GitLab its `when: manual`
    "training-trigger": {"pipeline-integration-test"},
    "pipeline-integration-test": {"training-trigger"},
    # `promote` sets the alias as well
    "human-approval-gate": {
        *("training-trigger", "environment-promotion", "independent-validation"),
    },
    # `promote` refuses what no validator approved of
    "independent-validation": {"human-approval-gate", "environment-promotion"},
    # setting an alias of a registered model
    "environment-promotion": {"automated-promotion-policy"},
    # without the headings of its tables rollout.toml does not parse
    "canary-or-ab-rollout": {"shadow-deployment"},
    "shadow-deployment": {"canary-or-ab-rollout"},
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "answers"), list(erasable()))
def test_what_is_taken_out_is_all_that_is_missing(
    render: Render, tmp_path: Path, name: str, answers: dict[str, Any]
) -> None:
    answers = {"team_size": "team", "ci": "github"} | answers
    folder = project(render, tmp_path / "project", **answers)
    write_documents(folder)
    before = held(review(folder, limits=PLENTY))
    assert name in before

    erase(folder, CAPABILITIES[name])

    lost = before - held(review(folder, limits=PLENTY))
    assert name in lost
    assert lost - {name} <= TOGETHER.get(name, set())
