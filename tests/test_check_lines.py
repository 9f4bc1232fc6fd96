"""Evidence names the right line, and what the time limit leaves out is reported."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rung.check.review import ci, files
from rung.check.review.ci import CI as CI_FILES
from rung.check.review.evidence import file_predicates
from rung.check.review.files import Clock, Files, LeftOut, Limits
from rung.check.review.matching import match
from rung.check.review.predicates import File
from rung.check.review.prefilter import Prefilter
from rung.check.review.review import review
from rung.check.review.runners import Runners
from tests.repositories import ML, PLENTY, READING, evidence, plant
from tests.steps import steps

CI = ".github/workflows/ci.yml"
RUN = "on: push\njobs:\n  a:\n    steps:\n      - run: {}\n"
NOTEBOOK = json.dumps(
    {"cells": [{"cell_type": "markdown", "source": ["# A\n"]}, {"cell_type": "code", "source": ["a = 'x'\n", "import torch\n"]}]},
    indent=1,
)  # fmt: skip

LINES: list[tuple[Any, dict[str, str], str]] = [
    ({"depends": ["torch"]}, {"pyproject.toml": '[project]\ndependencies = [\n  "numpy",\n  "torch>=2",\n]\n'}, "pyproject.toml:4"),
    ({"depends": ["mlflow"]}, {"pyproject.toml": '[project]\nname = "mlflow"\ndependencies = ["a"]\n[dependency-groups]\nx = [\n  "mlflow",\n]\n'}, "pyproject.toml:6"),
    ({"ci_runs": "pytest"}, {CI: RUN.format("|\n          uv run \\\n            pytest \\\n            -q")}, f"{CI}:6"),
    ({"ci_runs": "pytest"}, {CI: RUN.format("make a"), "Makefile": "a:\n\tuv run \\\n\t  pytest\n"}, "Makefile:2"),
    ({"ci_runs": "pytest"}, {CI: RUN.format("bash a.sh"), "a.sh": "set -e\nuv run \\\n  pytest\n"}, "a.sh:2"),
    ({"ci_runs": "pytest"}, {CI: RUN.format("npm run unit"), "package.json": '{\n  "scripts": {\n    "a": "b",\n    "unit": "pytest"\n  }\n}\n'}, "package.json:4"),
    ({"runs": "train"}, {"pyproject.toml": '[tool.poe.tasks]\nc = "ls"\n[tool.poe.tasks.a]\nsequence = [\n  "c",\n  {cmd = "python train.py"},\n]\n'}, "pyproject.toml:6"),
    ({"ci_runs": "pytest"}, {CI: RUN.format("|\n          pytest")}, f"{CI}:6"),
    ({"ci_runs": "pytest"}, {CI: RUN.format("|\n\n          ls\n          pytest")}, f"{CI}:8"),
    ({"ci_runs": "pytest"}, {CI: RUN.format(">-\n          pytest\n          -q")}, f"{CI}:6"),
    ({"ci_runs": "pytest"}, {".gitlab-ci.yml": "a:\n  script:\n    - ls\n    - |\n      ls\n      pytest\n"}, ".gitlab-ci.yml:6"),
    ({"ci_runs": "pytest"}, {"Jenkinsfile": "stage('a') {\n  sh \"\"\"\n    ls\n    pytest\n  \"\"\"\n}\n"}, "Jenkinsfile:4"),
    ({"ci_runs": "pytest"}, {"Jenkinsfile": "stage('a') {\n  sh '''pytest'''\n}\n"}, "Jenkinsfile:2"),
    ({"ci_runs": "pytest"}, {"cloudbuild.yaml": "steps:\n- name: gcr.io/a/b\n  entrypoint: bash\n  args:\n  - -c\n  - |\n    pytest\n"}, "cloudbuild.yaml:7"),
    ({"runs": "train"}, {"Dockerfile": "CMD python train.py\n"}, "Dockerfile:1"),
    ({"runs": "train"}, {"k8s/a.yaml": "kind: Job\nspec:\n  args:\n  - |\n    set -e\n    python train.py\n"}, "k8s/a.yaml:6"),
    ({"imports": ["pandera"]}, {"a.py": "import os\nimport pandera as pa\n\nschema = pa.DataFrameSchema({})\n"}, "a.py:4"),
    ({"imports": ["pandera"]}, {"a.py": "from pandera import Check, Column\n\nCOLUMN = Column(int)\n"}, "a.py:3"),
    ({"imports": ["pandera"]}, {"a.py": "import os\nimport pandera\n\nos.exit()\n"}, "a.py:2"),
    ({"key": "b.x", "in": ["*.toml"]}, {"a.toml": "[a]\nx = 1\n[b]\nx = 2\n"}, "a.toml:4"),
    ({"imports": ["torch"]}, {"a.ipynb": NOTEBOOK}, f"a.ipynb:{NOTEBOOK[: NOTEBOOK.index('import torch')].count(chr(10)) + 1}"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("predicate", "files", "place"), LINES, ids=[place for _, _, place in LINES]
)
def test_evidence_names_its_line(
    predicate: Any, files: dict[str, str], place: str, tmp_path: Path
) -> None:
    matches = evidence(plant(tmp_path, files), predicate).holds_anywhere(predicate)

    assert place in [f"{match.path}:{match.line}" for match in matches]


def test_a_missing_file_is_not_reported_as_unreadable(tmp_path: Path) -> None:
    result = review(plant(tmp_path, ML | {CI: RUN.format("tox && hatch run unit")}))

    assert not result.left_out.counts["could not be opened"]


# Repositories that grow with a number, and once took steps in proportion to its square or cube.
COSTLY: dict[str, Callable[[int], dict[str, str]]] = {
    "a Makefile whose targets start each other": lambda size: {
        CI: RUN.format("make a0"),
        "Makefile": "".join(f"a{n}:\n" + "".join(f"\tmake a{k % 6} X={k}\n" for k in range(size)) for n in range(6)),
    },
    "workflows that start all": lambda size: {
        "Makefile": "all:\n" + "".join(f"\tpython a{k}.py\n" for k in range(20)),
        **{f".github/workflows/{n}.yml": RUN.format("make all") for n in range(size)},
    },
    "lines of blanks": lambda size: {CI: "on:\n" + f"{' ' * 900}x: 1\n" * size},
    "quotes": lambda size: {CI: RUN.format("|\n" + "          '\"`$(\n" * size)},
    "functions that call each other": lambda size: {
        "drift.py": "".join(f"def drift{n}():\n    drift{n + 1}()\n    train()\n" for n in range(size)),
    },
}  # fmt: skip


@pytest.mark.parametrize("case", COSTLY)
def test_what_grows_takes_steps_in_proportion(case: str, tmp_path: Path) -> None:
    few, many = (plant(tmp_path / str(size), ML | COSTLY[case](size)) for size in (20, 80))
    review(few, limits=PLENTY)  # what is read once for all repositories

    assert steps(lambda: review(many, limits=PLENTY)) < 5 * steps(
        lambda: review(few, limits=PLENTY)
    )


def test_no_pattern_of_ci_sees_blank_lines() -> None:
    blank = " \n" * 1_000
    parsed = ci.Workflow(CI, f"on:\n{blank}  schedule:   \n{blank}  - cron: 1\n{blank}")

    assert "on:\n  schedule:\n  - cron: 1" == parsed.squeezed
    assert ci.SCHEDULED.search(parsed.squeezed)


PATTERNS = [ci.SCHEDULED, ci.ELSEWHERE, ci.INCLUDED]
PATTERNS += [re.compile(text) for texts in READING.ci_by_content for text in texts]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.pattern[:40])
def test_no_pattern_of_ci_goes_back_over_blanks(pattern: re.Pattern[str]) -> None:
    repeated = re.findall(r"(?:\\s|\[ \\t\])[*+]\+?", pattern.pattern)

    assert all(repeat.endswith(("*+", "++")) for repeat in repeated)


class Ticks:
    """A clock that is one second later at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def process_time(self) -> int:
        self.looks += 1
        return self.looks

    perf_counter = process_time


