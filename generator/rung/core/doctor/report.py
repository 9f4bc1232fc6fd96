"""What the doctor found, for people and for machines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.core.doctor.probe import Finding


@dataclass(frozen=True)
class Report:
    """What was checked, and what was found.

    Attributes:
        machine: Rung's version, the system and its Python.
        subject: the project and its rung, as a sentence.
        level: the rung that was asked about.
        needed: what it needs.
        optional: what single tasks of it need.
        later: what higher rungs or other answers need.
    """

    machine: str
    subject: str
    level: int
    needed: Sequence[Finding]
    optional: Sequence[Finding]
    later: Sequence[Finding]

    @property
    def lacks(self) -> list[Finding]:
        """Return what is needed and not found."""
        return [finding for finding in self.needed if finding.status != "found"]


def text(report: Report) -> str:
    """Return the report for a terminal."""
    lines = [report.machine, report.subject]
    for title, findings in (
        ("Needed", report.needed),
        ("Needed by single tasks", report.optional),
        ("Not needed here", report.later),
    ):
        if findings:
            lines += ["", title, *(line for finding in findings for line in _lines(finding))]
    names = ", ".join(finding.need.name for finding in report.lacks)
    lines += ["", f"To fix: {names}." if names else "Everything needed was found."]
    return "\n".join(lines)


def as_json(report: Report) -> str:
    """Return the report for machines."""
    groups = {"needed": report.needed, "optional": report.optional, "later": report.later}
    data = {
        "machine": report.machine,
        "level": report.level,
        "complete": not report.lacks,
        **{name: [_data(finding) for finding in findings] for name, findings in groups.items()},
    }
    return json.dumps(data, indent=2)


def _lines(finding: Finding) -> list[str]:
    need = finding.need
    name = f"{need.name} {finding.version}".rstrip()
    answers = "".join(f", {name}: {_or(wanted)}" for name, wanted in need.when.items())
    lines = [
        f"  {finding.status:<11}  {name:<24}  since rung {need.since}{answers}: to {need.purpose}"
    ]
    if finding.reason:
        lines.append(f"{'':15}{finding.reason}")
    if finding.fix:
        lines.append(f"{'':15}Fix: {finding.fix}")
    return lines


def _or(wanted: Any) -> str:
    return wanted if isinstance(wanted, str) else " or ".join(wanted)


def _data(finding: Finding) -> dict[str, Any]:
    need = finding.need
    return {
        "name": need.name,
        "status": finding.status,
        "version": finding.version or None,
        "since": need.since,
        "when": dict(need.when),
        "for": need.purpose,
        "reason": finding.reason or None,
        "fix": finding.fix or None,
    }


def where(project: Path | None, level: int, answers: Mapping[str, Any]) -> str:
    """Say in a line what is checked: a project, or a rung and answers."""
    answered = "".join(f", {name}: {value}" for name, value in sorted(answers.items()))
    if project is None:
        return f"Rung {level}{answered}. No project is here: `--to N` and `-d QUESTION=ANSWER` ask for more."
    return f"{project} on rung {level}"
