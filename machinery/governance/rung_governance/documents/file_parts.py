"""Parts of the technical file: heading, source and text, with records written as Markdown."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung_governance.approval.bound_facts import MissingFactError
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
    lines += [f"|{'|'.join(_cell(row.get(name)) for name in names)}|" for row in rows]
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
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(row, Mapping) for row in content)
        and all(
            _plain(value) and len(_text(value)) <= WIDEST for r in content for value in r.values()
        )
    )


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(each, list | Mapping) for each in value)
    return not isinstance(value, Mapping)


def _text(value: Any) -> str:
    if isinstance(value, list):
        texts = [_text(each) for each in value]
        return ("; " if any(" " in text for text in texts) else ", ").join(texts) or "none"
    if value is None:
        return "undefined"
    if isinstance(value, float):
        return four_digits(value)
    return printable(" ".join(str(value).split()))


def _cell(value: Any) -> str:
    return "" if value is None else _text(value).replace("|", r"\|")


def _words(name: Any) -> str:
    """Write a field's name as words; `model.max_iter` is a name of something else, and stays."""
    return f"`{name}`" if "." in str(name) else str(name).replace("_", " ")


PIPELINE = "`uv run poe pipeline` makes it"


@dataclass(frozen=True)
class Part:
    """A part of a section.

    Attributes:
        title: its heading.
        take: makes its text, for a version of the model; raises MissingFactError.
        files: what it is taken from, below the project.
    """

    title: str
    take: Callable[[str], str]
    files: tuple[str, ...] = ()


def document(path: str) -> Callable[[str], str]:
    """Take a Markdown document as it is, below the headings of the technical file."""

    def take(version: str) -> str:
        if not (current().root / path).is_file():
            raise MissingFactError(f"{path} is missing: write it")
        text = documents.FRONT_MATTER.sub("", documents.text_of(current().root / path))
        return demoted(re.sub(r"\A\s*# .*\n", "", text).strip(), 2)

    return take


def record(name: str, *keys: str) -> Callable[[str], str]:
    """Take a YAML record of governance/, or the fields of it that are named."""

    def take(version: str) -> str:
        path = current().root / f"governance/{name}.yaml"
        if not path.is_file():
            raise MissingFactError(f"governance/{name}.yaml is missing: write it")
        fields = documents.record(path)
        chosen = [fields[key] for key in keys if key in fields]
        return "\n\n".join(map(written, chosen)) if keys else written(fields)

    return take


def report(name: str, write: Callable[[Any], str] = model_card.figures) -> Callable[[str], str]:
    """Take a report of the last run, provided that it was the run of this version.

    Args:
        name: of its file.
        write: makes text of its content.
    """

    def take(version: str) -> str:
        _of_this_version(version)
        path = current().reports / name
        if not path.is_file():
            raise MissingFactError(f"{shown(path)} is missing: {PIPELINE}")
        return write(read_json(path))

    return take


def version_here() -> str:
    """Name the version that the reports here are of; empty if nothing has run."""
    run = current().reports / "run.json"
    return str(read_json(run)["version"]) if run.is_file() else ""


def version_of(named: str) -> str:
    """Return the number of the version that a command is about; of the reports here by default.

    Raises:
        registry.NoVersionError: the registry has no such version.
        MissingFactError: there is no version yet.
    """
    here = version_here()
    version = _number(named) if named not in ("", here) else here
    if not version:
        raise MissingFactError("There is no version yet: `uv run poe pipeline` makes the first.")
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
    """Read a report.

    Raises:
        MissingFactError: it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MissingFactError(f"{shown(path)} is not JSON: {PIPELINE} again") from error


def _of_this_version(version: str) -> None:
    run = current().reports / "run.json"
    if not run.is_file():
        raise MissingFactError(f"{shown(run)} is missing: {PIPELINE}")
    made = str(read_json(run).get("version"))
    if made != version:
        raise MissingFactError(
            f"the reports here are those of version {made}, not of {version}: check out its "
            "commit, and `uv run dvc repro --all-pipelines`"
        )