@pytest.mark.parametrize("case", ["workflows that start all", "functions that call each other"])
def test_what_the_clock_stops_makes_the_result_partial(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plant(tmp_path, ML | COSTLY[case](400))
    ticks = Ticks()
    monkeypatch.setattr(files, "time", ticks)
    whole = review(folder, limits=Limits(seconds=1_000_000))
    needed, ticks.looks = ticks.looks, 0
    stopped = review(folder, limits=Limits(seconds=needed // 2))

    assert not whole.left_out.out_of_time
    assert stopped.left_out.out_of_time
    assert stopped.left_out.examples
    assert ticks.looks < needed


def test_each_part_of_the_reading_says_that_the_clock_stopped_it(tmp_path: Path) -> None:
    """One by one, for the search through files alone would set it for all of them."""
    text = {"text": "fit", "in": ["*.py"]}
    files = {CI: RUN.format("python a.py"), "a.py": "fit(1)\n", "Dockerfile": "FROM a\nCMD b\n"}
    looked = evidence(plant(tmp_path, files | {"b.py": "fit(2)\n"}), text)
    (predicate,) = file_predicates(text)
    prefilter = Prefilter([predicate.needs])

    def stopped(part: Callable[[], Any]) -> bool:
        looked.content.files.clock = Clock(-1)
        looked.content.files.left_out = LeftOut()
        part()
        return looked.content.files.left_out.out_of_time

    assert stopped(lambda: CI_FILES(looked.content, Runners(looked.content)))
    assert stopped(lambda: looked.reachability.reached)
    assert stopped(lambda: looked.commands)
    assert stopped(lambda: list(predicate.matches(File(looked.content, "a.py", prefilter))))
    assert stopped(lambda: match(looked.content, {"fit": predicate}, ()))
    assert 2 == looked.content.files.left_out.counts["not reached in time"], "no file is begun"


def test_the_clock_of_the_processor_is_asked_when_its_time_may_be_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the process gets half of the time that passes on the wall."""
    now = SimpleNamespace(wall=0.0, asked=0)

    def process_time() -> float:
        now.asked += 1
        return float(now.wall) / 2

    times = SimpleNamespace(perf_counter=lambda: now.wall, process_time=process_time)
    monkeypatch.setattr(files, "time", times)
    clock = Clock(8)
    looks = []
    for now.wall in range(20):
        looks.append(clock.is_up())

    assert looks == [False] * 17 + [True] * 3
    assert now.asked <= 10  # of 21 looks


def test_a_file_that_is_too_large_is_counted_once(tmp_path: Path) -> None:
    read = Files(plant(tmp_path, {"a.py": "a = 1\n" * 9}), READING, Limits(text=10))
    for _ in range(2):
        read.read("a.py")
        read.cache.clear()  # as if other files had taken its place

    assert read.left_out.counts["too large to be read"] == 1
