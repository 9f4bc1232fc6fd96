"""Assemble the technical file of a version: `uv run poe technical-file [VERSION]`.

The prose is in governance/technical_file; below each of its sections comes what the repository
holds. What is missing is named, and the command fails.
"""

import hashlib
import sys
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rung_governance import markdown
from rung_governance.file_parts import Missing, Part, asked_version
from rung_governance.file_sections import SECTIONS
from rung_governance.record_check import check_record, read_schema
from rung_ops.project import current, documents
from rung_ops.project.paths import project_name, shown


def prose_file() -> Path:
    """Return the path of the document that the team writes."""
    return current().root / "governance/technical_file/annex_iv.md"


def output_file() -> Path:
    """Return the path of the assembled technical file."""
    return current().reports / "technical_file.md"


SCHEMA = "technical_file"
LAW = Path(__file__).with_name("law.toml")  # where the document does not say


@dataclass(frozen=True)
class Assembled:
    """A technical file.

    Attributes:
        text: Markdown.
        missing: what it lacks, each with its section.
    """

    text: str
    missing: list[str]


def assemble(version: str, today: date) -> Assembled:
    """Put the technical file together.

    Args:
        version: of the model, as the registry numbers it.
        today: the day that it is dated with.
    """
    missing = _faults()
    prose = documents.text_of(prose_file()) if prose_file().is_file() else ""
    front = documents.record(prose_file()) if prose_file().is_file() and not missing else {}
    sections = documents.sections(prose)
    body: list[str] = []
    for number, parts in SECTIONS.items():
        title = next((each for each in sections if each.startswith(f"{number}. ")), "")
        body += [f"## {title or f'{number}.'}", "", sections.get(title, "")]
        for part in parts:
            text, lacks = _taken(part, version)
            missing += [f"section {number}, {part.title}: {lacks}"] if lacks else []
            body += ["", f"### {part.title}", "", *_sources(part), text or f"**Missing:** {lacks}."]
        body.append("")
    head = [
        f"# Technical file of {project_name()}, version {version}",
        "",
        f"Assembled on {today} from the repository (EU AI Act, Article 11 and Annex IV).",
        "",
        f"Provider: {str(front.get('provider', 'not stated')).rstrip('.')}.",
        "",
        *_law(front.get("law") or tomllib.loads(LAW.read_text("utf-8"))["law"], today),
        *_completeness(missing),
    ]
    return Assembled("\n".join([*head, *body]).rstrip() + "\n", missing)


def _completeness(missing: list[str]) -> list[str]:
    if not missing:
        return ["Nothing that this file has to rest on is missing.", ""]
    return ["**This file is not complete:**", "", *(f"- {each}" for each in missing), ""]


def _faults() -> list[str]:
    if not prose_file().is_file():
        return [f"{shown(prose_file())}: is missing: write the nine sections"]
    return [
        str(each)
        for each in check_record(prose_file(), read_schema(SCHEMA, current().root), current().root)
    ]


def _taken(part: Part, version: str) -> tuple[str, str]:
    """Take a part's text, or say why there is none."""
    try:
        text = part.take(version)
    except (Missing, documents.UnreadableDocumentError) as error:
        return "", str(error)
    return text, "" if text.strip() else "there is nothing in it"


def _sources(part: Part) -> list[str]:
    # What models share is at the top: the packages and their lock.
    there = [
        (
            name,
            next(
                path
                for path in (current().root / name, current().repository / name)
                if path.is_file()
            ),
        )
        for name in part.files
        if (current().root / name).is_file() or (current().repository / name).is_file()
    ]
    hashed = [
        f"`{name}` (SHA-256 `{hashlib.sha256(path.read_bytes()).hexdigest()}`)"
        for name, path in there
    ]
    return [f"From {', '.join(hashed)}:", ""] if hashed else []


def _law(duties: list[dict[str, Any]], today: date) -> list[str]:
    rows = [
        {
            "duty": duty["duty"],
            "applies from": duty["applies_from"],
            "in force": "yes" if duty["applies_from"] <= today.isoformat() else "not yet",
            "note": duty.get("note"),
        }
        for duty in duties
    ]
    return [markdown.table(rows), ""] if rows else []


def main(arguments: list[str] | None = None) -> int:
    """Write reports/technical_file.md; return 1 when something is missing in it."""
    version = asked_version("poe technical-file", __doc__.splitlines()[0], arguments)
    if not version:
        return 1
    made = assemble(version, date.today())
    output_file().parent.mkdir(parents=True, exist_ok=True)
    output_file().write_text(made.text, encoding="utf-8")
    for each in made.missing:
        print(f"missing: {each}", file=sys.stderr)
    print(f"wrote {shown(output_file())}")
    return 1 if made.missing else 0
