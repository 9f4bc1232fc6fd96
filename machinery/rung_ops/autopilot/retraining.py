"""Steps that train a version: collect rows, commit them, run the pipeline, commit its run."""

from datetime import datetime
from typing import Any

from rung_ops.autopilot import collect as served
from rung_ops.autopilot import commits, journal
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.labelled import answers
from rung_ops.autopilot.step_runner import Done
from rung_ops.autopilot.tools import Tools, tries
from rung_ops.project import current, keyless, release_folders
from rung_ops.project.paths import shown
from rung_ops.system import key_names
from rung_ops.tracking import last_run


def collect(tools: Tools, record: Record) -> Done:
    """Write the labelled rows that no training used to data/incoming."""
    commits.refuse_foreign_changes(resumed=tries(record, "collect") > 1)
    served.remove_uncommitted()
    if not current().rows.exists():  # a fresh clone; new_rows() needs them
        tools.tasks.must("validate")
    # With the project's Row.
    detail = keyless.guarded(
        "rung_ops.autopilot.retraining:collected", record["at"], kept=key_names.OF_LOG
    )
    if detail["rows"]:
        tools.say(f"collected {detail['rows']:,} labelled rows: {detail['file']}")
    return Done(detail)


def collected(until: str) -> dict[str, Any]:
    """Write the rows of production whose outcome is known at a time and that no training used.

    Returns:
        rows, and `file` where there are some.
    """
    rows = served.new_rows(answers(release_folders.PRODUCTION, datetime.fromisoformat(until)))
    if rows.is_empty():
        return {"rows": 0}
    path = served.write(rows)
    return {"rows": rows.height, "file": shown(path)}


def commit_rows(tools: Tools, record: Record) -> Done:
    """Version the new rows with DVC and commit them, so that the model can be traced to them."""
    tools.tasks.must("incoming")
    rows = journal.detail(record, "collect")["rows"]
    return Done({"commit": commits.commit(f"data: add {rows:,} labelled rows of production")})


def train(tools: Tools, record: Record) -> Done:
    """Run the pipeline."""
    commits.refuse_foreign_changes(resumed=True)
    if tries(record, "train") > 1:
        adopted = _adopt()
        if adopted:
            tools.say(f"version {adopted} was registered already")
    tools.tasks.must("pipeline")
    return Done(last_run.read())


def commit_run(tools: Tools, record: Record) -> Done:
    """Commit the files that record the pipeline's run."""
    version = journal.detail(record, "train").get("version", "")
    return Done({"commit": commits.commit(f"pipeline: train version {version}")})


def _adopt() -> str | None:
    """Adopt a version that a killed pipeline registered without recording it.

    Otherwise the pipeline would run its last stage again and register the model twice.

    Returns:
        The number of the version; None if there is no such version.
    """
    # Imported here because they import MLflow, and most passes do not train.
    from rung_ops.tracking import registry
    from rung_ops.tracking.source_state import origin

    here = origin()
    for version in registry.versions():
        if str(version.version) == last_run.read().get("version"):
            return None
        if all(version.tags.get(name) == here[name] for name in here):
            return _record_version(version)
    return None


def _record_version(version: Any) -> str:
    from rung_ops.tracking import registry

    registry.client().set_registered_model_alias(version.name, registry.CHALLENGER, version.version)
    last_run.write_and_commit(str(version.run_id), version.name, str(version.version))
    return str(version.version)
