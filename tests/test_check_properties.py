"""What holds of every review, whatever the repository: drawn trees of odd files, drawn findings."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rung import output_formats
from rung.check.report import facts
from rung.check.review.findings import Finding, Statement
from rung.check.review.rating import rate
from rung.check.review.review import Review, review
from rung.errors import RungError
from rung.levels.ladder import TIERS
from rung.output_formats import FORMATS
from tests.conftest import GAMES
from tests.repositories import LADDER, ML, PLENTY, plant
from tests.test_check_command import SCHEMA, TESTED

TODAY = date(2026, 11, 20)

# Names that are looked for, and names that nothing should stumble over.
NAMES = [
    *("train.py", "predict.py", "src/gate.py", "tests/test_a.py", "a.ipynb", "conftest.py"),
    *("pyproject.toml", "requirements.txt", "environment.yml", "setup.py", "uv.lock", "Pipfile"),
    *("dvc.yaml", "params.yaml", "Makefile", "Dockerfile", "tox.ini", "noxfile.py", "package.json"),
    *(".github/workflows/a.yml", ".gitlab-ci.yml", "azure-pipelines.yml", "Jenkinsfile", "a.sh"),
    *(".gitignore", ".env", ".pre-commit-config.yaml", ".copier-answers.yml", "CODEOWNERS"),
    *("README.md", "docs/model_card.md", "docs/use_case.md", "k8s/prod/a.yaml", "main.tf"),
    *("a b.py", "ä/ö.py", "-x.py", "[a].py", "{{a}}/b.py", "a\nb.py", "data.csv", "x/y/z/drift.py"),
]
TEXTS = [
    "import sklearn, mlflow\nmlflow.log_metric('a', 1)\nmodel.fit(x, y)\n",
    "champion = challenger\nstore.set_registered_model_alias(a, 'champion', 1)\n",
    "def test_the_same_seed(): assert predict(1) == 1\n",
    "jobs:\n  a:\n    steps:\n      - run: pytest\n      - run: dvc repro && make train\n",
    "train:\n\tpython train.py\n",
    "stages:\n  a: {cmd: python train.py, deps: [b], metrics: [c.json]}\n",
    '[project]\ndependencies = ["scikit-learn", "mlflow", "dvc"]\n[tool.poe.tasks]\ntest = "pytest"\n',
    "FROM python:3.13\nCMD python predict.py\n",
    "# Intended use\n\nTo say which flights are late.\n\n## Limits\n\nOnly New York.\n",
    '{"cells": [{"cell_type": "code", "source": ["m.fit(1)"]}]}',
    "_commit: v1\nuse_case: governance\n",
    *("", "\n", "{", "[[", "a: &a [*a]\n", "- - -", "\ufeffa = 1", "'''", "x = (\n", "\x00\x01"),
]
CONTENTS = st.one_of(st.sampled_from(TEXTS), st.text(max_size=60), st.binary(max_size=60))
TREES = st.dictionaries(st.sampled_from(NAMES), CONTENTS, max_size=9)
# Trees that stand somewhere, so that there is something to rise from.
MINIMUM_SCORE = TREES.map(lambda tree: {**TESTED, **tree})
SOME = settings(max_examples=40)
FINDINGS = {name: one for rung in LADDER for name, one in rung.capabilities.items()}
DRAWN = st.fixed_dictionaries({name: st.sampled_from([None, *TIERS]) for name in FINDINGS})


@contextmanager
def planted(tree: dict[str, str | bytes]) -> Iterator[Path]:
    """Write a tree out for as long as it is looked at."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield plant(folder, encodable(tree))
    finally:
        shutil.rmtree(folder)


def encodable(tree: dict[str, str | bytes]) -> dict[str, bytes]:
    return {
        path: text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        for path, text in tree.items()
    }


def look(folder: Path) -> Review:
    return review(folder, limits=PLENTY, today=TODAY)


@SOME
@given(TREES)
def test_any_tree_is_reviewed_and_twice_alike(tree: dict[str, str | bytes]) -> None:
    with planted(tree) as folder:
        result = look(folder)
        written = output_formats.writer("check", "json")(result)

        assert written == output_formats.writer("check", "json")(look(folder))
        SCHEMA.validate(json.loads(written))
        for form in FORMATS["check"]:
            assert output_formats.writer("check", form)(result)


