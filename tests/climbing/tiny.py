"""A template with three rungs of a few files, and projects made from it: real Copier, real git."""

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import yaml

from rung.core import template_source
from rung.core.climbing import apply, messages, planner
from rung.core.climbing.planner import PreparedPlan
from rung.core.climbing.plans import ChangeRequest, Plan
from rung.core.rendering.render import render
from tests.command import commit, git, init
from tests.conftest import files_of

__all__ = ["commit", "files_of", "git"]  # which most tests of climbs need

CODE = """\
\"\"\"What a rung runs.\"\"\"


def first() -> int:
    return 1


def second() -> int:
    return 2


def third() -> int:
    return 3
"""
FILES: dict[str, str] = {
    "copier.yml": """\
_min_copier_version: "9.19.0"
_subdirectory: files
_templates_suffix: .jinja
_envops: {keep_trailing_newline: true, trim_blocks: true, lstrip_blocks: true}
_exclude:
  - .git
  - "{% if level < 1 %}/ops/one.py{% endif %}"
  - "{% if level < 1 %}/Dockerfile{% endif %}"
  - "{% if level < 2 %}/ops/two.py{% endif %}"
  - "{% if level < 2 %}/data/table.bin{% endif %}"
  - "{% if ci != 'github' %}/.github{% endif %}"
  - "{% if ci != 'gitlab' %}/.gitlab-ci.yml{% endif %}"

---
!include levels/yours.yml

---
!include levels/questions.yml
""",
    "levels/yours.yml": """\
yours:
  type: yaml
  when: false
  default:
    always: [src/*/model.py, README.md]
""",
    "levels/questions.yml": """\
package: {type: str, default: flights}
ci: {type: str, default: github, choices: [github, gitlab]}
level: {type: int, default: 0, choices: [0, 1, 2]}
""",
    "files/{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml -}}\n",
    "files/RUNG.md.jinja": "# Rung {{ level }}\n\nWith {{ ci }}.\n",
    "files/README.md": "# Yours\n",
    "files/src/{{ package }}/model.py": "MODEL = 1\n",
    "files/ops/zero.py.jinja": CODE + "\n\nLEVEL = {{ level }}\n",
    "files/ops/one.py": CODE.replace("rung", "first rung"),
    "files/ops/two.py": CODE.replace("rung", "second rung"),
    "files/Dockerfile": "FROM scratch\nCOPY . .\n",
    "files/.gitignore": "*.log\n",
    "files/.github/workflows/check.yml": "on: [push]\njobs:\n  check:\n    runs-on: here\n",
    "files/.gitlab-ci.yml": "check:\n  script: [uv run poe check]\n",
    "files/pyproject.toml.jinja": """\
[project]
name = "flights"
version = "0.1.0"
dependencies = [
    "numpy>=2",
    "polars>=1",
]

[dependency-groups]
# Rung keeps the groups named rung-*.
rung-0 = [
    "pytest>=8",
    "ruff>=0.12",
]
{% if level >= 1 %}

rung-1 = [
    "mypy>=1.17",
    "pre-commit>=4",
]
{% endif %}
{% if level >= 2 %}

# Pipelines.
rung-2 = [
    "dvc>=3",
]
{% endif %}

# Yours: groups of your own go below this line.

[tool.ruff]
line-length = 100
""",
    "files/tasks.yml.jinja": """\
# Tasks.
tasks:
  train: python -m ops.zero
{% if level >= 1 %}
  check: pytest
{% endif %}
""",
}
BINARY = bytes(range(256)) * 8


def write(folder: Path, files: Mapping[str, str | bytes | None]) -> None:
    """Write files; None removes one."""
    for path, content in files.items():
        file = folder / path
        if content is None:
            file.unlink()
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())


def edit(folder: Path, files: Mapping[str, str | bytes | None]) -> str:
    """Write files, and commit everything; return the commit's id."""
    write(folder, files)
    return commit(folder)


def repository(folder: Path, files: Mapping[str, str | bytes | None]) -> Path:
    """Make a repository with one commit."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, files)
    return init(folder)


def template(folder: Path, tag: str = "v0.1.0", files: Mapping[str, Any] = {}) -> Path:
    """Make the template a repository with one release."""
    repository(folder, {**FILES, "files/data/table.bin": BINARY, **files})
    git(folder, "tag", tag)
    return folder


def release(folder: Path, tag: str, files: Mapping[str, str | bytes | None]) -> None:
    """Release another version of a template."""
    write(folder, files)
    commit(folder, tag)
    git(folder, "tag", tag)


def fresh(made_from: Path, folder: Path, version: str = "v0.1.0", **answers: Any) -> Path:
    """Render a project, without a repository."""
    chosen = template_source.choose(str(made_from), version)
    render(chosen, folder, answers, defaults=True)
    return folder


def new_project(made_from: Path, folder: Path, version: str = "v0.1.0", **answers: Any) -> Path:
    """Render a project, and make it a repository with one commit."""
    fresh(made_from, folder, version, **answers)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "core.autocrlf", "false")
    commit(folder, "Start")
    return folder


def with_template(folder: Path, **answers: Any) -> tuple[Path, Path]:
    """Make a template that may be released again, and a project from it; return both."""
    made_from = template(folder / "template")
    return made_from, new_project(made_from, folder / "p", **answers)


def prepare(
    folder: Path, version: str | None = None, **answers: Any
) -> AbstractContextManager[PreparedPlan]:
    """Prepare a climb, by the template that the project names."""
    named = yaml.safe_load((folder / ".copier-answers.yml").read_text())["_src_path"]
    return planner.prepare(folder, ChangeRequest(answers, version), named)


def climb(folder: Path, version: str | None = None, **answers: Any) -> Plan:
    """Climb without the project's checks; conflicts are an error. Return the plan."""
    with prepare(folder, version, **answers) as prepared:
        assert [] == prepared.plan.conflicts
        if not prepared.plan.changes_nothing:
            apply.climb(prepared, messages.message(prepared.plan), verify=False)
        assert "" == git(folder, "status", "--porcelain")
        return prepared.plan


def plan(folder: Path, version: str | None = None, **answers: Any) -> Plan:
    """Return what a climb would do."""
    with prepare(folder, version, **answers) as prepared:
        return prepared.plan


def copy(folder: Path, to: Path) -> Path:
    """Copy a project with its repository."""
    return shutil.copytree(folder, to, symlinks=True)
