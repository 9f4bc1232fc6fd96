"""`rung adopt`: existing repositories come onto the ladder, and nothing of theirs changes."""

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung.core.adoption import adoption as adopting
from rung.core.adoption import complete, drafts, summary
from rung.core.adoption.adoption import Adoption
from rung.core.drafting import Wanted
from rung.core.rendering.render import render
from rung.core.template_source import Source
from rung.errors import RungError
from tests.climbing.tiny import climb, edit, repository
from tests.command import git, init, rung
from tests.conftest import files_of

# Small repositories of different shapes.
SHAPES: dict[str, dict[str, str]] = {
    "src": {
        "pyproject.toml": '[project]\nname = "churn"\nversion = "1.0"\n',
        "src/churn/__init__.py": "",
        "src/churn/train.py": "print('train')\n",
        "tests/test_train.py": "def test_it():\n    assert score(1)\n",
        ".github/workflows/ci.yml": "on: push\n",
        ".gitignore": "*.pyc\n",
        "README.md": "# Churn\n",
    },
    "contract": {"src/churn/__init__.py": "", "src/churn/features.py": "MINE = 1\n"},
    "flat": {"churn/__init__.py": "", "setup.py": "from setuptools import setup\nsetup()\n"},
    "scripts": {"train.py": "print(1)\n", "requirements.txt": "numpy==2.1\n"},
    "notebooks": {"Look at it.ipynb": "{}\n", "données.csv": "a,b\n"},
    "gitlab": {".gitlab-ci.yml": "test: {script: [pytest]}\n", "dvc.yaml": "stages: {}\n"},
    "case": {"readme.md": "mine\n", "Dockerfile": "FROM scratch\n"},
}


def adopt(folder: Path, template: Source, **message: Any) -> Adoption:
    how = {name: message.pop(name) for name in ("merge", "dry_run") if name in message}
    return adopting.adopt(folder, template, message, **how)


def snapshot(folder: Path) -> dict[str, Any]:
    """Return everything a refusal must leave: files, ignored ones too, refs and the index."""
    on_disk = {
        path.relative_to(folder).as_posix(): path.readlink()
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink()) and ".git" not in path.relative_to(folder).parts
    }
    refs = git(folder, "for-each-ref") if (folder / ".git").exists() else ""
    return {"disk": on_disk, "refs": refs}


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_that_is_there_changes_and_it_is_one_commit(
    tmp_path: Path, template: Source, shape: str
) -> None:
    folder = repository(tmp_path / "late", SHAPES[shape])
    before = git(folder, "rev-parse", "HEAD")

    made = adopt(folder, template)

    assert {path: text.encode() for path, text in SHAPES[shape].items()} == {
        path: content for path, content in files_of(folder).items() if path in SHAPES[shape]
    }
    assert before == git(folder, "rev-parse", "HEAD~1")
    assert made.commit == git(folder, "rev-parse", "HEAD")
    assert "" == git(folder, "status", "--porcelain", "--ignored")
    assert set(made.added) == files_of(folder).keys() - SHAPES[shape].keys()

    # The base is recorded as in a new project.
    recorded = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    assert (template.address, template.ref) == (recorded["_src_path"], recorded["_commit"])
    assert dict(made.answers).items() <= recorded.items()
    assert (folder / "src" / recorded["package"]).is_dir()
    assert {"pipeline/train.py", "ops/tasks.toml"} <= set(made.added)
    assert ["vendor"] == [path.split("/")[0] for path in made.added if path.endswith(".whl")]
    if "pyproject.toml" in made.added:
        tool = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]
        assert recorded["package"] == tool["rung"]["package"]


