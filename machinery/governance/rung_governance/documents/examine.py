"""The examination of a version: which requirement is met by what (`poe examine [VERSION]`).

For each requirement of requirements.toml: artefact, check, owner and evidence, which is a run of the
version, a person's statement, or missing. Written as reports/examination.html for people and
examination.json for programs.
"""

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from rung_governance import example_text
from rung_governance.approval import audit, readiness, validation
from rung_governance.approval.bound_facts import file_hash
from rung_governance.documents import inventory, provenance, records
from rung_governance.documents.file_parts import version_of
from rung_governance.record_check import Problem
from rung_ops.command import verb
from rung_ops.errors import UnreadableFileError, VersionError
from rung_ops.project import current, documents, paths
from rung_ops.project.paths import project_name, shown
from rung_ops.release import state
from rung_ops.system import git, html
from rung_ops.system.printable import counted

RUN, STATEMENT, MISSING, OUTSIDE = "run", "statement", "missing", "organisation"
ANSWERS = ".copier-answers.yml"  # changed by the commits that generate, climb and update a project
WRITTEN = {".md", ".yaml"}  # by people


@dataclass(frozen=True)
class Evidence:
    """The evidence of a control."""

    status: str  # RUN, STATEMENT, MISSING, or OUTSIDE of any repository
    shown_by: str  # what shows it, or what is missing


@dataclass(frozen=True)
class Examined:
    """A version that is examined, and the facts that all of its controls share."""

    version: str  # of the model

    @cached_property
    def examples(self) -> Counter[str]:
        """Count by file the parts that are still the text of the example."""
        return Counter(part.file for part in example_text.untouched(current().root))

    @cached_property
    def problems(self) -> list[Problem]:
        """Say what is wrong with the documents; it takes a second."""
        return records.problems(current().root)


def evidence_of(control: dict[str, Any], examined: Examined) -> Evidence:
    """Look for the evidence of a control."""
    try:
        return LOOK[control["kind"]](control["artefact"], examined)
    except VersionError as error:
        return Evidence(MISSING, str(error))


def _document(artefact: str, examined: Examined) -> Evidence:
    places = (folder / artefact for folder in (current().root, current().repository))
    path = next(filter(Path.is_file, places), None)
    if path is None:
        return Evidence(MISSING, "there is no such file")
    if number := examined.examples[artefact]:
        return Evidence(MISSING, f"{counted(number, 'place')} of the example, or not written yet")
    if faults := [each for each in examined.problems if each.file == artefact]:
        return Evidence(MISSING, faults[0].of_field)
    commits = dict(_commits(path))
    by_rung = dict(_commits(current().repository / ANSWERS))
    if commits.keys() <= by_rung.keys() and commits and path.suffix in WRITTEN:
        return Evidence(MISSING, "as generated: no commit since says that somebody has written it")
    by_people = (who for commit, who in commits.items() if commit not in by_rung)
    who = next(by_people, next(iter(commits.values()), "not committed"))
    return Evidence(STATEMENT, f"{who}; SHA-256 {file_hash(path)}")


def _commits(path: Path) -> Iterator[tuple[str, str]]:
    """List the commits of a file, the last one first, with author and day."""
    log = git.run(path.parent, "log", "--format=%H %an, %as", "--", path.name)
    for line in log.stdout.splitlines():
        commit, _, who = line.partition(" ")
        yield commit, who


def _report(artefact: str, examined: Examined) -> Evidence:
    version = examined.version
    path = current().root / artefact
    if not path.is_file():
        return Evidence(MISSING, "there is no such file")
    run = current().reports / "run.json"
    if path.name == "gate.json":
        made = str((_json(path).get("challenger") or {}).get("version", ""))
    else:
        made = str(_json(run).get("version", "")) if run.is_file() else ""
    if made != version:
        return Evidence(MISSING, f"it is of version {made or 'unknown'}, not of {version}")
    return Evidence(RUN, f"of version {version}; SHA-256 {file_hash(path)}")


