"""What an existing repository is taken for: small repositories as data."""

import json
import re
from pathlib import Path

import pytest
import yaml

from rung.core import level_contents
from rung.core.adoption import existing
from rung.core.adoption.existing import Existing
from rung.core.adoption.inferred import Inferred, infer
from rung.core.template_source import Source
from tests.climbing.tiny import git, repository
from tests.conftest import ROOT

RESERVED = yaml.safe_load((ROOT / "levels/questions.yml").read_text())["reserved_packages"][
    "default"
]

CI = level_contents.vendors(Source(str(ROOT), "", None))


Paths = dict[str, str] | str  # of a repository, with their texts, or the paths of empty files


def looked_at(files: Paths, remote: str = "", authors: int = 1, model: str = "") -> Inferred:
    files = dict.fromkeys(files.split(), "") if isinstance(files, str) else files
    made = Existing(
        "late-trains",
        frozenset(files),
        lambda path: files.get(path, ""),
        remote,
        authors,
        lambda pattern: [path for path, text in files.items() if re.search(pattern, text)],
    )
    return infer(made, RESERVED, CI, "github", model)


def fact(observed: Inferred, about: str) -> str:
    return next(fact.value for fact in observed.facts if fact.about == about)


@pytest.mark.parametrize(
    "files, package, layout, standing",
    [
        ("src/churn/__init__.py", "churn", "src", "src/churn"),
        ("src/a/__init__.py src/b/__init__.py src/b/more.py", "b", "src", "src/b"),
        (
            {
                "src/a/__init__.py": "",
                "src/b/__init__.py": "",
                "src/b/more.py": "",
                "pyproject.toml": '[project]\nname = "a"',
            },
            "a",
            "src",
            "src/a",
        ),
        ("src/Churn/__init__.py", "churn", "src", "src/Churn"),
        ("src/json/__init__.py", "json_model", "src", "src/json"),
        ("churn/__init__.py", "churn_model", "flat", "churn"),
        ("tests/__init__.py train.py", "late_trains", "scripts", ""),
        ("late_trains.py", "late_trains_model", "scripts", ""),
        ("src/train.py", "late_trains", "scripts in src", "src"),
        (
            "src/__init__.py src/data/__init__.py src/models/__init__.py",
            "late_trains",
            "scripts in src",
            "src",
        ),
        ({"Look.ipynb": "{}"}, "late_trains", "notebooks", ""),
        ("LICENSE", "late_trains", "no Python", ""),
    ],
)
def test_the_package_is_found_or_gets_a_place_of_its_own(
    files: Paths, package: str, layout: str, standing: str
) -> None:
    observed = looked_at(files)

    assert package == observed.answers["package"]
    assert layout == fact(observed, "layout")
    assert standing == observed.own_package


@pytest.mark.parametrize(
    "files, remote, vendor",
    [
        (".github/workflows/ci.yml", "", "github"),
        (".gitlab-ci.yml", "", "gitlab"),
        ("azure-pipelines.yml", "", "azure"),
        (".pipelines/ci.yml", "", "azure"),
        (".gitlab-ci.yml .github/workflows/a.yml", "", "github"),
        (".gitlab-ci.yml .github/workflows/a.yml", "git@gitlab.example.org:ml/late.git", "gitlab"),
        (".gitlab-ci.yml", "https://github.com/ml/late", "gitlab"),
        ({}, "https://dev.azure.com/ml/late", "azure"),
        ({}, "", "github"),
    ],
)
def test_the_vendor_is_the_one_whose_files_there_are(
    files: Paths, remote: str, vendor: str
) -> None:
    assert vendor == looked_at(files, remote).answers["ci"]


@pytest.mark.parametrize(
    "files, remote, name",
    [
        ({"pyproject.toml": '[project]\nname = "churn"'}, "", "churn"),
        ({"pyproject.toml": '[tool.poetry]\nname = "churn"'}, "", "churn"),
        ({"setup.py": "from setuptools import setup\nsetup(name='churn')"}, "", "churn"),
        ({"setup.cfg": "[metadata]\nname = churn\n"}, "", "churn"),
        ({"pyproject.toml": "[project\nname"}, "", "late-trains"),
        ({"setup.py": "setup(name="}, "", "late-trains"),
        ({"pyproject.toml": '[project]\nname = "a..b"'}, "", "late-trains"),
        ({}, "git@github.com:ml/late-buses.git", "late-buses"),
        ({}, "", "late-trains"),
    ],
)
def test_the_name_is_the_one_of_the_packaging_or_of_the_place(
    files: dict[str, str], remote: str, name: str
) -> None:
    assert name == looked_at(files, remote).answers["project_name"]


