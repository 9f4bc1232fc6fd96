"""A review as SARIF 2.1.0, for code scanning."""

import hashlib
import json
from typing import Any
from urllib.parse import quote

from rung.check.report.facts import proof
from rung.check.review.findings import Finding
from rung.check.review.review import Review

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def make(review: Review, before: Review | None = None) -> str:
    """Return a review as SARIF."""
    from rung.levels import template

    required = [
        finding
        for finding in review.findings.values()
        if (level := finding.rung(review.game)) is not None and level <= review.level + 1
    ]
    blocking = {blocker.finding.capability.id for blocker in review.rating.blockers}
    run = {
        "tool": {
            "driver": {
                "name": "rung check",
                "version": template.tag()[1:],
                "informationUri": template.url(),
                "rules": [_rule(finding, template.url()) for finding in required],
            }
        },
        "columnKind": "unicodeCodePoints",
        "properties": {
            "level": review.level,
            "game": review.game,
            "partial": review.left_out.out_of_time,
            "runs": [{"command": trial.command, "result": trial.result} for trial in review.trials],
        },
        "results": [
            _result(number, finding, finding.capability.id in blocking)
            for number, finding in enumerate(required)
            if not finding.holds or finding.proof == "disproven"
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(finding: Finding, url: str) -> dict[str, Any]:
    capability = finding.capability
    return {
        "id": capability.id,
        "name": capability.id,
        "shortDescription": {"text": capability.why},
        "fullDescription": {"text": f"{capability.why} Source: {capability.source}."},
        "help": {"text": f"{capability.fix} It takes {capability.effort}."},
        "helpUri": f"{url}/blob/main/docs/levels.md",
        "properties": {"tags": ["mlops", capability.block]},
    }


def _result(number: int, finding: Finding, blocks: bool) -> dict[str, Any]:
    capability = finding.capability
    result = f"only {finding.tier}" if finding.tier else "not found"
    if finding.proof == "disproven":
        result = proof(finding)
    # Code scanning needs a location; a capability without evidence gets the README.
    locations = [shown.match for shown in finding.shown if shown.match.path][:1]
    path, line = (locations[0].path, locations[0].line) if locations else ("README.md", 1)
    return {
        "ruleId": capability.id,
        "ruleIndex": number,
        "level": "warning" if blocks or finding.proof == "disproven" else "note",
        "message": {"text": f"{capability.id} is {result}. {capability.fix}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(path.encode("utf-8", "surrogateescape"))},
                    "region": {"startLine": max(1, line)},
                }
            }
        ],
        "properties": {"proof": finding.proof},
        "partialFingerprints": {
            "capability/v1": hashlib.sha256(capability.id.encode()).hexdigest()
        },
    }