def _approval(artefact: str, examined: Examined) -> Evidence:
    version = provenance.registered(examined.version)
    if objections := [*validation.objections(version), *readiness.objections(version)]:
        return Evidence(MISSING, " ".join("".join(objections[0].splitlines()[:2]).split()))
    about = {"model": version.name, "version": examined.version}
    facts = validation.approval_of(about | version.tags)
    # What a person judged is a statement; a signature proves who said it.
    who = f"{facts['validator']}, {facts['validated']}; key: {facts['signed_by']}"
    return Evidence(STATEMENT, who)


def _lineage(artefact: str, examined: Examined) -> Evidence:
    version = examined.version
    tags = provenance.registered(version).tags
    needed = ("git_commit", "data_hash", "params_hash")
    if missing := [name for name in needed if not tags.get(name)]:
        return Evidence(MISSING, f"version {version} has no {', '.join(missing)}")
    if tags.get("git_dirty") == "true":
        return Evidence(MISSING, f"version {version} was made from files that were not committed")
    return Evidence(RUN, f"commit {tags['git_commit']}, data {tags['data_hash']}")


def _audit_log(artefact: str, examined: Examined) -> Evidence:
    folder = paths.environment(paths.PRODUCTION)
    if not (folder / state.HISTORY).is_file():
        return Evidence(MISSING, "nothing has been deployed to production from here")
    if faults := audit.report(folder):
        return Evidence(MISSING, faults[0])
    return Evidence(RUN, f"{counted(len(state.events(folder)), 'line')}, signed and verified")


def _monitor(artefact: str, examined: Examined) -> Evidence:
    path = current().root / artefact
    if not path.is_file():
        return Evidence(MISSING, "production was not checked from here")
    number = len(_json(path).get("problems", []))
    return Evidence(RUN, f"{counted(number, 'problem')}; SHA-256 {file_hash(path)}")


def _organisation(artefact: str, examined: Examined) -> Evidence:
    return Evidence(OUTSIDE, f"{project_name()} cannot show it: ask the organisation")


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


LOOK: dict[str, Callable[[str, Examined], Evidence]] = {
    "document": _document,
    "report": _report,
    "approval": _approval,
    "lineage": _lineage,
    "audit_log": _audit_log,
    "monitor": _monitor,
    "organisation": _organisation,
}


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
        evidence, owner = evidence_of(control, examined), control["owner"]
        owner = f"{owner}: {people[owner]}" if people.get(owner) else owner
        found = {"status": evidence.status, "found": evidence.shown_by}
        controls[name] = {**control, "owner": owner, **found}
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
        "facts": inventory.facts(),
        "controls": controls,
        "sources": requirements["sources"],
    }


def _people() -> dict[str, str]:
    """Name whom the inventory calls developer and validator."""
    path = current().root / "governance/model_inventory.yaml"
    try:
        entries = documents.record(path).get("models") if path.is_file() else None
    except UnreadableFileError:
        return {}
    first = entries[0] if isinstance(entries, list) and entries else {}
    first = first if isinstance(first, dict) else {}
    return {role: str(first[role]) for role in ("developer", "validator") if first.get(role)}


@verb("poe examine")
@click.argument("version", default="")
def main(version: str) -> int:
    """Show which requirement is met by what; the exit code is 1 if something is missing here.

    VERSION is its number or alias; that of the last run by default.
    """
    examined = examine(version_of(version), date.today())
    current().reports.mkdir(parents=True, exist_ok=True)
    for_people, data = (current().reports / f"examination.{end}" for end in ("html", "json"))
    for_people.write_text(html.render(LAYOUT, **examined), encoding="utf-8")
    data.write_text(json.dumps(examined, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for control in examined["controls"].values():
        if control["status"] == MISSING:
            print(f"missing: {control['artefact']}: {control['found']}", file=sys.stderr)
    counted = Counter(each["status"] for s in examined["sources"] for each in s["requirements"])
    print(", ".join(f"{counted[each]} {WORDS[each]}" for each in WORDS))
    print(f"wrote {shown(for_people)} and {shown(data)}")
    return 1 if counted[MISSING] else 0
