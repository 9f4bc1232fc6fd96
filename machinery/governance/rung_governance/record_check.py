"""The check of a governance record against its JSON schema."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError

from rung_ops.errors import UnreadableFileError
from rung_ops.project import documents

PLACEHOLDER = re.compile(
    r"\b(TODO|TBD|TBA|FIXME|XXX)\b"
    r"|(?i:lorem ipsum|<(your|name|insert|owner|date)\b[^>@:/]*>)"
    r"|(?i:^\W*(to be \w+|todo|tbd|tba)\W*$)"
)
ANSWER = "Write what is the case."
SCHEMAS = Path(__file__).parent / "schemas"
# Each record, and the file whose presence makes it necessary.
RECORDS = {
    "model_inventory": "ops/tasks.toml",
    "risk_register": "ops/tasks.toml",
    "validation": "dvc.yaml",
    "retention": "dvc.yaml",
    "change_control_plan": "ops/service.toml",
    "monitoring_plan": "ops/service.toml",
    "oversight": "ops/service.toml",
    "technical_file": "ops/service.toml",
}
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Days ahead: what is reviewed, due or valid later than in five years is never looked at again.
FURTHEST_DAYS = 1_827
MOST_DAYS = {"valid_days": FURTHEST_DAYS, "retention_days": 36_525}  # a hundred years
# Figures of the gate and of fairness.json, and settings, that are shares or probabilities.
SHARES = {
    *("accuracy", "auc", "average_precision", "decision_threshold", "interval_coverage"),
    *("selection_rate", "true_positive_rate", "false_positive_rate"),
}
REVIEW = "review_by"  # the field of a record that says until when it can be relied on


@dataclass(frozen=True)
class Problem:
    """A problem in one field of one file, and its remedy."""

    file: str
    field: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}{', ' if self.field else ': '}{self.of_field}"

    @property
    def of_field(self) -> str:
        """Field, problem and remedy, for a reader who knows the file."""
        field = f"{self.field}: " if self.field else ""
        return f"{field}{self.wrong}. {self.remedy}"


def check_record(
    path: Path, schema: dict[str, Any], root: Path, review: bool = True
) -> Iterator[Problem]:
    """Check one record against its schema; a placeholder does not count as an answer."""
    file = path.relative_to(root).as_posix()
    try:
        fields = documents.record(path)
    except UnreadableFileError as error:
        yield Problem(file, "", str(error), "Nothing of it was checked.")
        return
    faults = Draft202012Validator(schema).iter_errors(fields)
    for fault in sorted(faults, key=attrgetter("json_path")):
        yield from _problems_of(file, fault)
    for name in documents.repeated(path):
        if name in schema.get("properties", {}):
            yield Problem(file, name, "is written twice", "Keep one of them.")
    for field, value, entry in _values(fields):
        if isinstance(value, str):
            yield from _problems_of_text(file, field, value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _problems_of_number(file, field, value, entry)
    yield from _overdue(file, fields) if review else ()
    for number, named in enumerate(fields.get("documents") or []):
        if not (root / str(named)).is_file():
            wrong = f"`{named}` does not exist"
            yield Problem(file, f"documents[{number}]", wrong, "Write it, or name another.")


def overdue_reviews(root: Path) -> list[str]:
    """Say which records are past the day by which they are reviewed."""
    overdue = []
    for path in sorted((root / "governance").rglob("*")):
        if path.suffix in {".yaml", ".md"} and path.is_file():
            try:
                fields = documents.record(path)
            except UnreadableFileError:
                continue  # which `poe records` says
            overdue += [str(each) for each in _overdue(path.relative_to(root).as_posix(), fields)]
    return overdue


def _overdue(file: str, fields: dict[str, Any]) -> Iterator[Problem]:
    day = str(fields.get(REVIEW) or date.today())
    if not DAY.fullmatch(day):
        yield Problem(file, REVIEW, f"`{day}` is no day", "Write a day as YYYY-MM-DD.")
    elif day < date.today().isoformat():
        wrong = f"{day} has passed, so the record may be out of date"
        yield Problem(file, REVIEW, wrong, "Review it, correct it, and set the next day.")


def asked_for(root: Path, repository: Path) -> list[str]:
    """Name the records that a project has to hold."""
    names = {name for name, mark in RECORDS.items() if (repository / mark).exists()}
    return sorted(names | {path.stem for path in (root / "governance/schemas").glob("*.json")})


def read_schema(name: str, root: Path) -> dict[str, Any]:
    """Read the JSON schema of a record: the team's in governance/schemas, or the library's."""
    own = root / "governance/schemas" / f"{name}.json"
    file = own if own.is_file() else SCHEMAS / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _problems_of(file: str, error: ValidationError) -> Iterator[Problem]:
    field = error.json_path.removeprefix("$").removeprefix(".")
    schema = cast(dict[str, Any], error.schema)
    if error.instance is None:
        yield Problem(file, field, "is empty", schema.get("description", ANSWER))
        return
    if error.validator != "required":
        remedy = schema.get("description", "See its schema: `uv run poe records --schema NAME`.")
        yield Problem(file, field, error.message[:200], remedy)
        return
    for name in schema["required"]:
        if name not in cast(dict[str, Any], error.instance):
            about = schema.get("properties", {}).get(name, {})
            path = f"{field}.{name}" if field else name
            yield Problem(file, path, "is missing", about.get("description", "Add it."))


def _problems_of_text(file: str, field: str, text: str) -> Iterator[Problem]:
    if not re.search(r"\w", text):
        yield Problem(file, field, "is empty", ANSWER)
    elif guess := PLACEHOLDER.search(text):
        yield Problem(file, field, f"`{guess[0].strip()}` is a placeholder", ANSWER)
    elif DAY.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            yield Problem(file, field, f"`{text}` is no day of the calendar", ANSWER)
            return
        if day > date.today() + timedelta(days=FURTHEST_DAYS):
            wrong = f"`{text}` is more than {FURTHEST_DAYS:,} days ahead"
            yield Problem(file, field, wrong, "Set a day on which somebody looks at it.")


def _problems_of_number(
    file: str, field: str, value: float, entry: dict[str, Any]
) -> Iterator[Problem]:
    """Say that a number cannot be meant; a schema of the team's own may not say it."""
    name = field.rpartition(".")[2]
    if value > (most := MOST_DAYS.get(name, math.inf)):
        yield Problem(file, field, f"{value:,} days are more than {most:,}", "Give fewer.")
    is_share = name in SHARES or entry.get("figure") in SHARES
    if (is_share or str(entry.get("setting")).endswith("_share")) and not 0 <= value <= 1:
        yield Problem(file, field, f"{value:g} is a share, from 0 to 1", "Correct it.")


def _values(
    value: Any, field: str = "", entry: dict[str, Any] | None = None
) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield each single value of a record, with its field and the mapping that it is in."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, f"{field}.{key}" if field else str(key), value)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _values(inner, f"{field}[{number}]", entry)
    else:
        yield field, value, entry or {}
