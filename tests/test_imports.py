"""The generator's modules import each other in one direction, at the top and inside functions."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.conftest import ROOT

SOURCE = ROOT / "generator"


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(text: str, modules: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module in modules:
            below = [f"{node.module}.{one.name}" for one in node.names]
            inner = [name for name in below if name in modules]
            yield from inner
            if len(inner) < len(below):
                yield node.module


def test_no_module_imports_itself_by_way_of_others() -> None:
    files = {name_of(path): path.read_text("utf-8") for path in SOURCE.rglob("*.py")}
    graph = {name: set(imported(text, set(files))) - {name} for name, text in files.items()}

    assert len(graph) > 150
    assert {"rung.levels"} <= graph["rung.climbing.planner"]
    TopologicalSorter(graph).prepare()  # it raises CycleError, which names the circle
