"""Rung uses other packages as they are: nothing of them is replaced, and no private name is used."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "generator/rung"
PRIVATE = re.compile(r"_(?!_)\w*\Z")
# What its package says may be set.
SETTINGS = {"os.environ", "sys.stdout", "tempfile.tempdir"}


def bound_from_elsewhere(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Give each name that a module imports from another package, with what it names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(one.asname or one.name.split(".")[0], one.name) for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(one.asname or one.name, f"{node.module}.{one.name}") for one in node.names]
        else:
            continue
        yield from (pair for pair in names if pair[1].split(".")[0] != "rung")


def defined(tree: ast.Module) -> Iterator[str]:
    """Give each name that a module defines: of functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


def foreign(tree: ast.Module, own: set[str]) -> Iterator[str]:
    """Give what a module uses or changes of another package and must not."""
    elsewhere = dict(bound_from_elsewhere(tree))
    for name in elsewhere.values():
        if name == "sys.modules" or any(PRIVATE.match(part) for part in name.split(".")):
            yield name
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if PRIVATE.match(name) and name not in own:
                yield name
            case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
                yield "sys.modules"
            case ast.Attribute(value=owner, attr=name, ctx=ast.Store() | ast.Del()):
                first = ast.unparse(owner).split(".")[0]
                if first in elsewhere and f"{ast.unparse(owner)}.{name}" not in SETTINGS:
                    yield f"{ast.unparse(owner)}.{name}"
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ) if PRIVATE.match(name):
                yield name
            case ast.Call(func=ast.Name(id="setattr" | "delattr")):
                yield ast.unparse(node)
            case ast.Subscript(
                value=ast.Call(func=ast.Name(id="vars")), ctx=ast.Store() | ast.Del()
            ):
                yield ast.unparse(node)


def test_nothing_of_another_package_is_private_or_replaced() -> None:
    trees = {path: ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}
    own = {name for tree in trees.values() for name in defined(tree)}
    result = {
        path.relative_to(SOURCE).as_posix(): list(foreign(tree, own))
        for path, tree in trees.items()
    }

    assert {name: used for name, used in result.items() if used} == {}


@pytest.mark.parametrize(
    "text, used",
    [
        ("import copier._main\n", "copier._main"),
        ("def late():\n    from copier import _main\n", "copier._main"),
        ("from copier._vcs import clone\n", "copier._vcs.clone"),
        ("import copier\ncopier.run_copy._code\n", "_code"),
        ("import re\ngetattr(re, '_parser', None)\n", "_parser"),
        ("import yaml\nyaml.SafeLoader = None\n", "yaml.SafeLoader"),
        ("from jinja2 import Environment\nEnvironment.compile = None\n", "Environment.compile"),
        ("from jinja2 import Environment\nsetattr(Environment, 'compile', 1)\n", "setattr"),
        ("import copier\nvars(copier)['run_copy'] = None\n", "vars"),
        ("import sys\nsys.modules['questionary'] = object()\n", "sys.modules"),
        ("from sys import modules\n", "sys.modules"),
    ],
)
def test_a_private_name_or_a_replacement_is_noticed(text: str, used: str) -> None:
    assert any(name.startswith(used) for name in foreign(ast.parse(text), {"_own"}))


def test_what_is_public_or_rungs_own_is_left_alone() -> None:
    text = "import tempfile\nfrom rung import a\na._own\na.x = 1\ntempfile.tempdir = 'x'\n"

    assert [] == list(foreign(ast.parse(text), {"_own"}))
