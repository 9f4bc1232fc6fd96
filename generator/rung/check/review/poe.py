"""The tasks of poethepoet, and what each runs."""

from collections.abc import Iterator

from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.makefiles import LocatedCommand


def tasks(content: Content) -> dict[str, list[tuple[str, Node]]]:
    """Return each task of poe by its name, with the file it is in."""
    tasks: dict[str, list[tuple[str, Node]]] = {}
    for file in content.files.find("**/pyproject.toml", "**/*tasks*.toml", "**/poe*.toml"):
        for document in content.data(file):
            table = document.get("tool", "poe", "tasks")
            for name, node in table.entries if table else []:
                tasks.setdefault(str(name), []).append((file, node))
    return tasks


def commands(node: Node, file: str) -> Iterator[LocatedCommand]:
    """Give the commands of a task of poe."""
    if node.value is not None:
        yield f"{node.value}", file, node.line
        return
    for key, below in node.entries:
        if key in ("cmd", "shell", "script", "expr", "interpreter") and below.value:
            yield below.value, file, below.line
        elif key == "ref" and below.value:
            yield f"poe {below.value}", file, below.line
        elif key in ("sequence", "parallel", "deps", None):
            parts = [below] if key is None else [each for _, each in below.entries]
            for part in parts:
                if part.value is not None:
                    yield f"poe {part.value}", file, part.line
                else:
                    yield from commands(part, file)
