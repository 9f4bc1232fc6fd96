"""The technical file of a version, assembled by `poe technical-file [VERSION]`.

The team writes the prose in governance/technical_file; below each of its sections comes what the
repository holds, or that it is missing.
"""

import sys
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from rung_governance import example_text
from rung_governance.approval import overrides
from rung_governance.approval.bound_facts import file_hash
from rung_governance.approval.overrides import OVERRIDE, Overrides
from rung_governance.documents import file_parts, inventory, provenance
from rung_governance.documents.file_parts import SectionPart, document, read_json, record, report
from rung_governance.record_check import check_record, read_schema
from rung_ops.command import verb
from rung_ops.errors import UnreadableFileError, VersionError
from rung_ops.model.target import MULTICLASS, QUANTILE
from rung_ops.project import current, documents, paths
from rung_ops.project.paths import project_name, shown
from rung_ops.release import state
from rung_ops.training import model_card


def served(version: str) -> str:
    """List what production has served, and what people did about it."""
    folder = paths.environment(paths.PRODUCTION)
    try:
        events = state.events(folder)
    except state.StateError as error:
        raise VersionError(str(error)) from error
    # Overrides are about single persons; they are counted, as the monitor counts them.
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
    """Say by what groups are compared, which the kind of problem decides."""
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


SECTIONS: dict[int, tuple[SectionPart, ...]] = {
    1: (
        document("The use case", "docs/use_case.md"),
        record("The entry in the inventory", "model_inventory", "models"),
        SectionPart("What is known of it", provenance.inventory_entry),
        document("Instructions for use", "docs/model_card.md"),
        SectionPart("This version", provenance.lineage),
    ),
    2: (
        SectionPart("Source", provenance.source),
        SectionPart("Parameters", provenance.parameters),
        SectionPart("Packages", provenance.packages),
        document("Data", "docs/datasheet.md"),
        report("Checks of the data", "validation.json"),
        document("Personal data", "docs/privacy.md"),
        document("Human oversight", "governance/oversight.md"),
        record("Changes that are foreseen", "change_control_plan", "modifications"),
        SectionPart("Independent validation", provenance.independent_validation),
    ),
    3: (
        report("Scores on rows kept back", "metrics.json"),
        report("By slice", "slices.json"),
        report("By group", "fairness.json"),
        report("What predictions rest on", "explanations.json"),
        SectionPart("What is put in", provenance.inputs),
    ),
    4: (
        report("Against the simplest model", "comparison.json"),
        report("How groups are compared", "fairness.json", groups_compared),
        record("Bounds", "change_control_plan", "protocol"),
    ),
    5: (
        record("The risk register", "risk_register", "risks"),
        record("Impact of changes", "change_control_plan", "impact"),
    ),
    6: (
        SectionPart("Versions", provenance.versions),
        SectionPart("What production served", served),
    ),
    7: (),
    8: (),
    9: (
        record("The plan", "monitoring_plan", "system", "metrics", "incidents"),
        record("Retention of logs", "retention", "logs"),
        SectionPart("The last look", monitored),
    ),
}


def prose_file() -> Path:
    """Return the path of the document that the team writes."""
    return current().root / "governance/technical_file/annex_iv.md"


def output_file() -> Path:
    """Return the path of the assembled technical file."""
    return current().reports / "technical_file.md"


LAW = Path(__file__).with_name("law.toml")  # where the document does not say


@dataclass(frozen=True)
class Assembled:
    """A technical file."""

    text: str  # Markdown
    missing: list[str]  # what it lacks, each with its section


def assemble(version: str, today: date) -> Assembled:
    """Put the technical file together."""
    missing = _faults()
    sections = documents.sections(documents.text_of(prose_file()) if prose_file().is_file() else "")
    front = {} if missing else documents.record(prose_file())
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
        return [
            "Every part is here that the repository can show. Whether it is true is for people to say.",
            f"The model is {inventory.facts()['status']}.",
            "",
        ]
    return ["**This file is not complete:**", "", *(f"- {each}" for each in missing), ""]


def _faults() -> list[str]:
    if not prose_file().is_file():
        return [f"{shown(prose_file())}: is missing: write the nine sections"]
    schema = read_schema("technical_file", current().root)
    return list(map(str, check_record(prose_file(), schema, current().root)))


def _taken(part: SectionPart, version: str) -> tuple[str, str]:
    """Take a part's text, or say why there is none."""
    try:
        text = part.take(version)
    except (VersionError, UnreadableFileError) as error:
        return "", str(error)
    return text, "" if text.strip() else "there is nothing in it"


def _sources(part: SectionPart) -> list[str]:
    # What models share is at the top: the packages and their lock.
    for folder in (current().root, current().repository):
        path = folder / part.file
        if path.is_file():
            return [f"From `{part.file}` (SHA-256 `{file_hash(path)}`):", ""]
    return []


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
    made = assemble(file_parts.version_of(version), date.today())
    output_file().parent.mkdir(parents=True, exist_ok=True)
    output_file().write_text(made.text, encoding="utf-8")
    for each in made.missing:
        print(f"missing: {each}", file=sys.stderr)
    print(f"wrote {shown(output_file())}")
    return 1 if made.missing else 0
