"""The steps that only look: at production, at what came of the last release, at the rules."""

from dataclasses import asdict

from rung_ops.autopilot import decide as rules
from rung_ops.autopilot import gather, hooks, journal, observe
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.step_runner import Done
from rung_ops.autopilot.tools import Tools, production

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
    """Let the monitor look at production, and read what the service counts."""
    serving = production().serving
    if serving is None:
        return Done({"serving": None})
    url = tools.policy.service.url
    return Done(observe.look(tools.verbs, serving, record, url, tools.dry))


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
