"""Read what people write down: YAML records, and Markdown with headings and front matter."""

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from rung_ops.errors import UnreadableFileError

HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
NOT_PROSE = re.compile(r"<!--.*?-->|^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
# What was said once: a line, or a field of a record, that names the section of another document.
REFERENCE = re.compile(r"^See (?P<file>[\w./-]+\.md), (?P<title>.+)\.$", re.MULTILINE)
FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---(?:\n|\Z)", re.DOTALL)


class _Loader(yaml.SafeLoader):
    """Loads dates as the text that is there: JSON Schema knows no dates.

    It refuses what would decide nothing: a number that is none, and all but the last of two entries
    with one key.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked = set[yaml.Node]()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse a key that is written twice, before `<<` brings those of another mapping."""
        keys: list[Any] = []
        # A mapping that another one brings in comes twice, and the second time with what it brought.
        for key_node, _ in [] if node in self._checked else node.value:
            if key_node.tag != "tag:yaml.org,2002:merge":
                key = self.construct_object(key_node, deep=True)
                if key in keys:
                    raise _not_used(f"`{key_node.value}` is written twice", key_node)
                keys.append(key)
        self._checked.add(node)
        super().flatten_mapping(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """Read a number; refuse `.nan` and `.inf`."""
        value: float = super().construct_yaml_float(node)
        if not math.isfinite(value):
            raise _not_used(f"`{node.value}` is no finite number", node)
        return value


def _not_used(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)

_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def text_of(path: Path) -> str:
    """Read a document in UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"is not UTF-8 from byte {error.start}. Save it as UTF-8"
        ) from error


def record(path: Path) -> dict[str, Any]:
    """Read a record: a YAML file, or Markdown whose front matter and sections are its fields."""
    text = text_of(path)
    if path.suffix != ".md":
        return _mapping(text)
    front = FRONT_MATTER.match(text)
    written = {_field(title): body for title, body in sections(text).items() if body}
    return written | (_mapping(front[1]) if front else {})


def repeated(path: Path) -> list[str]:
    """Name the fields of a record in Markdown that are written twice: sections and front matter."""
    if path.suffix != ".md":
        return []
    text = text_of(path)
    front = FRONT_MATTER.match(text)
    written = Counter(_field(heading[2]) for heading in HEADING.finditer(prose(text)))
    written.update(_mapping(front[1]).keys() if front else ())
    return [name for name, times in written.items() if times > 1]


def prose(text: str) -> str:
    """Blank out front matter, comments and code of Markdown; every line keeps its number."""
    for pattern in (FRONT_MATTER, NOT_PROSE):
        text = pattern.sub(lambda match: "\n" * match[0].count("\n"), text)
    return text


def sections(text: str) -> dict[str, str]:
    """Cut Markdown into its sections: heading to the prose below it, subsections included."""
    body = prose(text)
    headings = list(HEADING.finditer(body))
    sections = {}
    for index, heading in enumerate(headings):
        outer = (h for h in headings[index + 1 :] if len(h[1]) <= len(heading[1]))
        end = next((h.start() for h in outer), len(body))
        sections[heading[2]] = HEADING.sub("", body[heading.end() : end]).strip()
    return sections


def resolved(text: str, root: Path) -> str:
    """Replace references in a text by the sections they name; unknown ones stay."""
    return REFERENCE.sub(lambda match: _section(match, root) or match[0], text)


def broken_references(text: str, root: Path) -> list[str]:
    """List the references of a text to sections that are not there, or empty."""
    return [match[0] for match in REFERENCE.finditer(text) if not _section(match, root)]


def _section(reference: re.Match[str], root: Path) -> str:
    path = root / reference["file"]
    if not path.resolve().is_relative_to(root.resolve()) or not path.is_file():
        return ""
    return sections(text_of(path)).get(reference["title"], "")


def _field(title: str) -> str:
    return re.sub(r"\W+", "_", title.lower()).strip("_")


def _mapping(text: str) -> dict[str, Any]:
    try:
        loaded = yaml.load(text, Loader=_Loader)  # a SafeLoader: builds no objects
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        what = getattr(error, "problem", error)
        is_read = isinstance(error, yaml.constructor.ConstructorError)
        fault = "cannot be used" if is_read else "is not YAML"
        raise UnreadableFileError(f"{fault}{where}: {what}. Fix it") from error
    if not isinstance(loaded, dict):
        raise UnreadableFileError("holds no fields. Write `field: value` lines")
    return loaded
