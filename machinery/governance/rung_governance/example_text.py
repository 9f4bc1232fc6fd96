"""Text in a project's documents that no person has written: of the example, or not written yet.

A sentence, or the cell of a table, is known by the hash of its words. A part (a field of a record, or
the text below one heading) is the example's if more of its words are in such sentences than in others.
"""

import hashlib
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rung_governance.record_check import ANSWER, SCHEMAS, read_schema
from rung_ops.errors import UnreadableFileError
from rung_ops.project import documents

# Made by `make docs` from the templates: which sentences are the example's.
HASHES = Path(__file__).parent / "example_text.txt"
SAMPLE = "data/sample/README.md"
PRIVACY = "docs/privacy.md"
COLUMN = re.compile(r"`\w+`")
FILES = (
    *(f"docs/{name}.md" for name in ("use_case", "model_card", "datasheet", "privacy")),
    *(f"docs/{name}.md" for name in ("runbook", "on_call", "raci")),
    *(f"governance/{name}.yaml" for name in ("model_inventory", "risk_register", "retention")),
    *(f"governance/{name}_plan.yaml" for name in ("change_control", "monitoring")),
    "governance/oversight.md",
    "governance/technical_file/annex_iv.md",
    SAMPLE,
)
HEADING_ROW = re.compile(
    r"^\|.*\n(?=\|[-:| ]+$)", re.MULTILINE
)  # it stays, whatever the table says
END = re.compile(r"[.?!:;](?=\s)|\||\n\s*\n|\n\s*[-*] ")
NOT_WRITTEN = re.compile(r"\bNot written yet\b")
LEAST_WORDS = 4  # shorter sentences say the same of many models, so they count for neither side
EXAMPLE = "still the text of the example"
QUOTED, WIDTH = 3, 70  # sentences that are quoted, and their characters


@dataclass(frozen=True)
class TextPart:
    """A part of a document."""

    file: str  # below the model's folder
    line: int  # of its first word
    place: str  # its field, or its heading
    start: int  # of its text in the file, in characters
    end: int  # behind its text
    text: str  # as a reader reads it


class Sentence(NamedTuple):
    """A sentence or a cell."""

    text: str
    words: int


def untouched(root: Path) -> list[TextPart]:
    """List the parts that no person has written: those of the example, and those not written yet."""
    parts = (part for name in FILES if (root / name).is_file() for part in parts_of(root, name))
    return [part for part in parts if _fault(part, root)]


def _fault(part: TextPart, root: Path) -> str:
    """Say why a part is still to be written; empty if a person has written it."""
    if NOT_WRITTEN.search(part.text):
        return "not written yet"
    if lost := _lost_samples(part, root):
        return _of_example(lost)
    if documents.REFERENCE.fullmatch(part.text.strip()):
        return ""  # what it names is checked in its own place
    if f"`{part.text.strip()}`" in _instruction(part, root):
        return ""  # an answer that the schema proposes, though the example begins with it, too
    sentences, known = sentences_of(part.text), _hashes()
    own = sum(each.words for digest, each in sentences.items() if digest not in known)
    of_example = [
        s for digest, s in sentences.items() if digest in known and s.words >= LEAST_WORDS
    ]
    if sum(each.words for each in of_example) <= own:
        return ""
    return _of_example([each.text for each in of_example] if own else [])


def _of_example(sentences: list[str]) -> str:
    quotes = [f'"{textwrap.shorten(each, WIDTH, placeholder=" ...")}"' for each in sentences]
    more = [f"{len(quotes) - QUOTED} more"] if len(quotes) > QUOTED else []
    return ": ".join(filter(None, [EXAMPLE, ", ".join([*quotes[:QUOTED], *more])]))


def names_lost_sample(part: TextPart, root: Path) -> bool:
    """Tell whether a part refers to what the sample's page said before other rows replaced it."""
    return bool(_lost_samples(part, root))


def _lost_samples(part: TextPart, root: Path) -> list[str]:
    broken = documents.broken_references(part.text, root)
    return [each for each in broken if each.startswith(f"See {SAMPLE}, ")]


