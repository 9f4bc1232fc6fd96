"""Show which requirement is met by what: `uv run poe examine [VERSION]`.

For each requirement of governance/requirements.toml of the library: artefact, check, evidence and
owner, and whether a run proves it, a person states it, or it is missing. Written as
reports/examination.html for people and examination.json for programs.
"""

import json
import sys
import tomllib
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from rung_governance import inventory_facts
from rung_governance.control_evidence import (
    MISSING,
    OUTSIDE,
    RUN,
    STATEMENT,
    Examined,
    evidence_of,
)
from rung_governance.file_parts import asked_version
from rung_ops.project import current, documents
from rung_ops.project.paths import project_name, shown
from rung_ops.system import html

REQUIREMENTS = Path(__file__).parent / "requirements.toml"
WORDS = {
    RUN: "proven by a run",
    STATEMENT: "stated by a person",
    MISSING: "missing",
    OUTSIDE: "only the organisation can show it",
}
LAYOUT = Path(__file__).with_suffix(".html")


def examine(version: str, today: date) -> dict[str, Any]:
    """Look for the evidence of every control, and list the requirements that rest on it.

    Returns:
        project, version, examined, statuses, facts (of the inventory), controls (by id: artefact,
        check, owner, status, found) and sources (each with requirements: ref, asks, controls,
        status). The status of a requirement is the weakest of its controls'.
    """
    requirements = tomllib.loads(REQUIREMENTS.read_text(encoding="utf-8"))
    people = _people()
    examined = Examined(version)
    controls: dict[str, dict[str, str]] = {}
    for name, control in requirements["controls"].items():
        evidence = evidence_of(control, examined)
        owner = control["owner"]
        who = f"{owner}: {people[owner]}" if people.get(owner) else owner
        controls[name] = {
            **control,
            "owner": who,
            "status": evidence.status,
            "found": evidence.shown_by,
        }
    for source in requirements["sources"]:
        for requirement in source["requirements"]:
            statuses = {controls[name]["status"] for name in requirement["controls"]}
            weakest = (each for each in (MISSING, OUTSIDE, STATEMENT, RUN) if each in statuses)
            requirement["status"] = next(weakest)
    return {
        "project": project_name(),
        "version": version,
        "examined": today.isoformat(),
        "statuses": WORDS,
        "facts": inventory_facts.facts(),
        "controls": controls,
        "sources": requirements["sources"],
    }


def page(examined: dict[str, Any]) -> str:
    """Write an examination as a page of HTML that needs nothing else."""
    return html.render(LAYOUT, **examined)


def _people() -> dict[str, str]:
    """Name whom the inventory calls developer and validator."""
    path = current().root / "governance/model_inventory.yaml"
    try:
        entries = documents.record(path).get("models") if path.is_file() else None
    except documents.UnreadableDocumentError:
        return {}
    first = entries[0] if isinstance(entries, list) and entries else {}
    first = first if isinstance(first, dict) else {}
    return {role: str(first[role]) for role in ("developer", "validator") if first.get(role)}


def main(arguments: list[str] | None = None) -> int:
    """Write both files; return 1 if a requirement misses something that a project can hold."""
    version = asked_version("poe examine", __doc__.splitlines()[0], arguments)
    if not version:
        return 1
    examined = examine(version, date.today())
    current().reports.mkdir(parents=True, exist_ok=True)
    for_people, data = (
        current().reports / "examination.html",
        current().reports / "examination.json",
    )
    for_people.write_text(page(examined), encoding="utf-8")
    data.write_text(json.dumps(examined, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for control in examined["controls"].values():
        if control["status"] == MISSING:
            print(f"missing: {control['artefact']}: {control['found']}", file=sys.stderr)
    counted = Counter(each["status"] for s in examined["sources"] for each in s["requirements"])
    print(", ".join(f"{counted[each]} {WORDS[each]}" for each in WORDS))
    print(f"wrote {shown(for_people)} and {shown(data)}")
    return 1 if counted[MISSING] else 0
