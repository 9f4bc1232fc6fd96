"""What production served and what the monitor found, for the technical file."""

from rung_governance import markdown, override_counts
from rung_governance.file_parts import Missing, read_json
from rung_governance.overrides import OVERRIDE, Overrides
from rung_ops.project import current, release_folders
from rung_ops.release import state
from rung_ops.training import model_card


def served(version: str) -> str:
    """List what production has served, and what people did about it."""
    try:
        events = state.events(release_folders.environment(release_folders.PRODUCTION))
    except state.StateError as error:
        raise Missing(str(error)) from error
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
    overrides = (
        f"Predictions that were overruled: {len(overruled)}, in {entries} entries of the audit log."
    )
    unlogged = override_counts.unlogged(folder, overruled)
    return f"{markdown.table(rows)}\n\n{overrides} {unlogged}".rstrip()


def monitored(version: str) -> str:
    """Write what the last check of production found."""
    path = current().reports / "monitor/status.json"
    if not path.is_file():
        return "Production was not checked from here yet: run `uv run poe monitor`."
    return model_card.figures(read_json(path))
