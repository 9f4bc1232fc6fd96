"""The content of a repository's files as text, Python source or data, read on demand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

from rung.check.review import data_files, documents, python, shell
from rung.check.review.data_files import Node
from rung.check.review.files import Files
from rung.check.review.python import Source
from rung.errors import RungError

SOURCE_CHARACTERS = 16_000_000  # of Python whose parsed sources are cached
MANIFEST_CHARACTERS = 2_000_000  # of manifests whose parsed nodes are cached


@cache  # the same for every repository of a fleet
def load_examples(folder: Path) -> Mapping[str, frozenset[str]]:
    """Return the lines of the example documents of new projects, by lower-case file name.

    They are no evidence until a team has changed them.
    """
    lines: dict[str, set[str]] = {}
    try:
        for file in sorted(folder.glob("*/*.md")):
            if not file.name.startswith("sample_"):  # it describes the sample data truly
                text = file.read_text(encoding="utf-8")
                lines.setdefault(file.name.lower(), set()).update(map(str.strip, text.split("\n")))
    except OSError as error:
        raise RungError(f"{folder} cannot be read: {error}. Reinstall Rung.") from error
    return {name: frozenset(known) for name, known in lines.items()}


class Content:
    """The content of a repository's files; a file that does not parse is None, and counted.

    The lines of example documents do not count.
    """

    def __init__(self, files: Files, examples: Mapping[str, frozenset[str]] | None = None) -> None:
        self.files = files
        self.examples = examples or {}
        self.sources: dict[str, Source] = {}
        self.source_characters = 0
        self.cached_nodes: dict[str, Sequence[Node] | None] = {}
        self.cache_left = MANIFEST_CHARACTERS

    def text(self, path: str, max_bytes: int | None = None) -> str | None:
        """Return a file's text, its lines shortened, or None if it is binary or too large."""
        content = self.files.read(path, max_bytes)
        return None if content is None else self.decoded(content)

    def decoded(self, content: bytes) -> str | None:
        """Decode bytes, with lines shortened; None if they are binary."""
        if b"\0" in content[:4_000]:
            return None
        text = content.decode("utf-8", "replace").replace("\r\n", "\n").removeprefix("\ufeff")
        return python.shortened(text, self.files.limits.line)

    def document(self, path: str) -> str | None:
        """Return a document without the lines of Rung's example, except headings."""
        text = self.text(path)
        known = self.examples.get(path.lower().rpartition("/")[2])
        if not text or not known:
            return text
        return "\n".join(
            "" if line.strip() in known and not line.startswith("#") else line
            for line in text.split("\n")
        )

    def is_untouched(self, path: str) -> bool:
        """Return whether a document contains nothing but Rung's example."""
        text, own = self.text(path), self.document(path)
        prose = "\n".join(line for line in (own or "").split("\n") if not line.startswith("#"))
        return bool(text) and text != own and not documents.has_content(prose)

    def python(self, path: str) -> Source | None:
        """Return the source of a Python file or of a notebook's code cells."""
        if path in self.sources:
            return self.sources[path]
        text = self._cells(path) if path.endswith(".ipynb") else self.text(path)
        if text is None:
            return None
        self.source_characters += len(text)
        if self.source_characters > SOURCE_CHARACTERS:
            self.sources.clear()
            self.source_characters = len(text)
        self.sources[path] = Source(text)
        return self.sources[path]

    def _cells(self, path: str) -> str | None:
        content = self.files.read(path, self.files.limits.notebook)
        if content is None:
            return None
        try:
            cells = json.loads(content).get("cells", [])
            code = ["".join(cell["source"]) for cell in cells if cell.get("cell_type") == "code"]
        except (ValueError, RecursionError, MemoryError, AttributeError, KeyError, TypeError):
            self.files.left_out.note_file("notebooks that do not parse", path)
            return None
        lines = "\n\n".join(code)[: self.files.limits.text]
        return python.shortened(lines, self.files.limits.line)

    def line_in_notebook(self, path: str, line: int) -> int:
        """Return the line in a notebook's file of a line of its code."""
        raw = (self.files.read(path, self.files.limits.notebook) or b"").decode("utf-8", "replace")
        source = self.python(path)
        position = 0
        for code in (source.raw if source else "").split("\n")[:line]:
            for string in (json.dumps(code, ensure_ascii=False), json.dumps(code)):
                at = raw.find(string[1:-1], position)
                if code.strip() and at >= 0:
                    position = at
                    break
        return raw.count("\n", 0, position) + 1

    def data(self, path: str) -> Sequence[Node]:
        """Return the documents of a YAML, TOML or JSON file; none if it does not parse."""
        return self.parsed(path) or []

    def parsed(self, path: str) -> Sequence[Node] | None:
        """Return the documents of such a file; None if it does not parse."""
        text = self.text(path, self.files.limits.data)
        if text is None:
            return []
        if path.endswith((".py", ".sh")):
            return []
        if path.endswith(".md"):
            if not text.startswith("---\n"):
                return []
            text = text[4:].partition("\n---")[0]
        nodes = self._nodes(path, text)
        if nodes is None:
            self.files.left_out.note_file("data files that do not parse", path)
        return nodes

    def documents(self, *globs: str) -> Iterator[tuple[str, Node]]:
        """Yield the documents of the data files that match one of the globs, with their paths."""
        for path in self.files.find(*globs):
            for document in self.data(path):
                yield path, document

    def _nodes(self, path: str, text: str) -> Sequence[Node] | None:
        """Return the documents of a text; those of manifests are cached."""
        if path in self.cached_nodes:
            return self.cached_nodes[path]
        try:
            parsed = data_files.read(path, text)
            nodes: Sequence[Node] | None = list(
                filter(None, (_live(path, node) for node in parsed))
            )
        except data_files.UnreadableError:
            nodes = None
        if len(text) <= self.cache_left and path in self.manifests:
            self.cache_left -= len(text)
            self.cached_nodes[path] = nodes
        return nodes

    @cached_property
    def manifests(self) -> dict[str, None]:
        """The YAML files among the roots, which are read twice: for keys, then for commands."""
        paths = self.files.find(*self.files.reading.roots)
        yaml = (path for path in paths if path.endswith((".yml", ".yaml")))
        return dict.fromkeys(path for path in yaml if not path.endswith("dvc.yaml"))


