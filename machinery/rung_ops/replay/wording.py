"""Format figures as text, for the terminal and the page."""

from datetime import datetime
from typing import Any

from rung_ops.system.printable import in_column

BETTER, WORSE, EVEN = "better", "worse", "even"


def figure(value: dict[str, Any] | None) -> str:
    """Format a figure; a dash if there is none."""
    return _number(value["figure"], "") if value else "–"


def interval(value: dict[str, Any] | None, signed: bool = False) -> str:
    """Format a figure with its interval; a dash if there is none."""
    if not value:
        return "–"
    sign = "+" if signed else ""
    figure, low, high = (_number(value[name], sign) for name in ("figure", "low", "high"))
    return f"{figure} ({low} to {high})"


def judged(difference: dict[str, Any] | None) -> str:
    """Return BETTER or WORSE if the interval of a difference excludes 0, otherwise EVEN."""
    if not difference or difference["low"] <= 0 <= difference["high"]:
        return EVEN
    return BETTER if difference["low"] > 0 else WORSE


def steps(taken: list[dict[str, Any]]) -> str:
    """Format the steps of a pass with their durations."""
    return ", ".join(f"{each['step']} {each['seconds']:.1f} s" for each in taken)


def _number(value: float, sign: str) -> str:
    # Three decimals, not the gate's four: a figure stands beside its interval. The page is typeset,
    # so a minus is a minus sign.
    return in_column(value, 3, sign).replace("-", "−")


def seconds_between(started: str, ended: str | None) -> float:
    """Return the seconds between two times of the journal; 0 if the second is missing."""
    if ended is None:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def scope(unit: str, before: int, names: list[str], asked: int | None) -> str:
    """Say which periods are replayed, and which the first release is trained on.

    Args:
        unit: name of a period: month or tenth.
        before: number of periods that the first release is trained on.
        names: of the periods that are replayed, in order.
        asked: how many were asked for; None for all.
    """
    replayed = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    few = asked is not None and asked > len(names)
    more = f" ({asked} were asked for)" if few else ""
    return f"Replays {replayed}{more}; the first release is trained on the {before} {unit}s before."


def table(timeline: dict[str, Any]) -> str:
    """Format a table for the terminal, with one row for each period."""
    heads = (timeline["unit"], "requests", "with", "frozen", "difference", "drifted", "autopilot")
    rows = [heads] + [
        (
            each["name"],
            f"{each['rows']:,}",
            figure(each["with"]),
            figure(each["without"]),
            interval(each["difference"], signed=True),
            str(sum(feature["drifted"] for feature in each["drift"])),
            ", ".join(event["kind"] for event in each["events"]) or "–",
        )
        for each in timeline["periods"]
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [*map(str.rjust, row[:-1], widths[:-1]), row[-1]],
        )
        for row in rows
    )
