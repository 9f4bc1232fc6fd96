"""Texts are read and written as UTF-8 on every system: Windows would take another encoding."""

import ast
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

FOLDERS = ("generator/rung", "machinery/rung_ops", "templates")
# The position of the encoding among the arguments; None: it is not positional.
POSITION = {"read_text": 0, "write_text": 1}
BY_NAME = {"run", "Popen", "check_output"}


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {each.arg: each.value for each in call.keywords if each.arg}


def mode(call: ast.Call, position: int) -> str | None:
    """Return the mode of a call of open, or None if it is not written out."""
    given = keywords(call).get("mode")
    if given is None:
        given = call.args[position] if len(call.args) > position else ast.Constant("r")
    return str(given.value) if isinstance(given, ast.Constant) else None


def lacks_encoding(call: ast.Call) -> bool:
    """Say whether a call reads or writes text, and leaves the encoding to the system."""
    named = keywords(call)
    if "encoding" in named or None in {each.arg for each in call.keywords}:
        return False
    if isinstance(call.func, ast.Name):
        return call.func.id == "open" and "b" not in (mode(call, 1) or "b")
    if not isinstance(call.func, ast.Attribute):
        return False
    name = call.func.attr
    if name in POSITION:
        return len(call.args) <= POSITION[name]
    if name in BY_NAME:
        return bool({"text", "universal_newlines"} & named.keys())
    if name == "open":
        of = call.func.value
        module = of.id if isinstance(of, ast.Name) else ""
        text = mode(call, 0) in ("r", "w", "a", "x", "r+", "rt", "wt", "at", "xt")
        return module not in ("os", "tarfile", "zipfile", "urllib") and text
    return name == "NamedTemporaryFile" and "mode" in named and "b" not in (mode(call, 0) or "b")


def left_to_the_system(text: str) -> Iterator[int]:
    """Give the lines of such calls."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and lacks_encoding(node):
            yield node.lineno


def test_every_text_has_its_encoding() -> None:
    result = [
        f"{path.relative_to(ROOT)}:{line}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in left_to_the_system(path.read_text("utf-8"))
    ]

    assert [] == result


@pytest.mark.parametrize(
    "code",
    [
        "open('x')",
        "open('x', 'w')",
        "path.read_text()",
        "path.write_text(text)",
        "path.open()",
        "path.open('a')",
        "subprocess.run(words, text=True)",
    ],
)
def test_one_that_lacks_it_is_found(code: str) -> None:
    assert [1] == list(left_to_the_system(code))


@pytest.mark.parametrize(
    "code",
    [
        "open('x', 'rb')",
        "open('x', encoding='utf-8')",
        "path.read_text('utf-8')",
        "path.write_text(text, encoding='utf-8')",
        "path.open('wb')",
        "subprocess.run(words)",
        "os.open(path, flags)",
    ],
)
def test_one_that_has_it_is_not(code: str) -> None:
    assert [] == list(left_to_the_system(code))
