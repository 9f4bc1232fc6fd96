"""A hostile repository is read to the end, in few steps, or said to be read in part."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rung.check.review import data_files
from rung.check.review.files import Limits
from rung.check.review.review import Review, review
from tests.command import RUNG
from tests.repositories import ML, PLENTY, plant
from tests.steps import steps

MAX_STEPS = 3_000_000  # lines of rung.check.review; the costliest below takes less than half
MEGABYTES = 300
# What a process says of its own memory: the maximum that its parent is told (ru_maxrss) counts from
# the fork, so it holds what the parent had, here a whole pytest.
PEAK = """
import sys
from pathlib import Path
from rung.check.review.review import review
review(Path(sys.argv[1]))
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def deep(folder: Path) -> None:
    """Nest folders 3,000 deep, which no path can name at once."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@pytest.fixture(autouse=True)
def cleared(tmp_path: Path) -> Iterator[None]:
    """Take away what is too deep for pytest to take away."""
    yield
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


def special(folder: Path) -> None:
    os.mkfifo(folder / "train.py")
    os.mkfifo(folder / "pyproject.toml")
    os.mkfifo(folder / ".gitignore")
    (folder / "passwd.py").symlink_to("/etc/passwd")
    (folder / "around").symlink_to(folder)
    (folder / "zero.yml").symlink_to("/dev/zero")


def sparse(folder: Path) -> None:
    for name in ("data.csv", "train.py", "pyproject.toml", "dvc.yaml", "a.ipynb", ".gitignore"):
        with (folder / name).open("wb") as file:
            file.truncate(2**42)


def names(folder: Path) -> None:
    (folder / "::error file=x::").mkdir()
    (folder / "::error file=x::/train.py").write_text("import torch\nm.fit(1)\n")
    for name in (
        b"##vso[task.x]train.py",
        b"a\nb.py",
        b"\x1b[31mtrain.py",
        b"\xff\xfe.py",
        "\u202eyp.train.py".encode(),
    ):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_text("import torch\nm.fit(1)\n")


def many_small(folder: Path) -> None:
    for number in range(2_000):
        plant(
            folder,
            {
                f"pkg{number % 40}/train_{number}.py": f"from pkg{number % 7} import train_{number}\nfit(1)\n"
            },
        )


def ignoring(folder: Path) -> None:
    plant(
        folder,
        {
            ".gitignore": "*a*a*a*a*a*a*a*b\n**/x/**/y/**/z\n[[[\n" * 1_000,
            "a" * 200 + ".py": "x = 1",
        },
    )


BOMBS: dict[str, dict[str, str | bytes]] = {
    "YAML, aliases": {"dvc.yaml": "a0: &a0 [x,x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)) + "stages: *a39\n"},
    "YAML, merges": {"dvc.yaml": "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 40)) + "stages: {<<: *a39}\n"},
    "YAML, itself": {"dvc.yaml": "stages: &a\n  b: *a\n", "a/canary.yml": "x: &a [*a, *a]\nshadow: *a\n"},
    "YAML, deep": {".github/workflows/a.yml": "[" * 300_000, "dvc.yaml": "stages: " + "{a: " * 90_000, ".gitlab-ci.yml": "- " * 150_000},
    "TOML, deep": {"pyproject.toml": "a = " + "[" * 200_000, "rung_tasks.toml": "a" + ".a" * 100_000 + " = 1\n[" + "a." * 50_000 + "a]\n"},
    "JSON, deep": {"package.json": '{"a":' * 60_000, "a.json": "[" * 300_000},
    "JSON, number": {"a.json": "9" * 300_000},
    "Python, deep": {"train.py": "(" * 400_000, "fit.py": "-" * 400_000 + "1", "serve.py": "fit" + ".a" * 200_000 + "()"},
    "Python, strings": {"train.py": '"\\"' * 150_000, "fit.py": "'''" * 150_001, "a.py": 'f"' * 200_000},
    "Python, calls": {"train.py": "fit(\n" * 80_000, "fit.py": "class fit(\n" * 40_000, "a.py": "from a import (\n" * 30_000},
    "Python, comparisons": {f"gate{n}.py": "champion " + "< champion" * 50_000 for n in range(5)},
    "Python, lines": {f"gate{n}.py": ("<" * 990 + " champion\n") * 480 for n in range(5)},
    "a notebook": {"train.ipynb": '{"cells": [' + '{"cell_type": "code", "source": ["fit(1)\\n"]},' * 60_000 + "{}]}", "b.ipynb": "[" * 900_000},
    "a Makefile that calls itself": {".github/workflows/a.yml": "jobs: {a: {steps: [{run: make a b c}]}}\n", "Makefile": "a: b\n\tmake b c\nb: c\n\tmake c a\nc: a\n\tmake a b\n"},
    "a justfile": {".github/workflows/a.yml": "on: push\njobs: {a: {steps: [{run: just a}]}}\n", "justfile": f"a: {'(' * 980}\n" * 400},
    "lines of many commands": {".github/workflows/a.yml": "on: push\njobs:\n  a:\n    steps:\n    - run: |\n" + "".join(f"        a{n};{'a;' * 490}\n" for n in range(10))},
    "an include of itself": {".gitlab-ci.yml": "include:\n  - local: .gitlab-ci.yml\n  - local: '*.yml'\n"},
    "a document": {"docs/use_case.md": "# Use\n" * 60_000, "docs/model_card.md": "<!--" * 100_000},
    "a binary": {"train.py": os.urandom(400_000), "pyproject.toml": os.urandom(5_000), "dvc.yaml": os.urandom(5_000)},
    "one long line": {"gate.py": "champion" * 60_000, "requirements.txt": "a" * 400_000, "Makefile": "a" * 400_000},
    "braces": {"README.md": "{{" * 100_000, "docs/model_card.md": "[" * 200_000, "docs/use_case.md": "<" * 200_000},
}  # fmt: skip
SHAPES: dict[str, Callable[[Path], None]] = {
    "3,000 levels": deep,
    "pipes and links": special,
    "terabytes": sparse,
    "odd names": names,
    "many imports": many_small,
    "ignore files": ignoring,
}


@pytest.mark.parametrize("case", [*BOMBS, *SHAPES])
def test_a_hostile_repository_takes_few_steps(case: str, tmp_path: Path) -> None:
    folder = plant(tmp_path / "repository", ML)
    if case in SHAPES:
        (folder / "requirements.txt").unlink()
        SHAPES[case](folder)
    else:
        plant(folder, BOMBS[case])
    results: list[Review] = []

    taken = steps(lambda: results.append(review(folder, limits=PLENTY)))

    assert taken < MAX_STEPS
    assert 0 == results[0].level
    assert not results[0].left_out.out_of_time


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("3,000 levels", "folders nested too deep"),
        ("pipes and links", "links"),
        ("pipes and links", "not plain files"),
        ("terabytes", "too large to be read"),
        ("ignore files", "lines of ignore files"),
    ],
)
def test_what_was_left_out_is_reported(case: str, reason: str, tmp_path: Path) -> None:
    SHAPES[case](tmp_path)

    assert review(tmp_path).left_out.counts[reason] >= 1


def test_names_and_texts_reach_no_terminal_as_control_characters(tmp_path: Path) -> None:
    names(plant(tmp_path, ML))
    for form in ("text", "json", "markdown", "sarif", "html"):
        done = subprocess.run(
            [RUNG, "check", tmp_path, "--format", form], capture_output=True, check=False
        )

        assert 0 == done.returncode, done.stderr
        printed = done.stdout.decode()
        assert not set(printed) & {"\x1b", "\u202e", "\r"}
        assert "##vso[" not in printed
        assert not [line for line in printed.splitlines() if line.lstrip().startswith("::")]


def test_a_time_limit_is_reported(tmp_path: Path) -> None:
    many_small(tmp_path)
    done = subprocess.run(
        [RUNG, "check", tmp_path, "--format", "json", "--seconds", "0.1"],
        capture_output=True,
        check=False,
    )

    assert json.loads(done.stdout)["partial"] is True


def test_a_hostile_repository_takes_little_memory(tmp_path: Path) -> None:
    for number, files in enumerate(BOMBS.values()):
        plant(tmp_path, {f"{number}/{path}": text for path, text in files.items()})
    sparse(tmp_path)

    done = subprocess.run([sys.executable, "-c", PEAK, tmp_path], capture_output=True, check=True)

    assert int(done.stdout) / 1_000 < MEGABYTES


def test_hundreds_of_workflows_leave_time_for_what_tells_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = "on: push\njobs: {check: {steps: [{run: pytest}]}}\n"
    plant(tmp_path, {f".github/workflows/{n}.yml": workflow for n in range(300)})
    plant(tmp_path, {"pyproject.toml": "[project]\ndependencies = ['mlflow']\n"})
    plant(tmp_path, {"train.py": "import mlflow\n\nmlflow.log_metric('auc', 1)\n"})
    elapsed = 0.0

    def parse(path: str, text: str) -> Any:
        nonlocal elapsed
        elapsed += 0.1
        return parsed(path, text)

    parsed = data_files.read
    monkeypatch.setattr(data_files, "read", parse)
    monkeypatch.setattr(time, "process_time", lambda: elapsed)
    monkeypatch.setattr(time, "perf_counter", lambda: elapsed)
    result = review(tmp_path, limits=Limits(seconds=4.5))

    assert result.left_out.out_of_time
    assert ["pyproject.toml"] == list({match.path for match in result.machine_learning})
    shown = result.findings["experiment-tracking"].shown
    assert "train.py" in {evidence.match.path for evidence in shown}
    assert elapsed < 4.7
