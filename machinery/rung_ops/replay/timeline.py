"""Build the timeline of a replay: figures and text from its periods."""

from collections.abc import Iterator
from statistics import mean
from typing import Any

from rung_ops.replay import wording
from rung_ops.replay.wording import BETTER, EVEN, WORSE

SCHEMA = 1
Period = dict[str, Any]

ITSELF = "itself"  # nothing to compare: only the first release served


def build(about: dict[str, Any], periods: list[Period]) -> dict[str, Any]:
    """Build the timeline.

    Args:
        about: project, metric, unit, level, first, stand_in (whether the replay approved releases
            in place of a person), notes, seconds.
        periods: id, name, from, until, rows, seconds, answered, with, without, difference, drift,
            trial, pass (from events.summarize()), headline, events.

    Returns:
        The content of reports/replay/timeline.json.
    """
    marks = [event["kind"] for each in periods for event in each["events"]]
    first = about["first"]["release"]
    judged = [_judged(each, first) for each in periods if each["difference"]]
    counts = {kind: judged.count(kind) for kind in (BETTER, WORSE, EVEN, ITSELF)}
    metric, unit = about["metric"], about["unit"]
    scored = [each for each in periods if each["with"] and each["without"]]
    figures = {
        "requests": f"{sum(each['rows'] for each in periods):,}",
        "trainings": str(marks.count("trained")),
        "promoted": str(marks.count("promoted")),
        "refused by the gate": str(marks.count("refused")),
        "rolled back": str(marks.count("rolled back")),
    }
    if "waits for a person" in marks:
        figures["waiting for a person"] = str(marks.count("waits for a person"))
    for side, name in (("with", f"{metric}, mean of the {unit}s"), ("without", "the same, frozen")):
        if scored:
            figures[name] = wording.figure(
                {"figure": mean(each[side]["figure"] for each in scored)}
            )
    return {
        "schema": SCHEMA,
        **about,
        "lead": _lead(about, periods),
        "figures": figures,
        "counts": counts,
        "outcome": " ".join(_outcome(about, counts)),
        "honest": list(_shortcomings(about, periods, marks)) or ["There was no such case."],
        "periods": periods,
    }


def _outcome(about: dict[str, Any], counts: dict[str, int]) -> Iterator[str]:
    yield (
        f"By {about['metric']}, the predictions were better than those of the frozen first release "
        f"in {counts[BETTER]} of {sum(counts.values())} {about['unit']}s and worse in {counts[WORSE]}."
    )
    if counts[EVEN]:
        yield (
            f"In {counts[EVEN]} the difference may be chance: its {about['level']:.0%} interval "
            "includes 0."
        )
    if counts[ITSELF]:
        yield f"In {counts[ITSELF]} only the first release served."


def _lead(about: dict[str, Any], periods: list[Period]) -> str:
    first = about["first"]
    rows = sum(each["rows"] for each in periods)
    stand_in = (
        " In this project a person has to approve releases: the replay did so in place of the "
        f"person, a {about['unit']} later each time, without a validation."
    )
    return (
        f"{rows:,} rows, {periods[0]['name']} to {periods[-1]['name']}, were sent to the "
        f"prediction service {about['unit']} by {about['unit']}, with a pass of the autopilot at "
        f"the end of each. The first release, {first['release']}, was trained on the "
        f"{first['rows']:,} rows before; it is frozen for the comparison."
        + (stand_in if about["stand_in"] else "")
    )


def _judged(period: Period, first: str) -> str:
    """Compare the served predictions of a period with those of the first release."""
    if all(share["release"] == first for share in period["answered"]):
        return ITSELF
    return wording.judged(period["difference"])


def _shortcomings(about: dict[str, Any], periods: list[Period], marks: list[str]) -> Iterator[str]:
    """Yield the cases in which the autopilot did not help, or did harm."""
    metric, unit = about["metric"], about["unit"]
    if "promoted" not in marks:
        yield "No release was promoted, so only the first one served."
        return
    for each in periods:
        if wording.judged(each["difference"]) == WORSE:
            yield (
                f"{each['name']}: {metric} was worse than that of the first release by "
                f"{wording.interval(each['difference'], signed=True)}."
            )
    for each in periods:
        for event in each["events"]:
            if event["kind"] in ("refused", "rolled back"):
                yield f"{each['name']}: {event['says']}."
    promoted = [any(event["kind"] == "promoted" for event in each["events"]) for each in periods]
    later = periods[promoted.index(True) :]
    even = [each["name"] for each in later if wording.judged(each["difference"]) == EVEN]
    if even:
        yield (
            f"In {len(even)} of the {len(later)} {unit}s from the first promotion on, the "
            f"difference may be chance, as its interval includes 0: {', '.join(even)}."
        )
