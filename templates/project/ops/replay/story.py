"""What happened in a replay, put together for the page and the terminal.

Rung keeps this file; change it through autopilot.toml.
"""

from collections.abc import Iterator
from statistics import mean
from typing import Any

from ops.autopilot import decide
from ops.replay import words
from ops.replay.words import BETTER, EVEN, WORSE

SCHEMA = 1
Period = dict[str, Any]

# What an event in the history of the releases is on the page.
DURING = {
    **{"promote": "promoted", "serve": "promoted"},
    **{"abort": "taken back", "roll_back": "taken back"},
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
            {"step": name, "seconds": words.seconds_between(each["started"], each["ended"])}
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
        "rolled back": "taken back",
        "trial ended": "taken back",
        "waits for approval": "waits for a person",
    }
    if made["outcome"] in kinds:
        kind = kinds[made["outcome"]]
        found.append({"kind": kind, "when": "after", "says": made["summary"]})
    return found


def timeline(about: dict[str, Any], periods: list[Period]) -> dict[str, Any]:
    """Put a replay together.

    Args:
        about: project, metric, unit, level, first, stand_in (whether the replay approved of
            releases, where a person has to), notes, seconds.
        periods: id, name, from, until, rows, seconds, answered, with, without, difference, drift,
            trial, pass (from told()), headline, events.
    """
    marks = [event["kind"] for each in periods for event in each["events"]]
    judged = [words.judged(each["difference"]) for each in periods if each["difference"]]
    counts = {kind: judged.count(kind) for kind in (BETTER, WORSE, EVEN)}
    metric, unit = about["metric"], about["unit"]
    scored = [each for each in periods if each["with"] and each["without"]]
    figures = {
        "requests": f"{sum(each['rows'] for each in periods):,}",
        "trainings": str(marks.count("trained")),
        "promoted": str(marks.count("promoted")),
        "refused by the gate": str(marks.count("refused")),
        "taken back": str(marks.count("taken back")),
    }
    if "waits for a person" in marks:
        figures["waiting for a person"] = str(marks.count("waits for a person"))
    for side, name in (("with", f"{metric}, mean of the {unit}s"), ("without", "the same, frozen")):
        if scored:
            figures[name] = words.figure({"figure": mean(each[side]["figure"] for each in scored)})
    return {
        "schema": SCHEMA,
        **about,
        "lead": _lead(about, periods),
        "figures": figures,
        "counts": counts,
        "outcome": (
            f"Measured by {metric}, the releases that the autopilot chose were better than the "
            f"first one, frozen, in {counts[BETTER]} of {len(judged)} {unit}s, worse in "
            f"{counts[WORSE]}, and in {counts[EVEN]} the difference was within its "
            f"{about['level']:.0%} interval."
        ),
        "honest": list(_honest(about, periods, marks)) or ["There was no such case."],
        "periods": periods,
    }


def _says(event: dict[str, Any]) -> str:
    detail = event["detail"]
    reason = f": {detail['reason']}" if detail.get("reason") else ""
    return f"{detail['release']} was {DURING[event['event']]} by request {event['row']:,}{reason}"


def _lead(about: dict[str, Any], periods: list[Period]) -> str:
    first = about["first"]
    rows = sum(each["rows"] for each in periods)
    stand_in = (
        " Releases have to be approved of by a person here: the replay did so in that person's "
        f"place, each time a {about['unit']} later, and nobody validated anything."
    )
    return (
        f"{rows:,} rows, {periods[0]['name']} to {periods[-1]['name']}, sent through the "
        f"prediction service {about['unit']} by {about['unit']}, with the autopilot looking after "
        f"it at the end of each. The first release, {first['release']}, was made from the "
        f"{first['rows']:,} rows before; frozen, it is what the autopilot is held against."
        + (stand_in if about["stand_in"] else "")
    )


def _honest(about: dict[str, Any], periods: list[Period], marks: list[str]) -> Iterator[str]:
    """Name where the autopilot brought nothing, or did harm."""
    metric, unit = about["metric"], about["unit"]
    if "promoted" not in marks:
        yield "No release was promoted, so every answer came from the first one."
        return
    for each in periods:
        if words.judged(each["difference"]) == WORSE:
            yield (
                f"{each['name']}: {metric} was worse than that of the first release by "
                f"{words.interval(each['difference'], signed=True)}."
            )
    for each in periods:
        for event in each["events"]:
            if event["kind"] in ("refused", "taken back"):
                yield f"{each['name']}: {event['says']}."
    promoted = [any(event["kind"] == "promoted" for event in each["events"]) for each in periods]
    later = periods[promoted.index(True) :]
    even = [each["name"] for each in later if words.judged(each["difference"]) == EVEN]
    if even:
        yield (
            f"In {len(even)} of the {len(later)} {unit}s from the first promotion on, the "
            f"difference was within its interval: {', '.join(even)}."
        )
