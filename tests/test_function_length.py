"""A function of Rung and of rung-ops can be read on one screen."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

LONGEST = 60  # lines
# A verb's options are in its signature, where Typer reads them: only the body of one counts.
VERBS = ROOT / "generator/rung/commands"


def lengths(path: Path) -> Iterator[tuple[str, int]]:
    """Give the functions of a module, and how many lines each has."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0].lineno if path.parent == VERBS else node.lineno
            yield node.name, (node.end_lineno or first) + 1 - first


@pytest.mark.parametrize("source", ["generator", "machinery/rung_ops"])
def test_every_function_fits_a_screen(source: str) -> None:
    paths = list((ROOT / source).rglob("*.py"))
    found = [(path.relative_to(ROOT).as_posix(), *each) for path in paths for each in lengths(path)]

    assert len(found) > 500
    assert [each for each in found if each[2] > LONGEST] == []


def test_a_long_function_is_found_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("class One:\n    async def long(\n        self,\n    ):\n" + "        1\n" * 58)

    assert list(lengths(path)) == [("long", LONGEST + 1)]


def test_of_a_verb_the_signature_does_not_count() -> None:
    path = VERBS / "assess.py"
    after_signature = path.read_text("utf-8").partition(") -> int:\n")[2]

    assert dict(lengths(path))["assess"] < after_signature.count("\n")
