"""Describe the events of a period, for the page and the terminal."""

from typing import Any

from rung_ops.autopilot import decide
from rung_ops.replay import wording

# Names on the page of events in the history of the releases.
DURING = {
    **{"promote": "promoted", "serve": "promoted"},
    **{"abort": "rolled back", "roll_back": "rolled back"},
}


def summarize(record: dict[str, Any]) -> dict[str, Any]:
    """Summarize the record of a pass for the page."""
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


def headline(summary: dict[str, Any] | None) -> str:
    """Describe in one line what the autopilot did at the end of a period."""
    if summary is None:
        return "the replay ends here"
    first = summary["reasons"][0]
    if summary["action"] == decide.NOTHING:
        return f"nothing: {first}"
    if summary["action"] == decide.WAIT:
        return f"waited: {first}"
    if summary["action"] == decide.RETRAIN:
        return f"trained version {summary['version']}, as {first}; {summary['summary']}"
    return str(summary["summary"])


def events(during: list[dict[str, Any]], summary: dict[str, Any] | None) -> list[dict[str, str]]:
    """List the events of a period for the chart: during the period and at its end."""
    marked = [
        {"kind": DURING[event["event"]], "when": "during", "says": _sentence(event)}
        for event in during
        if event["event"] in DURING
    ]
    if summary is None:
        return marked
    if summary["version"]:
        sentence = f"version {summary['version']} was trained"
        marked.append({"kind": "trained", "when": "after", "says": sentence})
    kinds = {
        "refused": "refused",
        "rolled back": "rolled back",
        "trial ended": "rolled back",
        "waits for approval": "waits for a person",
    }
    if summary["outcome"] in kinds:
        kind = kinds[summary["outcome"]]
        marked.append({"kind": kind, "when": "after", "says": summary["summary"]})
    return marked


def _sentence(event: dict[str, Any]) -> str:
    detail = event["detail"]
    reason = f": {detail['reason']}" if detail.get("reason") else ""
    when = f"within {event['row']:,} requests"
    return f"{detail['release']} was {DURING[event['event']]} {when}{reason}"
