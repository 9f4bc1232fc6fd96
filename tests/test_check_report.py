"""What the report says: why it counts as machine learning, evidence by strength, the next steps."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rung.check.report import facts, page, text
from rung.check.review.advice import WORDS, Advice
from rung.check.review.content import load_examples
from rung.check.review.findings import find
from rung.check.review.rating import rate
from rung.check.review.review import Review, review
from rung.levels.ladder import EFFORTS
from tests.command import git
from tests.conftest import ROOT
from tests.repositories import LADDER, ML, PLENTY, evidence, plant
from tests.upgrades import corpus

CI = ".github/workflows/ci.yml"
NOTEBOOK = '{"cells": [{"cell_type": "code", "source": ["import torch\\n"]}]}'
EXAMPLES = ROOT / "templates" / "examples"


EMPTY = review(ROOT / "docs" / "ci", limits=PLENTY)


def look(folder: Path, files: dict[str, str]) -> Review:
    return review(plant(folder, files), limits=PLENTY)


@pytest.mark.parametrize(
    "files",
    [
        {"docs/tour.ipynb": NOTEBOOK},
        {"documentation/guide/tour.ipynb": NOTEBOOK},
        {"tests/requirements.txt": "torch==2.1\n"},
        {"a/test/requirements-dev.txt": "torch==2.1\n"},
        {"docs/requirements.txt": "torch==2.1\n"},
        {"tests/test_a.py": "import torch\n"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_documentation_and_tests_make_no_repository_of_machine_learning(
    files: dict[str, str], tmp_path: Path
) -> None:
    result = look(tmp_path, files)

    assert [] == list(result.machine_learning)
    assert not facts.counts_as(result)


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"tour.ipynb": NOTEBOOK}, "tour.ipynb:1: import torch"),
        ({"requirements.txt": "numpy\ntorch==2.1\n"}, "requirements.txt:2: torch==2.1"),
        ({"docs/requirements.txt": "torch\n", "requirements.txt": "torch==2.1\n"}, "requirements.txt:1: torch==2.1"),
        ({"docs/requirements.txt": "torch\n", "ml/rank/requirements.txt": "torch==2.1\n"}, "ml/rank/requirements.txt:1: torch==2.1"),
        ({"docs/requirements.txt": "torch\n", "a.py": "import torch\n"}, "a.py:1: import torch"),
    ],
)  # fmt: skip
def test_one_line_says_why_it_counts_as_machine_learning(
    files: dict[str, str], place: str, tmp_path: Path
) -> None:
    result = look(tmp_path, files)

    assert f"  Recognised as machine learning by {place}\n" in text.make(result)
    assert place in page.html(result)
    assert place.partition(" ")[0] in page.markdown(result)
    (by, *_) = json.loads(json.dumps(facts.facts(result)))["machine_learning_by"]
    assert place == f"{by['file']}:{by['line']}: {by['text']}"


def test_the_strongest_evidence_comes_first(tmp_path: Path) -> None:
    files = {
        CI: "on: push\njobs:\n  a:\n    steps:\n      - run: dvc repro\n",
        "dvc.yaml": "stages:\n  a:\n    cmd: python evaluate.py\n    metrics: [m.json]\n",
        "evaluate.py": "import mlflow\nmlflow.evaluate(a)\n",
        "requirements.txt": "dvc==3.0\n",
    }
    findings = look(tmp_path, files).findings

    pipeline = [(shown.tier, shown.match.path) for shown in findings["orchestrated-pipeline"].shown]
    assert [("automated", CI), ("used", "dvc.yaml"), ("declared", "requirements.txt")] == pipeline
    used = [
        shown.match.line for shown in findings["offline-evaluation"].shown if shown.tier == "used"
    ]
    assert [2, 0] == used


def test_next_begins_with_what_a_rung_must_have_and_shows_the_points_of_each(
    tmp_path: Path,
) -> None:
    files = ML | {
        CI: "on: push\njobs:\n  a:\n    steps:\n      - run: pytest\n      - run: ruff check\n",
        "tests/test_a.py": "def test_a():\n    assert score(1) == 1\n",
        "train.py": "import argparse\nRidge().fit(x, y)\n",
        "predict.py": "model.predict(rows)\n",
        "Dockerfile": "FROM a\nCMD python predict.py\n",
        "requirements-extra.txt": "mlflow\n",
    }
    result = look(tmp_path, files)
    asked = [one for one in result.findings.values() if one.capability.rung("velocity") == 2]

    must, others = (
        [one for one in result.rating.blockers if one.must_have is wanted]
        for wanted in (True, False)
    )
    assert 1 == result.level
    assert [*must, *others] == result.rating.blockers
    efforts = [EFFORTS.index(one.finding.capability.effort) for one in must]
    assert sorted(efforts) == efforts
    brings = {one.finding.capability.id: one.brings for one in result.rating.blockers}
    assert (0.75, 0.5) == (brings["experiment-tracking"], brings["datasheet"])
    assert 0.4 * len(asked) - sum(one.points for one in asked) == pytest.approx(
        result.rating.missing[1]
    )
    lacks = f"Rung 2 lacks 3 capabilities it must have and {result.rating.missing[1]:.2f} points."
    assert f"\nNext: {lacks}\n" in text.make(result)
    assert "  experiment-tracking (a day by hand; Rung brings it, 0.75 points)\n" in text.make(
        result
    )
    assert "    Found so far: requirements-extra.txt:1 mlflow\n" in text.make(result)
    assert 1 == text.make(result).count("0.40 on average")
    assert lacks in page.markdown(result)
    assert lacks in page.html(result)
    assert "`" not in page.html(result).split('<h2 id="evidence">')[0]
    assert {"keystones": 3, "points": round(result.rating.missing[1], 2)} == facts.facts(result)[
        "missing"
    ]


def test_advice_is_folded_once_at_the_width_of_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = look(tmp_path, {"train.py": "import torch\n"})
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    printed = text.make(result)

    after = printed[printed.index("\nNext: ") :].splitlines()
    advice = [line for line in after if line.startswith("    ")]
    assert advice
    assert [] == [line for line in advice if len(line) > 60]
    assert [] == [line for line in printed.splitlines() if line != line.rstrip()]


def test_a_weak_piece_of_evidence_never_stands_first(tmp_path: Path) -> None:
    train = "import argparse\nfrom sklearn.svm import SVC\n\nargparse.ArgumentParser()\nSVC().fit(a, b)\n"
    finding = look(tmp_path, ML | {"train.py": train}).findings["scripted-training"]

    assert "automated" == finding.tier
    assert 5 == finding.shown[0].match.line


def changes_of(result: Review) -> dict[str, str]:
    """Return what is to change by each next step, in order."""
    return {one.finding.capability.id: one.change for one in result.rating.blockers}


def test_what_another_step_depends_on_comes_before_it(tmp_path: Path) -> None:
    files = ML | {
        CI: "on: push\njobs:\n  a:\n    steps:\n      - run: pytest\n      - run: ruff check\n",
        "tests/test_a.py": "def test_a():\n    assert score(1) == 1\n",
        "requirements.lock": "a\n",
        "Dockerfile": "FROM a\nCMD a\n",
        "predict.py": "model.predict(rows)\n",
        "ingest.py": "rows = 1\n",
    }
    steps = list(changes_of(look(tmp_path, files)))

    assert "orchestrated-pipeline" in steps
    for names in (
        ("scripted-training", "orchestrated-pipeline", "training-trigger"),
        ("scripted-training", "offline-evaluation", "slice-evaluation"),
    ):
        assert sorted(names, key=steps.index) == list(names)


def test_a_step_names_the_files_and_tools_of_the_repository(tmp_path: Path) -> None:
    gitlab = {".gitlab-ci.yml": "test:\n  script: [make check]\n", "Makefile": "check:\n\tpytest\nfit:\n\tpython ml/train.py\n"}  # fmt: skip
    files = ML | gitlab | {"ml/train.py": "model.fit(rows)\n", "poetry.lock": "a\n"}
    first = look(tmp_path / "first", files)
    tested = look(
        tmp_path / "tested",
        files
        | {
            ".gitlab-ci.yml": "test:\n  script: [make check, ruff check]\n",
            "tests/test_a.py": "from a import b\n\n\ndef test_a():\n    assert b(1)\n",
            "predict.py": "model.predict(rows)\n",
        },
    )

    changes = changes_of(first)
    assert "of `ml/train.py` with three rows" in changes["unit-tests"]
    assert "pinned-dependencies" not in changes  # the repository has it
    steps = list(changes)  # of two that take an hour, the one that brings more comes first
    assert steps.index("dependency-and-secret-scanning") < steps.index("ownership-roles")
    changes = changes_of(tested)
    assert 1 == tested.level
    assert "Run it in `.gitlab-ci.yml`." in changes["orchestrated-pipeline"]
    assert changes["training-trigger"] == (
        "In `.gitlab-ci.yml`, add a pipeline schedule, and a start by hand, that runs `make fit`."
    )


@pytest.mark.parametrize(
    ("files", "ci", "start"),
    [
        ({"taskcluster/kinds/a/kind.yml": "tasks:\n  a:\n    run:\n      command: pytest\n"}, "taskcluster/kinds/a/kind.yml", "In `taskcluster/kinds/train/kind.yml`, add a job in `.cron.yml`"),
        ({"infra/ci.yml": "tasks:\n- provisionerId: a\n  payload:\n    command: [pytest]\n"}, "infra/ci.yml", "In `infra/ci.yml`, add a hook of Taskcluster"),
        ({"ci/unit.yaml": "steps:\n- name: gcr.io/a/b\n  entrypoint: pytest\n  args: [-q]\n"}, "ci/unit.yaml", "In `ci/unit.yaml`, add a job of Cloud Scheduler"),
        ({".github/workflows/gitlab-mirror.yml": "on: push\njobs: {a: {steps: [{run: pytest}]}}\n"}, ".github/workflows/gitlab-mirror.yml", "In `.github/workflows/train.yml`, add `on: schedule`"),
        ({".travis.yml": "script: pytest\n"}, ".travis.yml", "In `.travis.yml`, add a cron job"),
        ({".github/workflows/black.yml": "on: push\njobs: {a: {steps: [{run: black .}]}}\n", ".travis.yml": "script: pytest\n"}, ".travis.yml", "In `.travis.yml`, add a cron job"),
        ({".github/workflows/cd.yml": "on: workflow_run\njobs: {a: {steps: [{run: make deploy}]}}\n", ".github/workflows/ci.yml": "on: [push, pull_request]\njobs: {a: {steps: [{run: make train}]}}\n"}, ".github/workflows/ci.yml", "In `.github/workflows/train.yml`, add `on: schedule`"),
        ({".github/workflows/deploy.yml": "on: workflow_dispatch\njobs: {a: {steps: [{run: make deploy}]}}\n"}, ".github/workflows/check.yml", "In `.github/workflows/train.yml`, add `on: schedule`"),
    ],
)  # fmt: skip
def test_a_step_names_the_ci_that_runs_the_tests(
    files: dict[str, str], ci: str, start: str, tmp_path: Path
) -> None:
    pages = {".github/workflows/pages.yml": "on: push\njobs: {a: {steps: [{run: mkdocs build}]}}\n"}
    found = look(tmp_path, ML | pages | files).findings
    advice = Advice(evidence(tmp_path), found)
    assert WORDS == set(advice.words)
    assert ".github/CODEOWNERS" == advice.words["owners"]
    change = advice.change
    steps = {name: one for rung in LADDER for name, one in rung.capabilities.items()}

    assert f"In `{ci}`, run `pytest`" in change(steps["ci-build-test"])
    assert change(steps["training-trigger"]).startswith(start)


def test_a_step_names_requests_owners_and_trackers_as_the_repository_has_them(
    tmp_path: Path,
) -> None:
    files = {".gitlab-ci.yml": "a: {script: pytest}\n", "requirements.txt": "torch\nwandb\n"}
    findings = look(tmp_path, files).findings
    words = Advice(evidence(tmp_path), findings).words

    assert ("merge request", ".gitlab/CODEOWNERS") == (words["request"], words["owners"])
    assert "`run.link_model(path, name)`" == words["register"]


def test_a_schedule_starts_the_pipeline_that_ci_starts(tmp_path: Path) -> None:
    files = {
        CI: "on: push\njobs: {a: {steps: [{run: python ml/b_train.py}, {run: python ml/a_score.py}]}}\n",
        "ml/a_score.py": "from zenml import pipeline\n\n\n@pipeline\ndef scoring():\n    predict()\n\n\nscoring()\n",
        "ml/b_train.py": "from zenml import pipeline\n\n\n@pipeline\ndef training():\n    fit()\n\n\ntraining()\n",
        "ml/train.py": "model.fit(rows)\n",
    }
    found = look(tmp_path, ML | files).findings

    assert "python ml/b_train.py" == Advice(evidence(tmp_path), found).words["pipeline"]


def test_a_notebook_that_trains_nothing_is_not_to_be_made_a_script(tmp_path: Path) -> None:
    cells = '{{"cells": [{{"cell_type": "code", "source": ["{}"]}}]}}'
    files = ML | {"filter.ipynb": cells.format("rows.filter(fit_transform(a))"), "look.ipynb": cells.format("m.fit_generator(x)") + " " * 1_100_000}  # fmt: skip
    steps = changes_of(look(tmp_path, files))

    assert "`look.ipynb`" in steps["unit-tests"]
    files |= {
        "a_train.py": "import argparse\n\ntrain_later(argparse)\n",
        "ml/train.py": "model.fit(x)\n",
    }
    steps = changes_of(look(tmp_path, files))
    assert "`ml/train.py`" in steps["unit-tests"]
    assert "filter.ipynb" not in " ".join(steps.values())


def test_a_test_is_of_functions_and_not_of_a_notebook_where_there_are_any(tmp_path: Path) -> None:
    cell = '{"cells": [{"cell_type": "code", "source": ["model.fit(x)"]}]}'
    files = ML | {
        "look.ipynb": cell,
        "fake/make.py": "def make(): ...\n",
        "src/util.py": "def cut(): ...\n",
    }
    steps = changes_of(look(tmp_path, files))

    assert "Call a function of `src/util.py` with" in steps["unit-tests"]
    assert "`look.ipynb`" in steps["scripted-training"]


@pytest.mark.parametrize(
    ("run", "named"), [("rung-ops gate --champion", CI), ("pytest", ".github/workflows/deploy.yml")]
)
def test_a_deployment_goes_beside_the_gate_or_into_its_own_workflow(
    run: str, named: str, tmp_path: Path
) -> None:
    workflow = f"on: pull_request\njobs: {{a: {{steps: [{{run: {run}}}]}}}}\n"
    folder = plant(tmp_path, ML | {CI: workflow})
    found = evidence(folder)
    findings = {
        name: find(one, found) for rung in LADDER for name, one in rung.capabilities.items()
    }

    assert f"`{named}`" == Advice(found, findings).words["ci_of_deployment"]


def test_what_takes_a_month_is_asked_only_where_less_does_not_suffice(tmp_path: Path) -> None:
    findings = look(tmp_path, ML).findings
    trained = {
        name: replace(found, tier="automated") if found.rung("velocity") in (0, 1, 2) else found
        for name, found in findings.items()
    }
    hard = {
        name: replace(found, applies=found.capability.effort == "a month")
        if found.rung("velocity") == 3
        else found
        for name, found in trained.items()
    }

    asked, all_asked = (
        {one.finding.capability.effort for one in rate(LADDER, each, "velocity", ml=True).blockers}
        for each in (trained, hard)
    )
    assert "a week" in asked and "a month" not in asked
    assert "a month" in all_asked


def test_a_project_of_rung_is_told_what_a_climb_brings(tmp_path: Path) -> None:
    project = ML | {".copier-answers.yml": "_commit: v1\nuse_case: velocity\nlevel: 0\n"}
    own, other = look(tmp_path / "own", project), look(tmp_path / "other", ML)

    assert "`rung climb --to 1` brings" in text.make(own)
    assert "`rung plan --to 1`" in facts.by_rung(own)
    assert "`rung adopt`, then `rung climb --to 1`" in facts.by_rung(other)
    assert "<code>rung climb --to 1</code>" in page.html(own)


def test_a_submodule_has_its_own_remote_and_a_worktree_that_of_its_repository(
    tmp_path: Path,
) -> None:
    url = '[remote "origin"]\nurl = a\n'
    plant(
        tmp_path,
        {
            "git/config": url,
            "git/worktrees/w/commondir": "../..\n",
            "w/.git": "gitdir: ../git/worktrees/w\n",
            "git/modules/m/config": "[core]\n",
            "m/.git": "gitdir: ../git/modules/m\n",
        },
    )

    assert look(tmp_path / "w", ML).has_remote
    assert not look(tmp_path / "m", ML).has_remote


@pytest.mark.parametrize("remote", [True, False])
def test_a_repository_without_a_remote_is_not_called_deployed(remote: bool, tmp_path: Path) -> None:
    settings = '[core]\n[remote "origin"]\nurl = a\n' if remote else "[core]\n"
    result = replace(
        look(tmp_path, ML | {".git/config": settings}), rating=replace(EMPTY.rating, level=3)
    )

    first = text.make(result).split("\n")[0]
    assert remote == result.has_remote
    assert ("rung 3, Deployed" in first) is remote
    assert facts.title(result) == ("Deployed" if remote else "by its files")
    assert ("no deployment could be seen" in text.make(result)) is not remote
    assert ("no deployment could be seen" in page.html(result)) is not remote
    assert ("no deployment could be seen" in page.markdown(result)) is not remote


@pytest.mark.parametrize(
    ("path", "content", "named"),
    [
        ("ci/steps.yml", "steps:\n- image: python\n  commands: [pytest]\n", True),
        ("jobs/test.yaml", "stages:\n- name: a\n  script: pytest\n", True),
        ("compose.yaml", "services:\n  a: {command: pytest}\n", False),
        ("dvc.yaml", "stages:\n  a:\n    cmd: python a.py\n", False),
        ("k8s/job.yaml", "kind: Job\njobs: []\ncommand: a\n", False),
        ("docs/ci.yml", "steps:\n- run: pytest\n", False),
        ("a.yml", "rows: 1\n", False),
    ],
)
def test_yaml_that_looks_like_ci_of_another_kind_is_named(
    path: str, content: str, named: bool, tmp_path: Path
) -> None:
    notes = " ".join(look(tmp_path, ML | {path: content}).notes)

    assert named == (f"`{path}`: it looks like CI of a kind that is not read" in notes)


def test_python_is_not_reported_as_data_that_does_not_parse(tmp_path: Path) -> None:
    files = ML | {"rollout_time.py": "a = {1: [\n", "src/rollout.py": "def a():\n    pass\n"}

    assert not look(tmp_path, files).left_out.counts["data files that do not parse"]


def test_settings_of_pre_commit_that_do_not_parse_are_reported(tmp_path: Path) -> None:
    files = ML | {
        ".pre-commit-config.yaml": "repos: [a: {\n",
        CI: "on: push\njobs: {a: {steps: [run: pre-commit run -a]}}\n",
    }

    assert 1 == look(tmp_path, files).left_out.counts["data files that do not parse"]


def test_the_legend_precedes_the_findings_and_a_page_has_no_backquotes(tmp_path: Path) -> None:
    files = ML | {
        "tasks.toml": 'a = "b',
        CI: f"on: push\njobs: {{a: {{steps: [run: 'pytest {'-x ' * 70}-end']}}}}\n",
        "rung.toml": '[waivers.unit-tests]\nreason = "`none`"\nuntil = 2999-01-01\n',
    }
    result = look(tmp_path, files)
    shown = page.html(result)

    assert text.make(result).index("++ automated") < text.make(result).index("Rung 0, Manual:")
    assert "-end" in shown
    assert "`" not in shown


@pytest.mark.parametrize("example", ["flights", "credit"])
def test_the_text_of_the_example_earns_nothing_and_is_named(example: str, tmp_path: Path) -> None:
    documents = {
        f"docs/{name}": (EXAMPLES / example / name).read_text()
        for name in ("use_case.md", "model_card.md", "datasheet.md")
    }
    result = look(tmp_path, ML | documents)

    for name in ("use-case-brief", "model-card", "datasheet"):
        assert result.findings[name].tier is None, name
    (note,) = result.notes
    assert all(f"`{path}`" in note for path in documents)
    assert "does not count" in note


@pytest.mark.parametrize("name", ["use_case.md", "model_card.md", "datasheet.md"])
def test_the_text_of_earlier_examples_is_known(name: str) -> None:
    """Add the lines that you change to templates/examples/earlier."""
    known = load_examples(EXAMPLES)[name]
    commit = corpus.history("v0.2")
    paths = (f"templates/examples/*/{name}", ":(exclude)templates/examples/earlier")
    patches = git(ROOT, "log", "-p", "--no-renames", "--format=", f"{commit}..", "--", *paths)
    removed = [line[1:].strip() for line in patches.split("\n") if line.startswith("-")]

    assert set() == {line for line in removed if not line.startswith(("#", "--"))} - known


def test_a_section_counts_once_its_text_is_the_users(tmp_path: Path) -> None:
    example = (EXAMPLES / "flights" / "datasheet.md").read_text()
    headings = [line for line in example.split("\n") if line.startswith("## ")]
    changed = example.replace(headings[0], f"{headings[0]}\n\nWe bought these rows from a broker.")
    own = "\n".join(f"{heading}\n\nWe bought these rows from a broker.\n" for heading in headings)

    one = look(tmp_path / "one", ML | {"docs/datasheet.md": changed})
    all_of_them = look(tmp_path / "all", ML | {"docs/datasheet.md": own})

    assert "declared" == one.findings["datasheet"].tier
    assert "used" == all_of_them.findings["datasheet"].tier
    assert [] == one.notes == all_of_them.notes