def objections(root: Path) -> list[str]:
    """Say by file what is to be written, a line for the places that ask for the same.

    Of a place that has words of its own, those of the example are quoted.
    """
    places: dict[str, dict[str, list[str]]] = {}
    for part in untouched(root):
        line = f"{_fault(part, root)}. {_instruction(part, root)}"
        of_file = places.setdefault(part.file, {})
        of_file.setdefault(line, []).append(f"line {part.line}, {part.place}")
    return [
        "\n".join([f"{file}:", *(f"  {'; '.join(where)}: {line}" for line, where in lines.items())])
        for file, lines in places.items()
    ]


def rewrite(root: Path, words: str) -> None:
    """Replace each of these parts by other words, as a replay does in its copy."""
    for part in reversed(untouched(root)):
        path = root / part.file
        text = documents.text_of(path)
        end = "\n" if text[part.start : part.end].endswith("\n") else ""
        if part.place[0] == "`":
            new = f'"{words}"'
        else:  # columns stay named, as `poe records` asks for those about a person
            new = " ".join([words, *COLUMN.findall(part.text if part.file == PRIVACY else "")])
        path.write_text(text[: part.start] + new + end + text[part.end :], encoding="utf-8")


def parts_of(root: Path, name: str) -> list[TextPart]:
    """Cut a document into its parts; none of one that cannot be read, which `poe records` says."""
    try:
        text = documents.text_of(root / name)
        if name.endswith(".md"):
            front = documents.FRONT_MATTER.match(text)
            fields = _fields(name, front[1], front.start(1)) if front else ()
            return [*fields, *_sections(name, text)]
        return list(_fields(name, text, 0))
    except (UnreadableFileError, yaml.YAMLError):
        return []


def sentences_of(text: str) -> dict[str, Sentence]:
    """Cut a text into its sentences, by the hash of their words."""
    sentences = {}
    for each in END.split(HEADING_ROW.sub("", text)):
        if words := re.findall(r"\w+", each.casefold()):
            digest = hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
            sentences[digest] = Sentence(each.strip(), len(words))
    return sentences


@cache
def _hashes() -> frozenset[str]:
    return frozenset(HASHES.read_text(encoding="ascii").split())


def _sections(name: str, text: str) -> Iterator[TextPart]:
    body = documents.prose(text)
    # Blanked lines are shorter, so places are counted in the lines of the whole text.
    starts = [0, *(match.end() for match in re.finditer("\n", text)), len(text)]
    titled = [(at, documents.HEADING.match(line)) for at, line in enumerate(body.splitlines())]
    headings = [(at, match[2]) for at, match in titled if match]
    ends = [at for at, _ in headings[1:]] + [len(body.splitlines())]
    for (at, title), below in zip(headings, ends, strict=True):
        section = text[starts[at + 1] : starts[below]]
        if prose := section.strip():
            start = starts[at + 1] + section.index(prose)
            line = text.count("\n", 0, start) + 1
            yield TextPart(name, line, f'"{title}"', start, start + len(prose), prose)


def _fields(name: str, text: str, offset: int) -> Iterator[TextPart]:
    before = 1 if offset else 0  # the line that opens front matter
    for field, node in _leaves(yaml.compose(text, Loader=yaml.SafeLoader), ""):
        start, end = node.start_mark, node.end_mark
        yield TextPart(
            *(name, start.line + 1 + before, f"`{field}`"),
            *(start.index + offset, end.index + offset, str(node.value)),
        )


def _leaves(node: Any, field: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _leaves(value, f"{field}.{key.value}".strip("."))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _leaves(value, f"{field}[{number}]")
    elif isinstance(node, yaml.ScalarNode):
        yield field, node


def _instruction(part: TextPart, root: Path) -> str:
    """Take what a field has to say from its schema."""
    name = Path(part.file).parts[1].removesuffix(".yaml").removesuffix(".md")
    if part.place[0] != "`" or not (SCHEMAS / f"{name}.json").is_file():
        return ANSWER
    schema = read_schema(name, root)
    at = schema
    for step in re.findall(r"\w+|\[", part.place):
        at = at.get("items", {}) if step == "[" else at.get("properties", {}).get(step, at)
        if "$ref" in at:
            at = schema["$defs"][at["$ref"].rpartition("/")[2]] | at
    return str(at.get("description", ANSWER))
