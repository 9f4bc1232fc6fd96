"""Parts of the technical file: heading, source and text, with records written as Markdown."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung_ops.errors import VersionError
from rung_ops.project import current, documents
from rung_ops.project.paths import shown
from rung_ops.system.printable import four_digits, printable
from rung_ops.training import model_card

WIDEST = 120  # characters of a cell; longer texts are better read in a list


def written(content: Any) -> str:
    """Write a record: mappings as lists, equal rows of short values as a table, or a line each."""
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    return "\n".join(_lines(content)).strip("\n")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as a table; a value that a row lacks leaves its cell empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"|{'|'.join(_words(name) for name in names)}|", f"|{'|'.join('-' for _ in names)}|"]
    for row in rows:
        cells = ("" if row.get(n) is None else _text(row[n]).replace("|", r"\|") for n in names)
        lines.append(f"|{'|'.join(cells)}|")
    return "\n".join(lines)


def demoted(text: str, by: int) -> str:
    """Move the headings of a document further down, so that it fits inside another."""
    code = False
    lines = []
    for line in text.splitlines():
        code ^= line.startswith("```")
        lines.append(f"{'#' * by}{line}" if line.startswith("#") and not code else line)
    return "\n".join(lines)


def _lines(content: Any, depth: int = 0) -> Iterator[str]:
    indent = "  " * depth
    if isinstance(content, Mapping):
        for name, value in content.items():
            if _plain(value):
                yield f"{indent}- {_words(name)}: {_text(value)}"
            else:
                yield f"{indent}- {_words(name)}:"
                yield from _lines(value, depth + 1)
    elif depth == 0 and _tabular(content):
        yield table(content)
    elif isinstance(content, list):
        for number, value in enumerate(content, start=1):
            if _plain(value):
                yield f"{indent}- {_text(value)}"
            elif depth == 0:
                yield from (f"{number}.", *_lines(value, 1), "")
            elif _tabular(content):
                named = (f"{_words(name)}: {_text(each)}" for name, each in value.items())
                yield f"{indent}- {'; '.join(named)}"
            else:
                yield f"{indent}- {number}:"
                yield from _lines(value, depth + 1)
    else:
        yield f"{indent}{_text(content)}"


def _tabular(content: Any) -> bool:
    if not isinstance(content, list) or not all(isinstance(row, Mapping) for row in content):
        return False
    values = [value for row in content for value in row.values()]
    return bool(content) and all(_plain(each) and len(_text(each)) <= WIDEST for each in values)


def _plain(value: Any) -> bool:
    inner = value if isinstance(value, list) else []
    return not isinstance(value, Mapping) and not any(isinstance(v, list | Mapping) for v in inner)


def _text(value: Any) -> str:
    if isinstance(value, list):
        texts = [_text(each) for each in value]
        return ("; " if any(" " in text for text in texts) else ", ").join(texts) or "none"
    if value is None:
        return "undefined"
    if isinstance(value, float):
        return four_digits(value)
    return printable(" ".join(str(value).split()))


def _words(name: Any) -> str:
    """Write a field's name as words; `model.max_iter` is a name of something else, and stays."""
    return f"`{name}`" if "." in str(name) else str(name).replace("_", " ")


PIPELINE = "`uv run poe pipeline` makes it"


@dataclass(frozen=True)
class SectionPart:
    """A part of a section."""

    title: str  # its heading
    take: Callable[[str], str]  # makes its text, for a version; raises VersionError
    file: str = ""  # what it is taken from, below the project, if it is a file


def document(title: str, file: str) -> SectionPart:
    """Take a Markdown document as it is, below the headings of the technical file."""

    def take(version: str) -> str:
        if not (current().root / file).is_file():
            raise VersionError(f"{file} is missing: write it")
        text = documents.FRONT_MATTER.sub("", documents.text_of(current().root / file))
        return demoted(re.sub(r"\A\s*# .*\n", "", text).strip(), 2)

    return SectionPart(title, take, file)


def record(title: str, name: str, *keys: str) -> SectionPart:
    """Take the fields of a YAML record of governance/ that are named."""
    file = f"governance/{name}.yaml"

    def take(version: str) -> str:
        if not (current().root / file).is_file():
            raise VersionError(f"{file} is missing: write it")
        fields = documents.record(current().root / file)
        return "\n\n".join(written(fields[key]) for key in keys if key in fields)

    return SectionPart(title, take, file)


def report(title: str, name: str, write: Callable[[Any], str] = model_card.figures) -> SectionPart:
    """Take a report of the last run, provided that it was the run of this version."""

    def take(version: str) -> str:
        made = str(read_json(current().reports / "run.json").get("version"))
        if made != version:
            raise VersionError(
                f"the reports here are those of version {made}, not of {version}: check out its "
                "commit, and `uv run dvc repro --all-pipelines`"
            )
        return write(read_json(current().reports / name))

    return SectionPart(title, take, f"reports/{name}")


def version_of(named: str) -> str:
    """Return the number of the version that a command is about; of the reports here by default.

    Raises:
        registry.NoVersionError: the registry has no such version.
        VersionError: there is no version yet.
    """
    run = current().reports / "run.json"
    here = str(read_json(run)["version"]) if run.is_file() else ""
    version = here if named in ("", here) else _number(named)
    if not version:
        raise VersionError("There is no version yet: `uv run poe pipeline` makes the first.")
    return version


def _number(named: str) -> str:
    """Return the number of a version of the registry; the requested one, if that is down."""
    from rung_ops.tracking import registry  # brings MLflow, which takes seconds

    try:
        return str(registry.version(named).version)
    except registry.NoVersionError:
        raise
    except registry.MlflowException:
        return named


def read_json(path: Path) -> Any:
    """Read a report; raise VersionError if it is missing or damaged."""
    if not path.is_file():
        raise VersionError(f"{shown(path)} is missing: {PIPELINE}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise VersionError(f"{shown(path)} is not JSON: {PIPELINE} again") from error
