"""Check that what governance wants written down is there, complete, and no placeholder."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError

from rung_ops.project import documents
from rung_ops.project.paths import REPOSITORY, ROOT

# Each document that exists must have a heading with each of these words, and text below it.
HEADINGS = {
    "docs/model_card.md": "use, out of scope, factors, metrics, data, ethic, caveats",
    "docs/datasheet.md": (
        "motivation, composition, collection, preprocessing, uses, distribution, maintenance"
    ),
    "docs/privacy.md": ("purpose, personal data, necessity, risks, safeguards, retention, rights"),
}
PLACEHOLDER = re.compile(
    r"\b(TODO|TBD|TBA|FIXME|XXX)\b"
    r"|(?i:lorem ipsum|<(your|name|insert|owner|date)\b[^>@:/]*>)"
    r"|(?i:^\W*(to be \w+|todo|tbd|tba)\W*$)"
)
ANSWER = "Write what is the case."
REVIEW = "review_by"  # the field of a record that says until when it can be relied on


@dataclass(frozen=True)
class Problem:
    """What is wrong in one place of one file, and what to do about it."""

    file: str
    place: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        place = f", {self.place}" if self.place else ""
        return f"{self.file}{place}: {self.wrong}. {self.remedy}"


def problems(root: Path) -> list[Problem]:
    """Check every record and document below root; the registry is asked by of_the_champion."""
    return [*_of_the_records(root), *_of_the_documents(root), *_of_personal_columns(root)]


def of_record(path: Path, schema: dict[str, Any], root: Path) -> Iterator[Problem]:
    """Check one record against its schema; no placeholder counts as an answer."""
    file = path.relative_to(root).as_posix()
    try:
        fields = documents.record(path)
    except documents.Unreadable as error:
        yield Problem(file, "", str(error), "Its schema lies in governance/schemas.")
        return
    for fault in sorted(Draft202012Validator(schema).iter_errors(fields), key=_order):
        yield from _of_error(file, fault)
    for place, text in _texts(fields):
        if not re.search(r"\w", text):
            yield Problem(file, place, "is empty", ANSWER)
        elif guess := PLACEHOLDER.search(text):
            yield Problem(file, place, f"`{guess[0].strip()}` is a placeholder", ANSWER)
        elif place.split(".")[-1] == REVIEW and text < date.today().isoformat():
            wrong = f"{text} has passed, and nobody says that it still holds"
            yield Problem(file, place, wrong, "Review it, mend it, and set the next day.")
    for number, named in enumerate(fields.get("documents") or []):
        if not (root / str(named)).is_file():
            wrong = f"`{named}` does not exist"
            yield Problem(file, f"documents[{number}]", wrong, "Write it, or name another.")


def schema_of(name: str, root: Path) -> dict[str, Any]:
    """Read governance/schemas/<name>.json."""
    text = (root / "governance/schemas" / f"{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _of_the_records(root: Path) -> Iterator[Problem]:
    for path in sorted((root / "governance/schemas").glob("*.json")):
        schema, name = schema_of(path.stem, root), path.stem
        folder = root / "governance" / name
        if folder.is_dir():  # one record a file, as of validations; there may be none yet
            files = (f for f in folder.iterdir() if f.suffix in {".yaml", ".yml", ".md"})
            for file in sorted(f for f in files if f.name != "README.md"):
                yield from of_record(file, schema, root)
        elif (file := folder.with_suffix(".yaml")).is_file():
            yield from of_record(file, schema, root)
        elif (file := folder.with_suffix(".md")).is_file():
            yield from of_record(file, schema, root)
        else:
            remedy = str(schema.get("description", "Write it."))
            yield Problem(f"governance/{name}.yaml", "", "is missing", remedy)


def _of_error(file: str, error: ValidationError) -> Iterator[Problem]:
    place = error.json_path.removeprefix("$").removeprefix(".")
    schema = cast(dict[str, Any], error.schema)
    if error.validator != "required":
        remedy = schema.get("description", "See its schema in governance/schemas.")
        yield Problem(file, place, error.message[:200], remedy)
        return
    for name in schema["required"]:
        if name not in cast(dict[str, Any], error.instance):
            about = schema.get("properties", {}).get(name, {})
            whole = f"{place}.{name}" if place else name
            yield Problem(file, whole, "is missing", about.get("description", "Add it."))


def _of_the_documents(root: Path) -> Iterator[Problem]:
    for file, wanted in HEADINGS.items():
        if not (root / file).is_file():
            continue
        try:
            text = documents.text_of(root / file)
        except documents.Unreadable as error:
            yield Problem(file, "", str(error), "Nothing of it was checked.")
            continue
        sections = documents.sections(text)
        for word in wanted.split(", "):
            about = [title for title in sections if word in title.lower()]
            if not about:
                yield Problem(file, "", f"no heading has `{word}`", "Add the section.")
            elif not any(re.search(r"\w", sections[title]) for title in about):
                yield Problem(file, f"section {about[0]}", "is empty", ANSWER)
        for number, line in enumerate(documents.prose(text).splitlines(), start=1):
            if guess := PLACEHOLDER.search(line):
                wrong = f"`{guess[0].strip()}` is a placeholder"
                yield Problem(file, f"line {number}", wrong, ANSWER)


def _of_personal_columns(root: Path) -> Iterator[Problem]:
    file = root / "docs/privacy.md"
    if not file.is_file() or root != ROOT:
        return
    from rung_ops import contract

    written = documents.text_of(file)
    for name, column in contract.Row.to_schema().columns.items():
        if (column.metadata or {}).get("personal") and f"`{name}`" not in written:
            wrong = f"dataset.py marks `{name}` as personal, and nothing is said of it here"
            yield Problem("docs/privacy.md", "", wrong, f"Say why `{name}` is needed.")


def of_the_champion() -> tuple[list[Problem], str]:
    """Check the registry's champion.

    Returns:
        Its problems, and why nobody looked at it, where nobody could.
    """
    if not (REPOSITORY / "ops/gate.toml").is_file():  # the registry comes with a later rung
        return [], ""
    objections, unseen = importlib.import_module("rung_ops.gate.champion_check").problems()
    remedy = importlib.import_module("rung_ops.governance.registry_promotion").REMEDY
    return [Problem("the registry", "alias champion", each, remedy) for each in objections], unseen


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{number}]")


def _order(error: ValidationError) -> str:
    return error.json_path


def main() -> int:
    """Print every problem; return 1 when there is one."""
    crowned, unseen = of_the_champion()
    found = problems(ROOT) + crowned
    for problem in found:
        print(problem, file=sys.stderr)
    if unseen:
        print(unseen, file=sys.stderr)
    if not found:
        print("records: complete")
    return 1 if found else 0