def test_the_example_comes_whole_or_not_at_all(tmp_path: Path, template: Source) -> None:
    everything = repository(tmp_path / "whole", SHAPES["src"])
    none = repository(tmp_path / "none", SHAPES["contract"])

    assert adopt(everything, template).example
    assert not adopt(none, template).example

    assert (everything / "src/churn/features.py").exists()
    assert (everything / "data/sample/flights.parquet").exists()
    assert not (none / "src/churn/dataset.py").exists()
    assert not (none / "data/sample").exists()
    # The stages and the check of the contract are not part of it.
    for path in ("pipeline/train.py", "tests/test_contract.py"):
        assert (everything / path).is_file() and (none / path).is_file()
    assert not (none / "tests/test_model.py").exists()


def test_a_file_of_the_same_name_is_left_alone_and_reported(
    tmp_path: Path, template: Source
) -> None:
    folder = repository(tmp_path / "late", SHAPES["case"])

    made = adopt(folder, template, level=1)

    assert "Dockerfile" in made.kept
    assert "README.md" not in made.added  # some systems take it for the user's readme.md
    assert "  = Dockerfile" in summary.text(made)


def test_what_git_ignores_is_left_alone_and_reported(tmp_path: Path, template: Source) -> None:
    folder = repository(tmp_path / "late", {".gitignore": "/params.toml\n"})
    (folder / "params.toml").write_text("mine = 1\n")

    made = adopt(folder, template)

    assert ["params.toml"] == made.hidden
    assert "mine = 1\n" == (folder / "params.toml").read_text()
    assert "params.toml" not in git(folder, "ls-files")


def test_nothing_is_written_through_a_link(tmp_path: Path, template: Source) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "late"
    folder.mkdir()
    (folder / "docs").symlink_to(tmp_path / "elsewhere")
    repository(folder, {"data": "a file\n"})

    made = adopt(folder, template)

    assert "docs/use_case.md" in made.blocked
    assert "data/sample/flights.parquet" in made.blocked
    assert [] == list((tmp_path / "elsewhere").iterdir())


def test_a_part_of_a_repository_is_adopted_and_the_rest_is_not_touched(
    tmp_path: Path, template: Source
) -> None:
    mono = repository(tmp_path / "mono", {"teams/late/src/late/__init__.py": "", "ops/a.py": "1\n"})

    made = adopt(mono / "teams/late", template)

    assert made.answers["package"] == "late"
    assert (mono / "teams/late/RUNG.md").exists()
    assert ["ops", "teams"] == sorted(path.name for path in mono.iterdir() if path.name != ".git")
    assert "" == git(mono, "status", "--porcelain")


def test_what_the_person_says_wins(tmp_path: Path, template: Source) -> None:
    folder = repository(tmp_path / "late", SHAPES["src"])

    adopt(folder, template, ci="gitlab", level=1, package="other", use_case="governance")

    assert (folder / ".gitlab-ci.yml").exists()
    assert (folder / "src/other/dataset.py").exists()
    assert (folder / "governance").is_dir()


def test_missing_entries_are_named_and_added_when_asked(tmp_path: Path, template: Source) -> None:
    plain = repository(tmp_path / "plain", SHAPES["src"])
    merged = repository(tmp_path / "merged", SHAPES["src"])

    wanting = adopt(plain, template).lacking_entries
    made = adopt(merged, template, merge=True)

    assert any("`tool.poe.include`" in entry for entry in wanting)
    assert [".gitignore", "pyproject.toml"] == made.merged
    pyproject = tomllib.loads((merged / "pyproject.toml").read_text())
    assert "rung-0" in pyproject["dependency-groups"]
    # Without these uv finds no rung-ops, and rung-ops no package.
    wheel = pyproject["tool"]["uv"]["sources"]["rung-ops"]["path"]
    assert (merged / wheel).is_file()
    assert "churn" == pyproject["tool"]["rung"]["package"]
    assert (merged / ".gitignore").read_text().startswith("*.pyc\n")
    assert [] == made.lacking_entries


