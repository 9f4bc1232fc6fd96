"""Rules for Rung's code that no linter has; Ruff looks at files (PLW1514) and attributes (SLF)."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT


def left_to_the_system(text: str) -> list[int]:
    """Return the lines of calls that read a program's output as text of the system's encoding."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    named = {call: {each.arg for each in call.keywords} for call in calls}
    started = [call for call in calls if ast.unparse(call.func).startswith("subprocess.")]
    return [
        call.lineno for call in started if "text" in named[call] and "encoding" not in named[call]
    ]


def test_output_of_programs_has_its_encoding() -> None:
    paths = [
        path
        for folder in ("generator/rung", "machinery/rung_ops", "templates")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    wrong = {path: left_to_the_system(path.read_text("utf-8")) for path in paths}

    assert [1] == left_to_the_system("subprocess.run(words, text=True)")
    assert {} == {path: lines for path, lines in wrong.items() if lines}


# What their documentation says may be set: the system's, of `tempfile`, and plumbum's.
MAY_BE_SET = ("os.environ", "sys.stdout", "tempfile.tempdir", "local.env")


def reaches_into_others(text: str) -> Iterator[int]:
    """Give the lines that import a private name, or change a module or a class of another library."""
    nodes: list[Any] = list(ast.walk(ast.parse(text)))
    imported: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            imported |= {name.asname or name.name.partition(".")[0] for name in node.names}
            words = ".".join([module, *(name.name for name in node.names)]).split(".")
            if "mock" in words or (module != "__future__" and any(w[:1] == "_" for w in words)):
                yield node.lineno
    for node in nodes:
        target: ast.AST | None = None
        if isinstance(node, ast.Attribute | ast.Subscript):
            target = None if isinstance(node.ctx, ast.Load) else node
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "delattr")):
            target = node.args[0]
        changed = ast.unparse(target) if target else ""
        root = re.split(r"[.[]", changed)[0]
        if (root in imported and not changed.startswith(MAY_BE_SET)) or (
            isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.modules"
        ):
            yield node.lineno


@pytest.mark.parametrize(
    "line",
    [
        "from copier._main import Worker",
        "from copier import _main",
        "import copier; copier.Worker = None",
        "import copier; setattr(copier.Worker, name, None)",
        "import sys; sys.modules['copier'] = fake",
        "from unittest import mock",
    ],
)
def test_a_reach_into_another_library_is_seen(line: str) -> None:
    assert [1] == sorted(set(reaches_into_others(line)))


def test_no_module_of_the_generator_changes_another_library() -> None:
    paths = sorted((ROOT / "generator").rglob("*.py"))
    wrong = {path: [*reaches_into_others(path.read_text("utf-8"))] for path in paths}

    assert {} == {path: lines for path, lines in wrong.items() if lines}
