"""A project that breaks a promise sees which one, in a sentence without a traceback."""

import os
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from machinery.tests.checks.imported_once import AS_FORKED, run_pytest
from rung_ops import contract
from rung_ops.project import current
from rung_ops.project.paths import package_name, raw_files_in
from rung_ops.system import git

PACKAGE = f"src/{package_name()}"
OTHER = next(c for c in contract.Row.to_schema().dtypes if c != contract.TARGET)
ADDED = "\n\n# broken on purpose\n"

# What is broken: the file, what is added to it, and the test and the sentence that are expected.
BROKEN = {
    "an import": (
        f"{PACKAGE}/features.py",
        "import nothing_of_this_name\n",
        "test_src_can_be_imported",
        rf"{PACKAGE}/features.py, line \d+: importing features.py failed "
        r"\(ModuleNotFoundError: No module named 'nothing_of_this_name'\).",
    ),
    "no TARGET": (
        f"{PACKAGE}/dataset.py",
        "del TARGET\n",
        "test_src_can_be_imported",
        rf"{PACKAGE}/dataset.py: `TARGET` is missing: the name of the column to predict.",
    ),
    "a Row with a type that pandera does not know": (
        f"{PACKAGE}/dataset.py",
        "class Row(Row):\n    when: Path\n",
        "test_src_can_be_imported",
        rf"{PACKAGE}/dataset.py: Row cannot be used as a schema \(TypeError: .*\)\.",
    ),
    "a Row with a column that a release adds": (
        f"{PACKAGE}/dataset.py",
        "class Row(Row):\n    prediction: float\n",
        "test_src_can_be_imported",
        rf"{PACKAGE}/dataset.py: Row has the column `prediction`, a name of what Rung adds to rows\. "
        r"Let load\(\) give it another name\.",
    ),
    "an unknown TARGET": (
        f"{PACKAGE}/dataset.py",
        'TARGET = "nothing"\n',
        "test_names_of_src_are_of_the_right_kind",
        r"dataset.py: TARGET is 'nothing', which is not a column of Row. There are: .*",
    ),
    "a TARGET of text without its classes": (
        f"{PACKAGE}/dataset.py",
        'class Row(Row):\n    kind: str\nTARGET = "kind"\n',
        "test_names_of_src_are_of_the_right_kind",
        r"The target `kind` is a text without `isin`\. TARGET in dataset\.py is true or false, .*",
    ),
    "a classifier of three classes": (
        f"{PACKAGE}/model.py",
        "class Three:\n    def fit(self, features, truth):\n        return self\n"
        "    def predict_proba(self, features):\n        return np.zeros((len(features), 3))\n"
        "def build(params):\n    return Three()\ndef save(model, path):\n    path.touch()\n"
        "def load(path):\n    return Three()\n",
        "test_a_saved_model_answers_the_same",
        r"The model tells 3 classes apart\. TARGET in dataset\.py is true or false, .*",
    ),
    "an unknown column": (
        f"{PACKAGE}/features.py",
        'FEATURES.append(__import__("polars").col("nothing"))\n',
        "test_features_read_columns_of_row",
        r"features.py: `nothing` reads `nothing`, which is not a column of Row\. There are: .*",
    ),
    "a misspelt column": (
        f"{PACKAGE}/features.py",
        'FEATURES.append(__import__("polars").col("{TARGETLESS}s"))\n',
        "test_features_read_columns_of_row",
        rf"features.py: `{OTHER}s` reads `{OTHER}s`, .* Did you mean `{OTHER}`\?",
    ),
    "a feature of columns that are not named, which may be the target": (
        f"{PACKAGE}/features.py",
        'import polars\nFEATURES.append(polars.concat_str(polars.all()).alias("all"))\n',
        "test_names_of_src_are_of_the_right_kind",
        r"features.py: `.*` stands for columns that it does not name; write an expression for each "
        "feature, with the names of the columns that it reads.",
    ),
    "a feature over all rows": (
        f"{PACKAGE}/features.py",
        'import polars\nFEATURES.append(polars.int_range(polars.len()).alias("count"))\n',
        "test_each_feature_reads_its_own_row_only",
        "features.py: `count` of one row differs from `count` of the same row among others; "
        "a feature may read its own row only.",
    ),
    "a feature of another type": (
        f"{PACKAGE}/features.py",
        'import polars\nFEATURES.append(polars.col("{TARGETLESS}").struct.field("x").alias("y"))\n',
        "test_features_can_be_evaluated",
        r"features.py: evaluating `y` failed \(.*\).",
    ),
    "load()": (
        f"{PACKAGE}/dataset.py",
        'def load(path):\n    raise ValueError("no such format")\n',
        "test_raw_files_keep_the_rules_of_row",
        rf"{PACKAGE}/dataset.py, line \d+: load\(\) of data/sample/\S+ failed "
        r"\(ValueError: no such format\).",
    ),
    "load() that needs the target": (
        f"{PACKAGE}/dataset.py",
        "_load = load\n"
        "def load(path):\n    return _load(path).select(list(Row.to_schema().dtypes))\n",
        "test_load_reads_a_file_without_the_target",
        rf".*load\(\) of a file without `{contract.TARGET}` failed \(.*\). "
        "Rows to predict have no target yet.",
    ),
    "fit()": (
        f"{PACKAGE}/model.py",
        "class Broken:\n    def fit(self, features, truth):\n"
        '        raise RuntimeError("no memory")\ndef build(params):\n    return Broken()\n',
        "test_a_saved_model_answers_the_same",
        rf"{PACKAGE}/model.py, line \d+: fit\(\) of the model that build\(\) makes failed "
        r"\(RuntimeError: no memory\).",
    ),
    "fit() that returns nothing": (
        f"{PACKAGE}/model.py",
        "class Silent:\n    def fit(self, features, truth):\n        pass\n"
        "def build(params):\n    return Silent()\n",
        "test_a_saved_model_answers_the_same",
        r"model.py: fit\(\) returns nothing; it must return the fitted model, as `return self` does.",
    ),
    "score()": (
        f"{PACKAGE}/model.py",
        "def score(truth, predicted):\n    return 1 / 0\n",
        "test_score_returns_the_metric_of_params",
        rf"{PACKAGE}/model.py, line \d+: score\(\) failed \(ZeroDivisionError: division by zero\).",
    ),
    "params.toml": (
        "params.toml",
        "= \n",
        "test_params_fit_src",
        r"params.toml is not valid TOML: .*",
    ),
    "a hook": (
        "pyproject.toml",
        f'[tool.rung.hooks]\nnotify = "{package_name()}.model:nothing"\n',
        "test_hooks_can_be_called",
        r"pyproject.toml: \[tool.rung.hooks\] notify = .*nothing.*",
    ),
}

