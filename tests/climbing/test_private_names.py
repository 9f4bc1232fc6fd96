"""Private names of others stand in one module, which says what it needs of them."""

import ast
import importlib.metadata
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rung.check.review import literals
from rung.core import private_names
from rung.core.private_names import CopierNames
from rung.errors import RungError
from tests.climbing import tiny
from tests.conftest import ROOT

# Renders with the patches and without, where Copier is the newest that there is.
NEWEST = """\
import sys
from importlib.metadata import version
from pathlib import Path
import copier
from rung.core import private_names, project
from tests.climbing import tiny
from tests.climbing.test_private_names import missing
room = Path(sys.argv[1])
made_from = tiny.template(room / "template")
copier.run_copy(str(made_from), room / "plain", {}, defaults=True, quiet=True, vcs_ref="HEAD")
tiny.fresh(made_from, room / "patched", version="v0.1.0")
assert missing(private_names.copier()) == [], missing(private_names.copier())
assert tiny.files_of(room / "plain") == tiny.files_of(room / "patched")
print("Copier", version("copier"))
"""


def missing(names: CopierNames) -> list[str]:
    """Return what Rung patches and this Copier does not have."""
    wanted = {
        "main": ["is_git_available"],
        "worker": ["_render_string", "answers_relpath"],
        "template": ["clone"],
    }
    return [
        name
        for owner, members in wanted.items()
        for name in members
        if not hasattr(getattr(names, owner), name)
    ]


def private(path: Path) -> Iterator[str]:
    """Give the private names of other packages that a module uses."""
    others: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [(one.asname or one.name, one.name) for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [(one.asname or one.name, f"{node.module}.{one.name}") for one in node.names]
        else:
            continue
        for bound, name in names:
            if name.split(".")[0] not in ("rung", "__future__"):
                others.add(bound.split(".")[0])
                yield from [name] if re.search(r"(^|\.)_[a-z]", name) else []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        if re.match("_[a-z]", node.attr) and node.value.id in others:
            yield f"{node.value.id}.{node.attr}"


def test_one_module_uses_private_names() -> None:
    source = ROOT / "generator/rung"
    result = {str(path.relative_to(source)): list(private(path)) for path in source.rglob("*.py")}

    assert {"core/private_names.py": ["copier._main", "copier._template"]} == {
        name: used for name, used in result.items() if used
    }


def test_copier_has_the_names() -> None:
    assert [] == missing(private_names.copier())


@pytest.mark.parametrize("version", ["9.18.0", "10.0.0", "10.1.0a1"])
def test_a_copier_that_rung_does_not_know_is_refused(
    version: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    private_names.copier.cache_clear()

    with pytest.raises(RungError, match=rf"Copier {version} is installed, and Rung needs Copier"):
        tiny.fresh(small, tmp_path / "project")
    assert not (tmp_path / "project").exists()


def test_a_python_without_the_parser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(re, "_parser")

    with pytest.raises(RungError, match=r"has no `re\._parser`.*\nRun Rung with Python"):
        literals.regex_parser()


@pytest.mark.slow
def test_the_newest_copier_renders_the_same(tmp_path: Path) -> None:
    """From the registry, whatever uv.lock says."""
    command = ["uv", "run", "--quiet", "--isolated", "--no-project", "--with-editable", str(ROOT)]
    command += ["--with", "pytest", "--upgrade", "python", "-c", NEWEST, str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False
    )

    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("Copier 9.")
