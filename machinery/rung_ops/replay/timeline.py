"""A whole replay, put together from its periods: figures, and what has to be said of them."""

from collections.abc import Iterator
from statistics import mean
from typing import Any

from rung_ops.replay import wording
from rung_ops.replay.wording import BETTER, EVEN, WORSE

SCHEMA = 1
Period = dict[str, Any]

ITSELF = "itself"  # nothing to compare: the first release gave every answer


def put_together(about: dict[str, Any], periods: list[Period]) -> dict[str, Any]:
    """Put a replay together.

    Args:
        about: project, metric, unit, level, first, stand_in (whether the replay approved of
            releases, where a person has to), notes, seconds.
        periods: id, name, from, until, rows, seconds, answered, with, without, difference, drift,
            trial, pass (from told()), headline, events.
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
        "outcome": (
            f"Measured by {metric} and compared with the first release, frozen, the answers were "
            f"better in {counts[BETTER]} of {len(judged)} {unit}s and worse in {counts[WORSE]}. In "
            f"{counts[EVEN]} the difference may be chance: its {about['level']:.0%} interval holds "
            f"0. In {counts[ITSELF]} the first release gave every answer itself."
        ),
        "honest": list(_honest(about, periods, marks)) or ["There was no such case."],
        "periods": periods,
    }


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
        f"{first['rows']:,} rows before; frozen, it is what the autopilot is compared with."
        + (stand_in if about["stand_in"] else "")
    )


def _judged(period: Period, first: str) -> str:
    """Tell whether the answers of a period were better than the first release's."""
    if all(share["release"] == first for share in period["answered"]):
        return ITSELF
    return wording.judged(period["difference"])


def _honest(about: dict[str, Any], periods: list[Period], marks: list[str]) -> Iterator[str]:
    """Name where the autopilot brought nothing, or did harm."""
    metric, unit = about["metric"], about["unit"]
    if "promoted" not in marks:
        yield "No release was promoted, so every answer came from the first one."
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
            f"difference may be chance, as its interval holds 0: {', '.join(even)}."
        )
