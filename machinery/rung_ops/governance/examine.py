"""Show which requirement is met by what: `uv run poe examine [VERSION]`.

For each requirement of governance/requirements.toml of the library: artefact, check, evidence and
owner, and whether a run proves it, a person states it, or it is missing. Written as
reports/examination.html for people and examination.json for programs.
"""

import argparse
import json
import sys
import tomllib
from collections import Counter
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

from rung_ops.governance import inventory_facts
from rung_ops.governance.control_evidence import MISSING, OUTSIDE, RUN, STATEMENT, evidence_of
from rung_ops.governance.file_parts import version_here
from rung_ops.project import documents
from rung_ops.project.paths import REPORTS, ROOT, project_name, shown

REQUIREMENTS = Path(__file__).parent / "requirements.toml"
WORDS = {
    RUN: "proven by a run",
    STATEMENT: "stated by a person",
    MISSING: "missing",
    OUTSIDE: "only the organisation can show it",
}
STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2rem;max-width:80rem}table{border-collapse:collapse}"
    "td,th{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere}.missing{background:#fbe3e0}.run{background:#e2f1e4}"
)


def examine(version: str, today: date) -> dict[str, Any]:
    """Look for the evidence of every control, and list the requirements that rest on it.

    Returns:
        project, version, examined, statuses, facts (of the inventory), controls (by id: artefact,
        check, owner, status, found) and sources (each with requirements: ref, asks, controls,
        status). The status of a requirement is the weakest of its controls'.
    """
    told = tomllib.loads(REQUIREMENTS.read_text(encoding="utf-8"))
    people = _people()
    controls: dict[str, dict[str, str]] = {}
    for name, control in told["controls"].items():
        found = evidence_of(control, version)
        owner = control["owner"]
        who = f"{owner}: {people[owner]}" if people.get(owner) else owner
        controls[name] = {**control, "owner": who, "status": found.status, "found": found.found}
    for source in told["sources"]:
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
        "sources": told["sources"],
    }


def page(examined: dict[str, Any]) -> str:
    """Write an examination as a page of HTML that needs nothing else."""
    title = (
        f"{examined['project']}, version {examined['version']}: what is asked, and what shows it"
    )
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>",
        f"<p>Examined on {examined['examined']}. A run proves that something was computed, not that "
        "it is good; a statement is what a person wrote. What a source asks is in our words.</p>",
    ]
    facts = "".join(f"<li>{name}: {escape(text)}" for name, text in examined["facts"].items())
    parts.append(f"<ul>{facts}</ul>")
    for source in examined["sources"]:
        parts += [
            f"<h2>{escape(source['id'])}</h2><p>{escape(source['title'])}, {escape(source['dated'])}. "
            f"{escape(source['kind'])}. As of {source['as_of']}, seen: {escape(source['seen'])}.</p>",
            "<table><tr><th>Requirement<th>Artefact<th>Check<th>Evidence<th>Owner<th>Status</tr>",
        ]
        for requirement in source["requirements"]:
            parts += _rows(requirement, examined["controls"])
        parts.append("</table>")
    return "\n".join(parts) + "\n"


def _rows(requirement: dict[str, Any], controls: dict[str, dict[str, str]]) -> list[str]:
    names = requirement["controls"]
    first = (
        f'<td rowspan="{len(names)}"><b>{escape(requirement["ref"])}</b>: '
        f"{escape(requirement['asks'])}"
    )
    rows = []
    for name in names:
        control = controls[name]
        cells = (control["artefact"], control["check"], control["found"], control["owner"])
        told = "".join(f"<td>{escape(cell)}" for cell in cells)
        rows.append(
            f'<tr class="{control["status"]}">{first}{told}<td>{WORDS[control["status"]]}</tr>'
        )
        first = ""
    return rows


def _people() -> dict[str, str]:
    """Name whom the inventory calls developer and validator."""
    path = ROOT / "governance/model_inventory.yaml"
    try:
        entries = documents.record(path).get("models") if path.is_file() else None
    except documents.UnreadableDocumentError:
        return {}
    first = entries[0] if isinstance(entries, list) and isinstance(entries[0], dict) else {}
    return {role: str(first[role]) for role in ("developer", "validator") if first.get(role)}


def main(arguments: list[str] | None = None) -> int:
    """Write both files; return 1 where a requirement misses something that a project can hold."""
    parser = argparse.ArgumentParser(prog="poe examine", description=__doc__.splitlines()[0])
    parser.add_argument("version", nargs="?", default="", help="that of the last run unless given")
    version = parser.parse_args(arguments).version or version_here()
    if not version:
        print("There is no version yet: `uv run poe pipeline` makes the first.", file=sys.stderr)
        return 1
    examined = examine(version, date.today())
    REPORTS.mkdir(parents=True, exist_ok=True)
    html, data = REPORTS / "examination.html", REPORTS / "examination.json"
    html.write_text(page(examined), encoding="utf-8")
    data.write_text(json.dumps(examined, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for control in examined["controls"].values():
        if control["status"] == MISSING:
            print(f"missing: {control['artefact']}: {control['found']}", file=sys.stderr)
    counted = Counter(each["status"] for s in examined["sources"] for each in s["requirements"])
    print(", ".join(f"{counted[each]} {WORDS[each]}" for each in WORDS))
    print(f"wrote {shown(html)} and {shown(data)}")
    return 1 if counted[MISSING] else 0
