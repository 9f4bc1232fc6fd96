"""What the releases and the autopilot did in a period, for the page and the terminal."""

from typing import Any

from rung_ops.autopilot import decide
from rung_ops.replay import wording

# What an event in the history of the releases is on the page.
DURING = {
    **{"promote": "promoted", "serve": "promoted"},
    **{"abort": "rolled back", "roll_back": "rolled back"},
}


def told(record: dict[str, Any]) -> dict[str, Any]:
    """Take from the record of a pass what the page tells."""
    steps = {each["step"]: each for each in record["steps"]}
    decided = steps["decide"]["detail"]
    return {
        "action": decided["action"],
        "reasons": list(decided["reasons"]),
        "outcome": record["outcome"],
        "summary": record["summary"],
        "version": steps["train"]["detail"].get("version") if "train" in steps else None,
        "steps": [
            {"step": name, "seconds": wording.seconds_between(each["started"], each["ended"])}
            for name, each in steps.items()
        ],
    }


def headline(made: dict[str, Any] | None) -> str:
    """Say in one line what the autopilot did at the end of a period."""
    if made is None:
        return "the replay ends here"
    first = made["reasons"][0]
    if made["action"] == decide.NOTHING:
        return f"nothing: {first}"
    if made["action"] == decide.WAIT:
        return f"waited: {first}"
    if made["action"] == decide.RETRAIN:
        return f"trained version {made['version']}, as {first}; {made['summary']}"
    return str(made["summary"])


def events(during: list[dict[str, Any]], made: dict[str, Any] | None) -> list[dict[str, str]]:
    """List what the chart marks: what happened during a period, and at its end."""
    found = [
        {"kind": DURING[event["event"]], "when": "during", "says": _says(event)}
        for event in during
        if event["event"] in DURING
    ]
    if made is None:
        return found
    if made["version"]:
        says = f"version {made['version']} was trained"
        found.append({"kind": "trained", "when": "after", "says": says})
    kinds = {
        "refused": "refused",
        "rolled back": "rolled back",
        "trial ended": "rolled back",
        "waits for approval": "waits for a person",
    }
    if made["outcome"] in kinds:
        kind = kinds[made["outcome"]]
        found.append({"kind": kind, "when": "after", "says": made["summary"]})
    return found


def _says(event: dict[str, Any]) -> str:
    detail = event["detail"]
    reason = f": {detail['reason']}" if detail.get("reason") else ""
    when = f"within {event['row']:,} requests"
    return f"{detail['release']} was {DURING[event['event']]} {when}{reason}"
