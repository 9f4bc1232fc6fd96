"""Steps that change nothing: observe production, follow the last release, decide."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rung_ops import prediction_log
from rung_ops.autopilot import decide as rules
from rung_ops.autopilot import gather, hooks, journal, request_errors
from rung_ops.autopilot import policy as autopilot_policy
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.step_runner import Done, StepFailed
from rung_ops.autopilot.tools import Tools, production
from rung_ops.project import current, keyless, release_folders
from rung_ops.project.paths import shown
from rung_ops.system import key_names


def status_file() -> Path:
    """Return the path of the monitor's status."""
    return current().reports / "monitor/status.json"


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
    """Run the monitor, and read the counters of the service.

    The detail has serving (the serving release), status (of the monitor; None if no prediction was
    logged) and reading (None if the service does not answer).

    Raises:
        StepFailed: the monitor did not write its status.
    """
    serving = production().serving
    if serving is None:
        return Done({"serving": None})
    log = prediction_log.folder(release_folders.PRODUCTION)
    if not any(log.glob("date=*/*.parquet")):
        return Done({"serving": serving, "status": None, "reading": None})
    status = _printed_status(tools, record) if tools.dry else _written_status(tools, record)
    url = tools.policy.service.url
    reading = request_errors.reading(url, serving) if url else None
    return Done({"serving": serving, "status": status, "reading": reading})


def settle(tools: Tools, record: Record) -> Done:
    """Find the result of the release that an earlier pass deployed."""
    result = gather.settled(production(), journal.passes())
    if result:
        tools.say(f"{result['release']}: {result['says']}")
    return Done(result)


def decide(tools: Tools, record: Record) -> Done:
    """Apply the rules."""
    # Code of the project and of the release before is asked: the outcomes, their score, the veto.
    detail = keyless.guarded(
        "rung_ops.autopilot.observation:decided", record, kept=key_names.OF_LOG
    )
    action, reasons, veto = detail["action"], detail["reasons"], detail.get("veto")
    tools.say(f"Decided: {action}, because")
    for reason in reasons:
        tools.say(f"- {reason}")
    if veto:
        tools.say(f"Vetoed: {veto}")
        summary = f"the project's veto against training: {veto}"
        return Done(detail, outcome=hooks.VETOED, summary=summary)
    then = THEN[action]
    if then:
        return Done(detail, then)
    return Done(detail, outcome=action, summary=reasons[0])


def decided(record: Record) -> dict[str, Any]:
    """Gather the facts, apply the rules to them, and ask for the project's veto.

    Returns:
        action, reasons, facts, and `veto` where there is one, as the journal keeps them.
    """
    policy = autopilot_policy.read()
    gathered = gather.gather(record, production(), journal.passes(), policy)
    decision = rules.decide(gathered, policy)
    facts = gather.as_json(gathered)
    veto = hooks.veto(hooks.TRAIN, facts) if decision.action == rules.RETRAIN else None
    return asdict(decision) | {"facts": facts} | ({"veto": veto} if veto else {})


def _written_status(tools: Tools, record: Record) -> dict[str, Any]:
    status_file().unlink(missing_ok=True)
    code = tools.tasks.run("monitor", "--now", record["at"])
    try:
        return dict(json.loads(status_file().read_bytes()))
    except (FileNotFoundError, ValueError):
        raise StepFailed(
            f"`poe monitor` ended with exit code {code} and did not write {shown(status_file())}: see its "
            "output above."
        ) from None


def _printed_status(tools: Tools, record: Record) -> dict[str, Any]:
    """Run the monitor so that it prints its status instead of writing it."""
    printed = tools.tasks.last_line("monitor", "--json", "--now", record["at"])
    try:
        return dict(json.loads(printed))
    except (ValueError, TypeError):
        raise StepFailed(f"`poe monitor --json` did not print a status: {printed}") from None
