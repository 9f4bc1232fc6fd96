"""The technical file of a version, assembled by `poe technical-file [VERSION]`.

The team writes the prose in governance/technical_file; below each of its sections comes what the
repository holds. Whatever is missing is named, and the exit code is then 1.
"""

import hashlib
import sys
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from rung_governance import example_text
from rung_governance.approval import overrides
from rung_governance.approval.bound_facts import MissingFactError
from rung_governance.approval.overrides import OVERRIDE, Overrides
from rung_governance.documents import file_parts, inventory, provenance
from rung_governance.documents.file_parts import (
    Part,
    document,
    read_json,
    record,
    report,
    version_of,
)
from rung_governance.record_check import check_record, read_schema
from rung_ops.command import verb
from rung_ops.model.target import MULTICLASS, QUANTILE
from rung_ops.project import current, documents, release_folders
from rung_ops.project.paths import project_name, shown
from rung_ops.release import state
from rung_ops.training import model_card


def served(version: str) -> str:
    """List what production has served, and what people did about it."""
    try:
        events = state.events(release_folders.environment(release_folders.PRODUCTION))
    except state.StateError as error:
        raise MissingFactError(str(error)) from error
    # Overrides are about single persons; they are counted, as the monitor counts them.
    folder = release_folders.environment(release_folders.PRODUCTION)
    entries = sum(event["event"] == OVERRIDE for event in events)
    overruled = Overrides(folder).count()
    rows = [
        {
            "at": event["at"][:19],
            "event": event["event"],
            "by": event["by"],
            "release": event["detail"].get("release"),
            "reason": event["detail"].get("reason"),
            "approved by": event["detail"].get("validator"),
        }
        for event in events
        if event["event"] != OVERRIDE
    ]
    if not rows:
        return "Nothing has been deployed to production from here."
    counted_overrides = (
        f"Predictions that were overruled: {len(overruled)}, in {entries} entries of the audit log."
    )
    unlogged = overrides.unlogged(folder, overruled)
    return f"{file_parts.table(rows)}\n\n{counted_overrides} {unlogged}".rstrip()


def monitored(version: str) -> str:
    """Write what the last check of production found."""
    path = current().reports / "monitor/status.json"
    if not path.is_file():
        return "Production was not checked from here yet: run `uv run poe monitor`."
    return model_card.figures(read_json(path))


def groups_compared(fairness: dict[str, Any]) -> str:
    """Say by what groups are compared, which the kind of problem decides.

    Args:
        fairness: content of reports/fairness.json.
    """
    task = fairness.get("task")
    if task == "classification":
        by = (
            f"By rates at the threshold {fairness['threshold']:g} of the change control plan: a "
            f"probability from there on counts as {fairness['positive']}."
        )
    elif task == MULTICLASS:
        by = (
            "By rates of each class against all others. A row is answered with its most probable "
            f"class, so there is no threshold. The classes: {', '.join(fairness['classes'])}."
        )
    elif task == QUANTILE:
        by = (
            "By the errors of the median, and by the share of rows that the interval holds, which is "
            f"to be {fairness['level']:g}, and its width. There is no threshold."
        )
    else:
        by = "By the errors of the predicted number. There is no threshold."
    return f"{by} A group of fewer than {fairness['smallest_group']} rows is in no difference."


SECTIONS: dict[int, tuple[Part, ...]] = {
    1: (
        Part("The use case", document("docs/use_case.md"), ("docs/use_case.md",)),
        Part(
            "The entry in the inventory",
            record("model_inventory", "models"),
            ("governance/model_inventory.yaml",),
        ),
        Part("What is known of it", provenance.inventory_entry),
        Part("Instructions for use", document("docs/model_card.md"), ("docs/model_card.md",)),
        Part("This version", provenance.lineage),
    ),
    2: (
        Part("Source", provenance.source),
        Part("Parameters", provenance.parameters),
        Part("Packages", provenance.packages),
        Part("Data", document("docs/datasheet.md"), ("docs/datasheet.md",)),
        Part(
            "Checks of the data",
            report("validation.json"),
            ("reports/validation.json",),
        ),
        Part("Personal data", document("docs/privacy.md"), ("docs/privacy.md",)),
        Part("Human oversight", document("governance/oversight.md"), ("governance/oversight.md",)),
        Part(
            "Changes that are foreseen",
            record("change_control_plan", "modifications"),
            ("governance/change_control_plan.yaml",),
        ),
        Part("Independent validation", provenance.independent_validation),
    ),
    3: (
        Part("Scores on rows kept back", report("metrics.json"), ("reports/metrics.json",)),
        Part("By slice", report("slices.json"), ("reports/slices.json",)),
        Part("By group", report("fairness.json"), ("reports/fairness.json",)),
        Part(
            "What predictions rest on",
            report("explanations.json"),
            ("reports/explanations.json",),
        ),
        Part("What is put in", provenance.inputs),
    ),
    4: (
        Part("Against the simplest model", report("comparison.json"), ("reports/comparison.json",)),
        Part(
            "How groups are compared",
            report("fairness.json", groups_compared),
            ("reports/fairness.json",),
        ),
        Part(
            "Bounds",
            record("change_control_plan", "protocol"),
            ("governance/change_control_plan.yaml",),
        ),
    ),
    5: (
        Part(
            "The risk register",
            record("risk_register", "risks"),
            ("governance/risk_register.yaml",),
        ),
        Part(
            "Impact of changes",
            record("change_control_plan", "impact"),
            ("governance/change_control_plan.yaml",),
        ),
    ),
    6: (
        Part("Versions", provenance.versions),
        Part("What production served", served),
    ),
    7: (),
    8: (),
    9: (
        Part(
            "The plan",
            record("monitoring_plan", "system", "metrics", "incidents"),
            ("governance/monitoring_plan.yaml",),
        ),
        Part("Retention of logs", record("retention", "logs"), ("governance/retention.yaml",)),
        Part("The last look", monitored),
    ),
}


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
    missing += [
        *example_text.objections(current().root),
        *map(str, inventory.contradictions(current().root)),
    ]
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
        facts = inventory.facts()
        return [
            "Every part is here that the repository can show. Whether it is true is for people to say.",
            f"The model is {facts['status']}.",
            "",
        ]
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
    except (MissingFactError, documents.UnreadableDocumentError) as error:
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
    return [file_parts.table(rows), ""] if rows else []


@verb("poe technical-file")
@click.argument("version", default="")
def main(version: str) -> int:
    """Assemble the technical file of a version; the exit code is 1 if something is missing in it.

    VERSION is its number or alias; that of the last run by default.
    """
    made = assemble(version_of(version), date.today())
    output_file().parent.mkdir(parents=True, exist_ok=True)
    output_file().write_text(made.text, encoding="utf-8")
    for each in made.missing:
        print(f"missing: {each}", file=sys.stderr)
    print(f"wrote {shown(output_file())}")
    return 1 if made.missing else 0
