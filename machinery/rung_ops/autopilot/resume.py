"""Whether a pass that was stopped can go on here: on a CI machine its work may be gone."""

from pathlib import Path

from rung_ops.autopilot import commits, journal
from rung_ops.autopilot.journal import Record
from rung_ops.project.paths import ROOT
from rung_ops.tracking import last_run


def lost(record: Record) -> str | None:
    """Say what this checkout lacks of what a pass has made; None where it can go on.

    Once its commits are published, and with them all that others need, nothing else has to be here.
    """
    made = [each["detail"].get("commit") for each in record["steps"] if each["detail"]]
    if not all(commits.holds(commit) for commit in made if commit):
        return "its commits are not in this checkout"
    rows = journal.detail(record, "collect").get("file")
    if rows and not (ROOT / rows).exists() and not Path(f"{ROOT / rows}.dvc").exists():
        return "the rows that it collected are not in this checkout"
    trained = journal.detail(record, "train")
    published = journal.detail(record, "publish").get("pushed to")
    if trained and not published and last_run.read() != trained:
        return "the version that it trained is not in this checkout"
    return None
