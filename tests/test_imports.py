"""The modules of Rung and of rung-ops import each other in one direction, inside functions too."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Folder of the source, and one import that is known to be there.
SOURCES = {
    "generator": ("rung.core.climbing.planner", "rung.levels.ladder"),
    "machinery": ("rung_ops.features.point_in_time", "rung_ops.features.sources"),
}


def name_of(path: Path, source: Path) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(text: str, modules: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            below = [f"{node.module}.{one.name}" for one in node.names]
            inner = [name for name in below if name in modules]
            yield from inner
            if len(inner) < len(below):
                yield node.module


def executed(name: str, importer: str) -> Iterator[str]:
    """Give a module, and its packages: each runs before it, but for those that run already."""
    running = set(accumulate(importer.split("."), "{}.{}".format))
    yield from set(accumulate(name.split("."), "{}.{}".format)) - running


def graph_of(source: Path) -> dict[str, set[str]]:
    files = {
        name_of(path, source): path.read_text("utf-8")
        for package in source.glob("rung*")
        for path in package.rglob("*.py")
    }
    return {
        name: {each for result in imported(text, set(files)) for each in executed(result, name)}
        for name, text in files.items()
    }


@pytest.mark.parametrize("source", SOURCES)
def test_no_module_imports_itself_by_way_of_others(source: str) -> None:
    graph = graph_of(ROOT / source)
    importer, known = SOURCES[source]

    assert len(graph) > 50
    assert known in graph[importer]
    TopologicalSorter(graph).prepare()  # it raises CycleError, which names the circle


@pytest.mark.parametrize(
    "late",
    [
        "def late():\n    from rung_ops.a import x\n",
        "def late():\n    import rung_ops.a\n",
        "from rung_ops import a\n",
        "from rung_ops.a.inner import x\n",  # it runs a/__init__.py first
    ],
)
def test_a_circle_is_found(tmp_path: Path, late: str) -> None:
    texts = {"__init__": "", "a/__init__": "from rung_ops.b import y\n", "a/inner": "", "b": late}
    for name, text in texts.items():
        path = tmp_path / f"rung_ops/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    with pytest.raises(CycleError, match=r"rung_ops\.a"):
        TopologicalSorter(graph_of(tmp_path)).prepare()