@SOME
@given(MINIMUM_SCORE, st.sampled_from(NAMES))
def test_an_empty_file_raises_no_level(tree: dict[str, str | bytes], name: str) -> None:
    with planted(tree) as folder:
        before = look(folder)
        if not (folder / name).exists():
            plant(folder, {name: ""})

        assert look(folder).level <= before.level


COMMENT = "pytest ruff mlflow.log_metric(1) dvc repro champion docker build deploy drift schedule:"
ENDINGS = (".py", ".yml", ".yaml", ".toml", ".txt", ".sh", ".ini", ".tf", "Makefile", "Dockerfile")


@SOME
@given(TREES)
@example({"Makefile": "all:\n"})
@example({"train.py": "a = 1\n"})
def test_a_comment_raises_no_level_and_no_finding(tree: dict[str, str | bytes]) -> None:
    tree = {**TESTED, **{path: text for path, text in tree.items() if isinstance(text, str)}}
    commented = {
        path: f"{text}\n# {COMMENT}\n" if path.endswith(ENDINGS) else text
        for path, text in tree.items()
        if isinstance(text, str)
    }
    # In an open string or bracket, a line that begins with # is not a comment.
    commented |= {
        path: text for path, text in tree.items() if text in ("'''", "x = (\n", "{", "[[")
    }
    with planted(tree) as first, planted({**commented}) as second:
        before, after = look(first), look(second)

    assert after.level <= before.level
    for name, finding in after.findings.items():
        assert finding.points <= before.findings[name].points, (name, finding.shown)


def findings_of(tiers: Mapping[str, str | None]) -> dict[str, Finding]:
    return {name: Finding(FINDINGS[name], tier) for name, tier in tiers.items()}


def level(findings: dict[str, Finding], game: str) -> int:
    return rate(LADDER, findings, game, ml=True).level


STATEMENT = Statement("waiver", "a reason", date(2027, 1, 1))
GAME = st.sampled_from(GAMES)


@settings(max_examples=150)
@given(
    DRAWN,
    st.dictionaries(st.sampled_from(sorted(FINDINGS)), st.sampled_from(list(TIERS))),
    GAME,
    st.booleans(),
)
def test_more_evidence_lowers_no_level(
    tiers: dict[str, str | None], more: dict[str, str], game: str, waived: bool
) -> None:
    before = findings_of(tiers)
    if waived:
        before = {name: replace(one, statement=STATEMENT) for name, one in before.items()}
    better = {
        name: replace(before[name], tier=tier)
        for name, tier in more.items()
        if TIERS[tier] > before[name].points
    }

    assert level(before, game) <= level({**before, **better}, game)


@settings(max_examples=150)
@given(DRAWN, st.sets(st.sampled_from(sorted(FINDINGS))), GAME)
def test_a_waiver_lowers_no_level(tiers: dict[str, str | None], names: set[str], game: str) -> None:
    before = findings_of(tiers)
    waived = {name: replace(before[name], statement=STATEMENT) for name in names}

    assert level(before, game) <= level({**before, **waived}, game)


@pytest.mark.parametrize("game", GAMES)
def test_a_waiver_of_what_is_there_costs_nothing(game: str) -> None:
    """The rest alone would not do: what is waived is what carries the rung."""
    keystones = {
        name
        for rung in LADDER
        for groups in rung.keystones.values()
        for each in groups
        for name in each
    }
    tiers = {name: "used" if name in keystones else "declared" for name in FINDINGS}
    lifted = {name: "automated" if name in keystones else tier for name, tier in tiers.items()}
    before = findings_of(lifted)
    waived = {
        name: replace(one, statement=STATEMENT) for name, one in before.items() if name in keystones
    }

    assert level(before, game) <= level({**before, **waived}, game)
    assert (
        rate(LADDER, before, game, ml=True).averages
        == rate(LADDER, {**before, **waived}, game, ml=True).averages
    )


def test_the_schema_refuses_what_is_not_in_it(tmp_path: Path) -> None:
    data: dict[str, Any] = facts.facts(look(plant(tmp_path, ML)))

    assert SCHEMA.is_valid(data)
    assert not SCHEMA.is_valid(data | {"novelty": 1})
    assert not SCHEMA.is_valid({key: value for key, value in data.items() if key != "level"})


def test_rung_toml_that_is_odd_is_an_error_with_words() -> None:
    for text in TEXTS:
        with planted({**ML, "rung.toml": text}) as folder:
            try:
                assert 0 == look(folder).level
            except RungError as error:
                assert "rung.toml" in str(error)