if contract.TIME:
    BROKEN["load() that moves times"] = (
        f"{PACKAGE}/dataset.py",
        "_load = load\ndef load(path):\n    rows = _load(path)\n"
        f"    return rows.with_columns(rows['{contract.TIME}'].cast(pl.Datetime('us')))\n",
        "test_load_does_not_move_times",
        rf"dataset.py: load\(\) moves times with an offset without a word: `{contract.TIME}` was "
        r"\S+\+05:00 and became \S+\. Keep .*",
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with a few rows of its sample."""
    folder = tmp_path_factory.mktemp("small") / "project"
    for name in ("src", "tests", "pyproject.toml", "params.toml"):
        copy = shutil.copytree if (current().root / name).is_dir() else shutil.copy2
        (folder / name).parent.mkdir(exist_ok=True)
        copy(current().root / name, folder / name)
    path = raw_files_in(current().sample)[0]
    (folder / "data/sample").mkdir(parents=True)
    rows = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    rows = rows.sample(min(500, rows.height), seed=1)
    target = folder / "data/sample" / path.name
    rows.write_parquet(target) if path.suffix == ".parquet" else rows.write_csv(target)
    return folder


@pytest.fixture
def project(small: Path, tmp_path: Path) -> Path:
    """A project to break."""
    return Path(shutil.copytree(small, tmp_path / "project"))


def run(project: Path, *tests: str) -> tuple[int, str]:
    """Run the contract suite of a project, and other tests; return exit code and what is printed."""
    path = f"{project / 'src'}{os.pathsep}{Path(__file__).parents[3] / 'machinery'}"
    return run_pytest(
        ["-p", "no:cacheprovider", *AS_FORKED, "tests/test_contract.py", *tests],
        project,
        os.environ | {"PYTHONPATH": path},
        project.with_name("printed.txt"),
    )


def test_a_new_project_keeps_every_promise(small: Path) -> None:
    code, printed = run(small)

    assert code == 0, printed
    assert "skipped" not in printed


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_named_in_a_sentence(project: Path, name: str) -> None:
    file, added, failing, sentence = BROKEN[name]
    with (project / file).open("a", encoding="utf-8") as text:
        text.write(ADDED + added.replace("{TARGETLESS}", OTHER))

    code, printed = run(project)

    assert code == 1
    (failed,) = re.findall(r"^FAILED tests/test_contract.py::(\w+)", printed, re.MULTILINE)
    assert failed == failing
    reported = printed.split("FAILURES", 1)[1].split("short test summary", 1)[0].splitlines()[2:-1]
    assert re.fullmatch(sentence, "\n".join(reported).strip()), reported
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            "false",
            r": `\w+` is 1 for perfect predictions and 0\.5 for a constant: write .* = true`",
        ),
        ('"yes"', r": \[score\] higher_is_better: expected `bool`, got `str`"),
    ],
)
def test_a_wrong_direction_of_the_metric_is_named_with_its_line(
    project: Path, value: str, sentence: str
) -> None:
    lines = (project / "params.toml").read_text(encoding="utf-8").splitlines()
    at = lines.index("higher_is_better = true")
    lines[at] = f"higher_is_better = {value}"
    (project / "params.toml").write_text("\n".join(lines), encoding="utf-8")

    code, printed = run(project)

    assert code == 1
    assert re.search(rf"params\.toml:{at + 1}{sentence}", printed), printed
    assert "Traceback" not in printed


def test_other_tests_wait_until_the_contract_holds(project: Path) -> None:
    """They would fail for the same reason, and bury its sentence under tracebacks."""
    (project / "tests/test_later.py").write_text("def test_later():\n    assert not 'later'\n")

    code, printed = run(project, "tests/test_later.py")
    assert (code, "FAILED tests/test_later.py" in printed) == (1, True)

    with (project / PACKAGE / "dataset.py").open("a", encoding="utf-8") as text:
        text.write("\ndel TARGET\n")
    code, printed = run(project, "tests/test_later.py")
    assert (code, "test_later.py" in printed) == (1, False)
    assert "fix this first; the tests after tests/test_contract.py did not run" in printed


def test_the_model_is_what_fit_returns(project: Path) -> None:
    """As in pipeline/train.py: what build() returns may only know how to make it."""
    with (project / f"{PACKAGE}/model.py").open("a", encoding="utf-8") as text:
        text.write(
            "\n\nclass Maker:\n    def __init__(self, made):\n        self.made = made\n"
            "    def fit(self, features, truth):\n        return self.made.fit(features, truth)\n"
            "_build = build\ndef build(params):\n    return Maker(_build(params))\n"
        )

    code, printed = run(project)

    assert code == 0, printed


def test_raw_rows_in_git_are_warned_of(project: Path) -> None:
    (project / ".dvc").mkdir()
    path = raw_files_in(project / "data/sample")[0]
    raw = project / "data/incoming" / path.name
    raw.parent.mkdir()
    path.rename(raw)
    for command in (["init", "--quiet"], ["add", "-A"]):
        git.output(project, *command)

    code, printed = run(project)

    assert code == 0, printed
    assert f"data/incoming/{path.name} is in git" in printed