def test_a_description_is_made_one_line_that_the_template_accepts() -> None:
    reported = '[project]\ndescription = """Who leaves\nus {{ soon }}?"""'

    observed = looked_at({"pyproject.toml": reported})

    assert "Who leaves us   soon }}?" == observed.answers["description"]


@pytest.mark.parametrize("authors, size", [(0, "one"), (1, "one"), (2, "team"), (9, "teams")])
def test_the_size_of_the_team_is_how_many_committed(authors: int, size: str) -> None:
    assert size == looked_at({}, authors=authors).answers["team_size"]


@pytest.mark.parametrize(
    "files, about, value",
    [
        ("tests/unit/test_a.py tests/test_b.py", "tests", "2 files in tests"),
        ({}, "tests", "none"),
        ("uv.lock", "lock", "uv"),
        ("poetry.lock", "lock", "Poetry"),
        ({"requirements.txt": "numpy==2.1\n"}, "lock", "pinned requirements"),
        ({"requirements.txt": "numpy\n"}, "lock", "none"),
        ("data/raw.csv.dvc", "data", "files, versioned with DVC"),
        ("data/raw.csv", "data", "files in git"),
        ({}, "data", "not here"),
        ({"conda.yaml": "dependencies: [mlflow]"}, "tracking", "mlflow"),
        ({"src/requirements.txt": "dvclive\n"}, "tracking", "dvclive"),
        ({"requirements.txt": "numpy\n"}, "tracking", "none"),
    ],
)
def test_what_answers_no_question_is_seen_as_well(files: Paths, about: str, value: str) -> None:
    assert value == fact(looked_at(files), about)


def test_a_person_with_two_spellings_or_a_robot_is_not_a_second_one(tmp_path: Path) -> None:
    folder = tmp_path / "late"
    git(tmp_path, "init", "--quiet", "late")
    for who in ("Ann Lee <a@x>", "AnnLee <b@x>", "Ann <a@x>", "dependabot[bot] <d@x>", "Bo <c@x>"):
        (folder / "who.txt").write_text(who)
        git(folder, "add", "who.txt")
        git(folder, "commit", "--quiet", "-m", "x", f"--author={who}")

    assert 2 == existing.read(folder).authors


def test_a_repository_is_read_from_its_last_commit_and_not_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "secret.toml"
    outside.write_text('[project]\nname = "secret"')
    folder = tmp_path / "late"
    folder.mkdir()
    (folder / "pyproject.toml").symlink_to(outside)
    repository(folder, {"lib/__init__.py": ""})
    (folder / "uv.lock").write_text("")

    read = existing.read(folder)
    observed = infer(read, RESERVED, CI, "github")

    assert "late" == observed.answers["project_name"]
    assert "lib_model" == observed.answers["package"]
    assert "none" == fact(observed, "lock")
    assert 1 == read.authors


def test_a_part_of_a_repository_is_read_as_if_it_were_all(tmp_path: Path) -> None:
    files = {"teams/late/src/late/__init__.py": "", "poetry.lock": ""}
    mono = repository(tmp_path / "mono", files)

    observed = infer(existing.read(mono / "teams/late"), RESERVED, CI, "github")

    assert "late" == observed.answers["package"]
    assert "none" == fact(observed, "lock")


def notebook(*cells: str) -> str:
    """Write a notebook of cells of code."""
    return json.dumps({"cells": [{"cell_type": "code", "source": [cell]} for cell in cells]})


SCRIPT = """
import lightgbm as lgb
import pandas as pd
from sklearn.metrics import mean_absolute_error
frame = pd.read_csv("data/flats.csv", sep=";")
X, y = frame.drop("rent", axis=1), frame["rent"].astype(float)
model = lgb.LGBMRegressor(n_estimators=150, num_leaves=arguments.leaves, random_state=4).fit(X, y)
mean_absolute_error(y, model.predict(X))
"""