@pytest.mark.parametrize("rule", ["data", "/data/", "data/*", "/data/**"])
def test_records_of_new_data_are_hidden_by_no_rule_and_other_data_stays_hidden(
    tmp_path: Path, template: Source, rule: str
) -> None:
    folder = repository(tmp_path / "late", {".gitignore": f"{rule}\n", "a.py": ""})

    made = adopt(folder, template, merge=True)

    assert [".gitignore"] == made.merged
    request = ["data/incoming/a.csv.dvc", "data/sample/a.csv", "data/own.csv", "data/rows.parquet"]
    ignored = subprocess.run(
        ["git", "check-ignore", *request], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ["data/own.csv", "data/rows.parquet"] == ignored.stdout.split()


def test_what_was_adopted_without_the_entries_is_completed_later(
    tmp_path: Path, template: Source
) -> None:
    late = repository(tmp_path / "late", SHAPES["src"])
    once = repository(tmp_path / "once", SHAPES["src"])
    made = adopt(late, template)
    assert "rung adopt --merge" in summary.text(made).split("Next:")[1]
    before = git(late, "rev-parse", "HEAD")

    dry = rung("adopt", "--merge", "--dry-run", "--template", template.address, cwd=late)
    assert before == git(late, "rev-parse", "HEAD")
    done = rung("adopt", "--merge", "--template", template.address, cwd=late)
    again = rung("adopt", "--merge", "--template", template.address, cwd=late)
    adopt(once, template, merge=True)

    assert (0, 0, 0) == (dry.returncode, done.returncode, again.returncode), done.stderr
    assert all(entry in dry.stdout and entry in done.stdout for entry in made.lacking_entries)
    assert "Nothing was written." in dry.stdout and "Nothing was written." in again.stdout
    assert before == git(late, "rev-parse", "HEAD~1")
    assert "" == git(late, "status", "--porcelain")
    for path in (".gitignore", "pyproject.toml"):
        assert set((once / path).read_text().split()) <= set((late / path).read_text().split())
    climb(late, level=2)
    assert "rung-2 = [" in (late / "pyproject.toml").read_text()


def test_a_project_that_was_born_lacks_nothing(tmp_path: Path, template: Source) -> None:
    render(template, tmp_path / "p", {"level": 1}, defaults=True)

    assert {} == complete.complete(init(tmp_path / "p"), template.address)


def test_a_plan_touches_nothing(tmp_path: Path, template: Source) -> None:
    folder = repository(tmp_path / "late", SHAPES["src"])
    (folder / "new.py").write_text("not committed\n")
    before = snapshot(folder)

    made = adopt(folder, template, dry_run=True)

    assert {"ops/tasks.toml", "pipeline/train.py"} <= set(made.added)
    assert "Nothing was written." in summary.text(made)
    assert before == snapshot(folder)


@pytest.mark.parametrize("text", ["[project\n", "[tool]\nuv = 1\n"])
def test_what_cannot_be_completed_is_reported_and_not_taken_for_complete(
    tmp_path: Path, template: Source, text: str
) -> None:
    folder = repository(tmp_path / "late", {"pyproject.toml": text, ".gitignore": "x\n"})
    output = summary.text(adopt(folder, template, merge=True))
    again = complete.complete(folder, template.address)

    assert "Change these by hand, so that Rung's commands run:\n  pyproject.toml: " in output
    assert ["pyproject.toml"] == list(again)
    assert "by hand" in summary.completion(folder, again, dry_run=False)
    assert text == (folder / "pyproject.toml").read_text()


SH = "git add --all && git commit --quiet --no-verify -m more"


@pytest.mark.parametrize(
    "script, message, arguments",
    [
        ("rm -rf .git", {}, ["not in a git repository", "`git init`"]),
        ("rm -rf .git && git init -q", {}, ["has no commit yet", "`rung new`"]),
        ("echo x > new.py", {}, ["not committed", "Commit or stash"]),
        (f"mkdir ops && echo 1 > ops/a.py && {SH}", {}, ["`ops/`", "`git mv ops NAME`"]),
        (f"ln -s /tmp ops && {SH}", {}, ["`ops/`", "Rename yours"]),
        (f"mkdir OPS && echo 1 > OPS/a.py && {SH}", {}, ["`ops/`", "Rename yours"]),
        (
            f"printf 'level: 1\\npackage: churn\\n' > .copier-answers.yml && {SH}",
            {},
            ["a project of Rung already", "`rung climb`"],
        ),
        (
            f"echo '_src_path: gh:other/one' > .copier-answers.yml && {SH}",
            {},
            ["another Copier template", "`--answers-file`"],
        ),
        (
            f"echo 'a: [' > .copier-answers.yml && {SH}",
            {},
            ["cannot be read", "Restore it from git"],
        ),
        ("git update-index --assume-unchanged README.md", {}, ["overlook", "update-index"]),
        ("git checkout -q -b b && git checkout -q main && touch .git/MERGE_HEAD", {}, ["merge"]),
        ("true", {"package": "json"}, ["`json`", "`-d package=VALUE`"]),
        ("true", {"package": "../up"}, ["lower-case", "`-d package=VALUE`"]),
        ("true", {"level": 7}, ["level"]),
        ("true", {"colour": "red"}, ["no question `colour`"]),
    ],
)
def test_a_refusal_says_why_and_what_to_do_and_changes_nothing(
    tmp_path: Path,
    template: Source,
    script: str,
    message: dict[str, Any],
    arguments: list[str],
) -> None:
    folder = repository(tmp_path / "late", SHAPES["src"])
    subprocess.run(script, shell=True, cwd=folder, check=True)
    before = snapshot(folder)

    with pytest.raises(RungError) as refused:
        adopt(folder, template, **message)

    assert [] == [word for word in arguments if word not in str(refused.value)]
    assert before == snapshot(folder)


@pytest.mark.parametrize("shape, merge", [("src", True), ("gitlab", False)])
def test_later_climbs_work_up_and_down_and_leave_what_was_there(
    tmp_path: Path, template: Source, shape: str, merge: bool
) -> None:
    files = {**SHAPES[shape], "Dockerfile": "FROM mine\n", ".pre-commit-config.yaml": "repos: []\n"}
    folder = repository(tmp_path / "late", files)
    made = adopt(folder, template, merge=merge)

    up = climb(folder, level=2)
    assert {"Dockerfile", ".pre-commit-config.yaml"} <= set(up.own)
    assert (folder / "docs/datasheet.md").exists()
    assert not merge or "rung-2 = [" in (folder / "pyproject.toml").read_text()
    climb(folder, level=0)

    assert not (folder / "docs/datasheet.md").exists()
    now = files_of(folder)
    kept = {path: text.encode() for path, text in files.items() if path not in made.merged}
    assert kept == {path: now.get(path) for path in kept}


def test_patterns_that_match_what_git_keeps_are_left_out_and_the_others_named(
    tmp_path: Path, template: Source
) -> None:
    files = SHAPES["src"] | {"model/net.py": "NET = 1\n", "logs/.gitkeep": ""}
    folder = repository(tmp_path / "late", files)

    made = adopt(folder, template, merge=True)

    patterns = (folder / ".gitignore").read_text().splitlines()
    assert not {"/model/", "/logs/"} & set(patterns)
    assert "/reports/" in patterns
    output = summary.text(made)
    assert ".gitignore: patterns: " in output and "`/reports/`" in output
    assert ".gitignore: `/model/` is left out, since git keeps `model/net.py`" in output
    assert "" == git(folder, "status", "--porcelain", "--ignored")


def test_the_requirements_come_along_and_ruff_leaves_the_files_that_were_there(
    tmp_path: Path, template: Source
) -> None:
    files = {
        "train.py": "import os,sys\n",
        "Look at it.ipynb": "{}",
        "requirements.txt": "numpy==1.26\npandas==2.*  # exact\nexcel;python_version == '3.12'\n-e .\n",
    }
    folder = repository(tmp_path / "late", files)

    adopt(folder, template)

    pyproject = tomllib.loads((folder / "pyproject.toml").read_text())
    own = ["pandas>=2", 'excel; python_version == "3.12"']
    assert own == pyproject["dependency-groups"]["own"]
    assert ["Look at it.ipynb", "train.py"] == pyproject["tool"]["ruff"]["extend-exclude"]
    assert 100 == pyproject["tool"]["ruff"]["line-length"]
    assert "exclude" not in pyproject["tool"]["mypy"]  # which reads src, pipeline and tests


@pytest.mark.parametrize(
    "settings, table",
    [
        ("", "extend-exclude"),
        ("[tool.ruff]\nline-length = 88\n", "format"),
        ("[tool.ruff.format]\n", ""),
    ],
)
def test_who_has_settings_of_ruff_keeps_them_and_formats_as_before(
    tmp_path: Path, template: Source, settings: str, table: str
) -> None:
    folder = repository(tmp_path / "late", SHAPES["src"] | {"pyproject.toml": settings})

    adopt(folder, template, merge=True)

    ruff = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["ruff"]
    own = ["src/churn/__init__.py", "src/churn/train.py", "tests/test_train.py"]
    excluded = {
        "extend-exclude": ruff.get("extend-exclude"),
        "format": ruff.get("format", {}).get("exclude"),
    }
    assert {key: own if key == table else None for key in excluded} == excluded
    assert [] == complete_again(folder, template)


def complete_again(folder: Path, template: Source) -> list[str]:
    edit(folder, {"later.py": "LATER = 1\n"})
    return complete.described(complete.complete(folder, template.address))


def test_a_line_of_packages_that_is_reflowed_is_said(tmp_path: Path, template: Source) -> None:
    project = '[project]\nname = "a"\nversion = "1"\ndependencies = ["pandas", "polars"]\n'
    folder = repository(tmp_path / "late", {"pyproject.toml": project})

    made = adopt(folder, template, merge=True)

    (entry,) = [entry for entry in made.completed if "project.dependencies" in entry]
    assert entry.endswith("(your line is now one for each package)")


TRAINS = {
    "train.py": "import sklearn\nframe = read_csv('rows.csv')\ny = frame['left']\n",
    "rows.csv": "size,left\n1,0\n",
}


JOINS = {
    "train.py": (
        "import sklearn\na = read_csv('a.csv')\nb = read_csv('b.csv')\n"
        "frame = a.merge(b, on='id')\ny = frame['y']\n"
    ),
    "a.csv": "id,y\n1,0\n",
    "b.csv": "id,size\n1,0\n",
}


XGBOOST = "from xgboost import XGBRegressor\nXGBRegressor()\n"
NETWORK = "import torch\nclass Net(torch.nn.Module): pass\n"


@pytest.mark.parametrize(
    "code, modules, needed",
    [
        (XGBOOST, {"model": XGBOOST}, {"xgboost>=2.0"}),
        (
            NETWORK,
            {"model": "from .training import trained\n", "training": NETWORK},
            {"torch>=2.6", "onnx>=1.17", "onnxruntime>=1.20"},
        ),
        (NETWORK, {"model": "import sklearn\n"}, set()),
    ],
)
def test_the_entries_that_come_later_are_those_of_an_adoption_at_once(
    tmp_path: Path,
    template: Source,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    modules: dict[str, str],
    needed: set[str],
) -> None:
    def drafted(room: Path, wanted: Wanted) -> str:
        (package,) = (path.parent for path in room.glob("src/*/model.py"))
        for name, text in modules.items():
            (package / f"{name}.py").write_text(text)
        return wanted.model

    monkeypatch.setattr(drafts, "draft", drafted)
    files = TRAINS | {
        "train.py": TRAINS["train.py"] + code,
        "pyproject.toml": "[tool.black]\n",
        "requirements.txt": "excel==3.1+cpu\n"
        + "triton==2.1\nnvidia-nccl-cu12==2.18\n" * ("training" in modules)
        + "xgboost==2.0\n" * (code == XGBOOST),
    }
    once, late = (repository(tmp_path / name / "late", files) for name in ("once", "twice"))

    adopt(once, template, merge=True)
    adopt(late, template)
    complete.complete(late, template.address)

    pyproject = (once / "pyproject.toml").read_text()
    assert 'own = [\n    "excel>=3.1",\n]' in pyproject
    models = ("xgboost", "torch", "onnx")
    listed = tomllib.loads(pyproject)["project"]["dependencies"]
    assert needed == {entry for entry in listed if entry.startswith(models)}
    assert pyproject == (late / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "files, options, said",
    [
        (TRAINS, {}, "Your own files would be drafted: left of rows.csv."),
        (TRAINS | {"train.py": ""}, {}, "no code says which of its columns is predicted"),
        (TRAINS, {"target": "size"}, "Your own files would be drafted: size of rows.csv."),
        ({"a.py": ""}, {}, "holds an example"),
        (
            JOINS,
            {},
            "train.py:4 makes one table by `merge()`, of a.csv (train.py:2), b.csv (train.py:3)",
        ),
        (
            TRAINS
            | {
                "train.py": TRAINS["train.py"].replace(
                    "import sklearn", "import pandas as pd, sklearn"
                )
                + "frame = pd.concat([frame, more], axis=1)\nframe.to_csv('written.csv')\n"
            },
            {},
            "left of rows.csv.",
        ),
        (
            JOINS
            | {
                "train.py": (
                    "import pandas as pd, sklearn\na, b = read_csv('a.csv'), read_csv('b.csv')\n"
                    "a = pd.concat([a, pd.get_dummies(a.c)], axis=1)\ny = a['y']\n"
                )
            },
            {},
            "y of a.csv.",
        ),
        (
            JOINS | {"train.py": JOINS["train.py"].replace("b = read_csv(", "a.to_csv(OUT / ")},
            {},
            "y of a.csv.",
        ),
        (JOINS, {"rows": Path("a.csv"), "target": "y"}, "would be drafted: y of a.csv."),
        (
            JOINS
            | {
                "train.py": "import sklearn\nread_csv('a.csv')\nread_csv('b.csv')\ny = frame['y']\n' '.join(y)\n"
            },
            {},
            "y of a.csv.",
        ),
    ],
)
def test_a_plan_says_what_would_be_drafted_or_why_nothing(
    tmp_path: Path, template: Source, files: dict[str, str], options: dict[str, str], said: str
) -> None:
    folder = repository(tmp_path / "late", files)

    planned = adopting.adopt(folder, template, {}, dry_run=True, **options)  # type: ignore[arg-type]

    assert said in summary.text(planned)


def test_rows_that_cannot_be_drafted_from_leave_the_example_unless_they_were_named(
    tmp_path: Path, template: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", "/bin"]))  # uv is not there
    monkeypatch.delenv("UV", raising=False)
    folder = repository(tmp_path / "late", TRAINS)
    before = snapshot(folder)

    with pytest.raises(RungError, match="uv is missing"):
        adopting.adopt(folder, template, {}, target="left")
    with pytest.raises(RungError, match="No model `Net` was found"):
        adopting.adopt(folder, template, {}, model="Net")
    with pytest.raises(RungError, match="`--model` names a class to train on rows: add"):
        adopting.adopt(repository(tmp_path / "none", {}), template, {}, model="Net")
    assert before == snapshot(folder)
    made = adopt(folder, template)

    assert "uv is missing" in summary.text(made)
    assert (folder / "data/sample/flights.parquet").is_file()
