"""Figures in words, the same in the terminal and on the page."""

from datetime import datetime
from typing import Any

BETTER, WORSE, EVEN = "better", "worse", "even"


def figure(found: dict[str, Any] | None) -> str:
    """Write a figure; a dash where there is none."""
    return _number(found["figure"], "") if found else "–"


def interval(found: dict[str, Any] | None, signed: bool = False) -> str:
    """Write a figure with its interval; a dash where there is none."""
    if not found:
        return "–"
    sign = "+" if signed else ""
    figure, low, high = (_number(found[name], sign) for name in ("figure", "low", "high"))
    return f"{figure} ({low} to {high})"


def judged(difference: dict[str, Any] | None) -> str:
    """Tell whether the whole interval of a difference lies on one side; more is better."""
    if not difference or difference["low"] <= 0 <= difference["high"]:
        return EVEN
    return BETTER if difference["low"] > 0 else WORSE


def steps(taken: list[dict[str, Any]]) -> str:
    """Name the steps of a pass with the seconds they took."""
    return ", ".join(f"{each['step']} {each['seconds']:.1f} s" for each in taken)


def _number(value: float, sign: str) -> str:
    text = f"{value:{sign}.3f}" if abs(value) < 10 else f"{value:{sign},.4g}"
    return text.replace("-", "−")


def seconds_between(started: str, ended: str | None) -> float:
    """Tell the seconds between two stamps of the journal; 0 where the second is missing."""
    if ended is None:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def table(timeline: dict[str, Any]) -> str:
    """Draw one row for each period, for a terminal."""
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