@pytest.mark.parametrize(
    "files, rows, target, model, settings",
    [
        (
            {"scripts/train.py": SCRIPT, "data/flats.csv": ""},
            "data/flats.csv",
            "rent",
            "lightgbm.LGBMRegressor",
            {"n_estimators": 150},
        ),
        (
            {
                "work/Look.ipynb": notebook(
                    "%time\nfrom sklearn import ensemble\nfrom sklearn.linear_model import Ridge",
                    "frame = pd.read_csv('../raw/a.csv')\nRidge().fit(X, frame.pop('left'))",
                    "!ls\nensemble.RandomForestClassifier(max_depth=5, n_jobs=-1)",
                ),
                "raw/a.csv": "",
                "raw/b.csv": "",
            },
            "raw/a.csv",
            "left",
            "sklearn.ensemble.RandomForestClassifier",
            {"max_depth": 5},
        ),
        (
            {
                "net.py": "from torch import nn\nTARGET = 'y'\nclass Net(nn.Module): pass\n",
                "a.csv": "",
            },
            "a.csv",
            "y",
            "torch.Net",
            {
                "source": "from torch import nn\n\n\nclass Net(nn.Module): pass",
                "lacks": "",
                "called": {"places": [], "names": {}},
            },
        ),
        ({"a.py": "import sklearn\nsomething(", "a.csv": "", "b.csv": ""}, "", None, None, {}),
    ],
)
def test_rows_target_and_model_are_those_of_the_code(
    files: dict[str, str],
    rows: str,
    target: str | None,
    model: str | None,
    settings: dict[str, object],
) -> None:
    observed = looked_at(files)
    code, found = observed.code, observed.code.model()

    assert rows == observed.rows
    assert target == next((place.value for place in (*code.targets, *code.dropped)), None)
    assert (model, settings) == ((found.value, found.settings) if found else (None, {}))


NET = """
import pandas as pd
from torch import nn
from torch.nn import functional as F
from helpers import unused
from typing import final
SIZE: int = 4
@final
class Part(nn.Module): pass
class Net(nn.Module):
    def __init__(self, n_inputs, hidden): self.part = Part(SIZE)
    def forward(self, rows): return F.relu(rows)
rows = pd.read_csv("rows.csv")
"""
LOOP = """
import torch
from net import Net
HIDDEN, EPOCHS = 24, 5
WIDTH = 32
net = Net(frame.shape[1], hidden=WIDTH)
steps = torch.optim.AdamW(net.parameters(), lr=0.01)
change = torch.optim.lr_scheduler.StepLR(steps, 10)
torch.nn.BatchNorm1d(8, momentum=0.2)
torch.optim.LBFGS(net.parameters(), lr=1)
torch.nn.BCEWithLogitsLoss()
for epoch in range(15): pass
epoch = 0
torch.utils.data.DataLoader(learned, batch_size=64)
torch.utils.data.DataLoader(judged, batch_size=1000)
"""
FUNCTIONAL = LOOP.replace("nn.BCEWithLogitsLoss()", "nn.functional.cross_entropy(net(rows), truth)")
OF_SKORCH = """
import torch
from skorch import NeuralNetClassifier
from net import Net
NeuralNetClassifier(Net, module__hidden=8, max_epochs=3, criterion=torch.nn.CrossEntropyLoss)
"""


@pytest.mark.parametrize(
    ("script", "training", "places", "names"),
    [
        (LOOP, ("BCEWithLogitsLoss", "AdamW", 0.01, 15), [None], {"hidden": 32}),
        (FUNCTIONAL, ("CrossEntropyLoss", "AdamW", 0.01, 15), [None], {"hidden": 32}),
        (OF_SKORCH, ("CrossEntropyLoss", "SGD", 0.01, 3), [], {"hidden": 8}),
    ],
)
def test_a_network_comes_with_all_that_it_is_made_of_and_how_it_is_trained(
    script: str, training: tuple[object, ...], places: list[object], names: dict[str, object]
) -> None:
    other = "import torch\nNet(9)\ntorch.nn.MSELoss()\nclass Net(torch.nn.Module): pass\n"
    files = {"net.py": NET, "helpers.py": "", "train.py": script, "zoo.py": other}
    model = looked_at(files).code.model()

    assert model is not None and model.value == "torch.Net"
    assert "@final\nclass Part" in model.settings["source"]
    assert "SIZE: int = 4" in model.settings["source"]
    assert "helpers" not in model.settings["source"] and not model.settings["lacks"]
    keys = ("loss", "optimizer", "learning_rate", "epochs")
    assert training == tuple(model.settings[key] for key in keys)
    assert model.settings.get("batch_size") in (64, 128) and "momentum" not in model.settings
    assert "read_csv" not in model.settings["source"]
    assert {"places": places, "names": names} == model.settings["called"]
    needs = looked_at({**files, "net.py": NET.replace("F.relu", "unused")}).code.model()
    assert needs is not None and needs.settings["lacks"] == "from helpers import unused"


MAIN = """
import pandas as pd
frame = pd.read_csv("rows.csv")
target = "age"; plot(target)
target = "sex"; plot(target)
y = frame["ill"]
"""
LEARNING = """
import torch
class Net(torch.nn.Module):
    def __init__(self, n_inputs): pass
def learn(rows, epochs=50, *, rate=0.02):
    torch.optim.SGD(Net(rows.shape[1]).parameters(), lr=rate)
    torch.nn.CrossEntropyLoss()
def plot(history, epochs=5): pass
"""


