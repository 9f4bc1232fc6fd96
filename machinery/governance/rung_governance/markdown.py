"""Write records, as YAML and JSON hold them, as Markdown that people read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rung_ops.system.printable import four_digits, printable

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
