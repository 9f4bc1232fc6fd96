"""The steps that change nothing: look at production, settle the last release, decide."""

import json
from dataclasses import asdict
from typing import Any

from rung_ops.autopilot import decide as rules
from rung_ops.autopilot import gather, hooks, journal, request_errors
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.step_runner import Done, StepFailed
from rung_ops.autopilot.tools import Tools, production
from rung_ops.batch import prediction_log
from rung_ops.project.paths import REPORTS, shown
from rung_ops.release import paths

STATUS = REPORTS / "monitor/status.json"

# The steps that follow a decision.
THEN = {
    rules.NOTHING: (),
    rules.WAIT: (),
    rules.RETRAIN: (
        *("collect", "commit rows", "train", "commit run"),
        *("gate", "release", "publish", "deploy"),
    ),
    rules.ROLL_BACK: ("roll back",),
    rules.END_TRIAL: ("end trial",),
}


def look(tools: Tools, record: Record) -> Done:
    """Run the monitor, and read what the service counts.

    The detail has serving (the release that answers), status (as the monitor wrote it; None where
    no prediction was logged) and reading (None where no service answers).

    Raises:
        StepFailed: the monitor wrote no status.
    """
    serving = production().serving
    if serving is None:
        return Done({"serving": None})
    log = prediction_log.folder(paths.PRODUCTION)
    if not any(log.glob("date=*/*.parquet")):
        return Done({"serving": serving, "status": None, "reading": None})
    status = _printed_status(tools, record) if tools.dry else _written_status(tools, record)
    url = tools.policy.service.url
    reading = request_errors.reading(url, serving) if url else None
    return Done({"serving": serving, "status": status, "reading": reading})


def settle(tools: Tools, record: Record) -> Done:
    """Find out what became of the release that an earlier pass put on trial."""
    found = gather.settled(production(), journal.passes())
    if found:
        tools.say(f"{found['release']}: {found['says']}")
    return Done(found)


def decide(tools: Tools, record: Record) -> Done:
    """Apply the rules."""
    known = gather.gather(record, production(), journal.passes(), tools.policy)
    made = rules.decide(known, tools.policy)
    tools.say(f"Decided: {made.action}, because")
    for reason in made.reasons:
        tools.say(f"- {reason}")
    facts = gather.plain(known)
    detail = asdict(made) | {"facts": facts}
    if made.action == rules.RETRAIN and (veto := hooks.veto(hooks.TRAIN, facts)):
        tools.say(f"Vetoed: {veto}")
        summary = f"the project's veto against training: {veto}"
        return Done(detail | {"veto": veto}, outcome=hooks.VETOED, summary=summary)
    then = THEN[made.action]
    if then:
        return Done(detail, then)
    return Done(detail, outcome=made.action, summary=made.reasons[0])


def _written_status(tools: Tools, record: Record) -> dict[str, Any]:
    STATUS.unlink(missing_ok=True)
    code = tools.tasks.run("monitor", "--now", record["at"])
    try:
        return dict(json.loads(STATUS.read_bytes()))
    except (FileNotFoundError, ValueError):
        raise StepFailed(
            f"`poe monitor` ended with exit code {code} and wrote no {shown(STATUS)}: what it "
            "printed stands above."
        ) from None


def _printed_status(tools: Tools, record: Record) -> dict[str, Any]:
    """Let the monitor print its status instead of writing it."""
    printed = tools.tasks.last_line("monitor", "--json", "--now", record["at"])
    try:
        return dict(json.loads(printed))
    except (ValueError, TypeError):
        raise StepFailed(f"`poe monitor --json` gave no status: {printed}") from None