def _live(path: str, document: Node) -> Node | None:
    """Return a document without what never runs by itself; None if nothing else is in it.

    That are suspended resources of Kubernetes, stages of DVC that are frozen or run nothing, and
    hooks of pre-commit that only a person starts.
    """
    if document.get("spec", "suspend").value == "true":
        return None
    stages = document.get("stages")
    if stages and path.endswith("dvc.yaml"):
        stages.remove(lambda _, stage: _is_idle(stage))
        stages.entries = [(name, _body(stage)) for name, stage in stages.entries]
        if not stages.entries:
            document.remove(lambda _, node: node is stages)
    default = document.get("default_stages")
    for _, repo in document.get("repos").entries if ".pre-commit-config.y" in path else []:
        repo.get("hooks").remove(
            lambda _, hook: (hook.get("stages") or default or hook).texts() == ["manual"]
        )
    return document


def _body(stage: Node) -> Node:
    """Return the node with the keys of a stage of DVC; with `foreach` or `matrix` it is below `do`."""
    return stage.get("do") or stage


def _is_idle(stage: Node) -> bool:
    """Return whether a stage of DVC is frozen, or runs nothing, for example only prints."""
    texts = _body(stage).get("cmd").texts()
    runs = not texts or any(shell.executed(text) or ">" in text for text in texts)
    return not runs or "true" in (stage.get("frozen").value, _body(stage).get("frozen").value)
