"""The example's texts of a new project, which are not evidence until they are changed."""

from collections.abc import Mapping
from pathlib import Path

from rung.errors import RungError


def load(folder: Path) -> Mapping[str, frozenset[str]]:
    """Return the lines of each document of the examples, by its name in lower case."""
    lines: dict[str, set[str]] = {}
    try:
        for file in sorted(folder.glob("*/*.md")):
            if not file.name.startswith("sample_"):  # it describes the sample, which is there
                text = file.read_text(encoding="utf-8")
                lines.setdefault(file.name.lower(), set()).update(map(str.strip, text.split("\n")))
    except OSError as error:
        raise RungError(f"{folder} cannot be read: {error}. Reinstall Rung.") from error
    return {name: frozenset(known) for name, known in lines.items()}


def without(text: str, known: frozenset[str]) -> str:
    """Return a document without the lines of an example, headings aside."""
    return "\n".join(
        "" if line.strip() in known and not line.startswith("#") else line
        for line in text.split("\n")
    )