def test_a_file_left_behind_a_name_of_several_columns_and_defaults_of_functions() -> None:
    left_behind = "from xgboost import XGBClassifier\nXGBClassifier().fit(X, frame.age)\n"
    files = {"a_backup.py": left_behind, "main.py": MAIN, "neural.py": LEARNING, "rows.csv": ""}
    found = looked_at(files)
    model = found.code.model()

    assert "ill" == found.code.targets[0].value
    assert model is not None and model.value == "torch.Net"
    assert (50, 0.02) == (model.settings["epochs"], model.settings["learning_rate"])
    (because,) = (fact.because for fact in found.facts if fact.about == "model")
    assert "neural.py:3; `--model` takes XGBClassifier" == because
    other = found.code.model("XGBClassifier")
    assert other is not None and other.value == "xgboost.XGBClassifier"


@pytest.mark.parametrize(
    "named, call, epochs, rate",
    [
        ("EPOCHS = 100\nRATE = 0.001", "learn(rows, EPOCHS, rate=RATE)", 100, 0.001),
        ("", "def main():\n    most = 70\n    learn(rows, most)", 70, 0.02),
        ("EPOCHS = 100", "Learner().learn(rows)\nlearn(*most)", 100, 0.02),
    ],
)
def test_what_a_function_is_called_with_counts_before_its_defaults(
    named: str, call: str, epochs: int, rate: float
) -> None:
    code = LEARNING.replace("class Net", f"{named}\nclass Net", 1)
    loop = "def steps(epochs, first=1):\n    for epoch in range(1, epochs + 1): pass\n"
    loop += "    for epoch in range(1, 1 + epochs): pass\n"
    loop += "    for epoch in range(first, first + epochs): pass\n"
    texts = (f"{code}{call}\n", code.replace("def learn", f"{call}\ndef learn"))
    for text in (*texts, f"{loop}{texts[0]}", f"{texts[0]}{loop}steps({epochs})\n"):
        model = looked_at({"train.py": text}).code.model()
        assert model is not None
        assert (epochs, rate) == (model.settings["epochs"], model.settings["learning_rate"])


@pytest.mark.parametrize(
    "files",
    [
        {"a.ipynb": notebook("import sklearn\ntarget='age'", "target='ill'", "y = frame['ill']")},
        {"a.py": "import sklearn\ntarget='age'\ntarget='ill'\ny = frame['ill']\n"},
        {"a.py": "import sklearn\nif short:\n    target='ill'\nelse:\n    target='age'\n"},
        {"a.py": "import sklearn\ndef a():\n    target='ill'\ndef b():\n    target='age'\n"},
    ],
)
def test_a_name_of_several_columns_takes_no_other_target_with_it(files: dict[str, str]) -> None:
    assert "ill" == looked_at(files).code.targets[0].value


@pytest.mark.parametrize(
    "files",
    [
        {"train.py": NET, "train_old.py": NET.replace("SIZE: int = 4", "SIZE: int = 4_000")},
        {"net.py": NET.replace("pd.read_csv", "print"), "backup/all.py": NET},
        {"train.py": NET, "train (copy).py": NET},
        {"train.py": NET, "train-Copy1.py": NET},
    ],
)
def test_a_network_left_behind_is_taken_only_by_its_name(files: dict[str, str]) -> None:
    first, last = files
    both = files | {last: files[last].replace("class Net", "class OldNet")}

    assert "torch.Net" == fact(looked_at(both), "model")
    assert "torch.OldNet" == fact(looked_at(both, model="OldNet"), "model")
    (because,) = (f.because for f in looked_at(files, model="Net").facts if f.about == "model")
    assert because.startswith(f"{first}:") and f"another Net is in {last}:" in because


@pytest.mark.parametrize(
    "code, lacks",
    [
        (f"class Net(nn.Module):\n    text = '{'long' * 6_000}'\n", "net.py, too long to copy"),
        (
            'if True:\n    class Net(nn.Module):\n        """Net\nof two."""\n',
            "net.py, where the class needs other code",
        ),
    ],
)
def test_a_network_that_cannot_be_copied_needs_its_file(code: str, lacks: str) -> None:
    model = looked_at({"net.py": f"from torch import nn\n{code}"}).code.model()

    assert model is not None and lacks == model.settings["lacks"]
    assert 0 < len(model.settings["source"]) <= 20_000
