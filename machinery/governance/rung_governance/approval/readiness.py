"""The conditions of an approval and a promotion besides the approval itself.

No text of the example is left, no review is overdue, and the validation record is plausible in its
dates, judgements, findings and figures. What was approved before keeps answering.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rung_governance import example_text
from rung_governance.approval import validation
from rung_governance.record_check import overdue_reviews
from rung_ops.errors import UnreadableFileError
from rung_ops.project import documents
from rung_ops.system import git

JUDGEMENTS = ("conceptual_soundness", "outcomes_analysis", "limitations")
LEAST_WORDS = 5  # different words; fewer say nothing of a model
# A day is one somewhere on earth: clocks are at most so far from UTC.
EARLIEST, LATEST = timedelta(hours=12), timedelta(hours=14)
CLOSE = 5e-4  # by which a figure may differ: it is written with four decimals


def implausible(version: validation.Version) -> list[str]:
    """List what is implausible or missing in the record of a version; none if there is none."""
    paths = validation.record_paths(version)
    if len(paths) != 1 or validation.record_objections(version):
        return []  # which approval.objections() says
    record = documents.record(paths[0])
    faults = [*_dates(record, _trained(version)), *_judgements(record)]
    faults += [*_findings(record), *_figures(record, version)]
    return [f"{validation.RECORDS}/{paths[0].name}, {each}" for each in faults]


def open_findings(record: Mapping[str, Any], today: date) -> list[str]:
    """List the findings of a validation that are not closed and past their day."""
    findings = record.get("findings")
    return [
        f"the finding `{each.get('finding')}` was due on {each['due']} ({each.get('owner')})"
        for each in (findings if isinstance(findings, list) else [])
        if isinstance(each, dict) and "due" in each
        if not each.get("closed") and str(each["due"]) < today.isoformat()
    ]


def _dates(record: Mapping[str, Any], trained: datetime | None) -> Iterator[str]:
    try:
        day = date.fromisoformat(str(record["date"]))
    except ValueError:
        yield f"date: {record['date']} is not a date"
        return
    if day > (datetime.now(UTC) + LATEST).date():
        yield f"date: {day} is to come. Give the day of the decision"
    if trained and day < (trained - EARLIEST).date():
        yield f"date: {day} is before the version was made, on {trained:%Y-%m-%d}"


def _judgements(record: Mapping[str, Any]) -> Iterator[str]:
    texts = {name: str(record[name]) for name in JUDGEMENTS}
    for name, text in texts.items():
        if len(set(re.findall(r"[^\W\d_]{2,}", text.casefold()))) < LEAST_WORDS:
            yield f"{name}: it takes {LEAST_WORDS} different words to judge a model. Say what was found"
    if len({" ".join(text.casefold().split()) for text in texts.values()}) < len(texts):
        yield "two of the three judgements are the same text. Judge each by itself"


def _findings(record: Mapping[str, Any]) -> Iterator[str]:
    if not record.get("evidence"):
        yield "evidence: is missing. List what was examined: reports, runs, commits"
    if "findings" not in record:
        yield (
            "findings: is missing. List them, each with finding, severity, owner, due and evidence; "
            "`[]` says that there is none"
        )
    findings = record.get("findings", [])
    for each in findings:
        if str(each["due"]) < str(record["date"]):
            yield f"findings: `{each['finding']}` is due on {each['due']}, before the validation"
    is_open = any(each["severity"] == "high" and not each.get("closed") for each in findings)
    if is_open and not record.get("conditions"):
        yield "conditions: is missing. A finding of high severity is open: say what the approval depends on"


def _figures(record: Mapping[str, Any], version: validation.Version) -> Iterator[str]:
    run = getattr(version, "run_id", None)
    if not run or "figures" not in record:  # a release has no run; its record was compared before
        return
    from rung_ops.tracking import registry  # brings MLflow, which takes seconds

    metrics = registry.client().get_run(str(run)).data.metrics
    for name, value in record["figures"].items():
        if name not in metrics or not math.isclose(value, metrics[name], abs_tol=CLOSE):
            yield f"figures: {name} is {value}, and the run recorded {metrics.get(name, 'no such figure')}"


def _trained(version: validation.Version) -> datetime | None:
    """Tell when a version was registered; of a release, the time of its commit, which is older."""
    if made := getattr(version, "creation_timestamp", None):
        return datetime.fromtimestamp(made / 1000, UTC)
    commit = str(version.tags.get("git_commit"))
    committed = git.run(validation.root(), "show", "-s", "--format=%ct", commit, "--")
    return datetime.fromtimestamp(int(committed.stdout), UTC) if committed.stdout.strip() else None


def objections(version: validation.Version) -> list[str]:
    """List documents of the example, records past their review, and what the validation lacks."""
    root = validation.root()
    return [*implausible(version), *overdue_reviews(root), *example_text.objections(root)]


def warnings(version: validation.Version) -> list[str]:
    """List what is past its day while a version answers: reviews of records, findings of it."""
    overdue = overdue_reviews(validation.root())
    for path in validation.record_paths(version):
        try:
            overdue += open_findings(documents.record(path), date.today())
        except UnreadableFileError:
            continue  # which approval.objections() says
    return overdue
