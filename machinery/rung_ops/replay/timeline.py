"""Build the timeline of a replay: what happened in its periods, as figures, sentences and a page.

The page is one self-contained HTML file, laid out by timeline_page.html and timeline_chart.html.
Colours of the chart come from the style sheet of the page, which has a light and a dark theme.
"""

import json
import math
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

import numpy as np
from markupsafe import Markup

from rung_ops import contract
from rung_ops.autopilot import decide
from rung_ops.project.paths import params
from rung_ops.replay import project_copy
from rung_ops.replay.periods import LASTS, TENTH
from rung_ops.statistics.jackknife import GROUPS, dealt, half_widths
from rung_ops.system import html
from rung_ops.system.printable import in_column

BETTER, WORSE, EVEN = "better", "worse", "even"


def figure(value: dict[str, Any] | None) -> str:
    """Format a figure; a dash if there is none."""
    return _number(value["figure"], "") if value else "–"


def interval(value: dict[str, Any] | None, signed: bool = False) -> str:
    """Format a figure with its interval, if that has a width; a dash if there is none."""
    if not value:
        return "–"
    sign = "+" if signed else ""
    figure, low, high = (_number(value[name], sign) for name in ("figure", "low", "high"))
    return figure if value["low"] == value["high"] else f"{figure} ({low} to {high})"


def judged(difference: dict[str, Any] | None) -> str:
    """Return BETTER or WORSE if the interval of a difference excludes 0, otherwise EVEN."""
    if not difference or difference["low"] <= 0 <= difference["high"]:
        return EVEN
    return BETTER if difference["low"] > 0 else WORSE


def drifted(period: dict[str, Any]) -> str:
    """Count the features that drifted in a period; a dash if none was judged."""
    verdicts = [feature["drifted"] for feature in period["drift"] if feature["drifted"] is not None]
    return str(sum(verdicts)) if verdicts else "–"


def steps(taken: list[dict[str, Any]]) -> str:
    """Format the steps of a pass with their durations."""
    return ", ".join(f"{each['step']} {each['seconds']:.1f} s" for each in taken)


def _number(value: float, sign: str) -> str:
    # Three decimals, not the gate's four: a figure stands beside its interval. The page is typeset,
    # so a minus is a minus sign.
    return in_column(value, 3, sign).replace("-", "−")


def _seconds(started: str, ended: str | None) -> float:
    """Return the seconds that a step took; 0 if it has not ended."""
    if ended is None:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def scope(unit: str, before: int, names: list[str], requested: int | None) -> str:
    """Say which periods are replayed, of how many asked for, and how many come before them."""
    replayed = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    few = requested is not None and requested > len(names)
    more = f" ({requested} were asked for)" if few else ""
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
            drifted(each),
            ", ".join(event["kind"] for event in each["events"]) or "–",
        )
        for each in timeline["periods"]
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([*map(str.rjust, row[:-1], widths[:-1]), row[-1]]) for row in rows)


LEVEL = 0.95  # confidence level of the intervals
LEAST = 2 * GROUPS  # rows of a period that is compared

Figure = dict[str, float]


def not_compared(unit: str, rows: list[int]) -> str:
    """Say why no period is compared, of their numbers of rows."""
    if max(rows) < LEAST:
        return (
            f"No {unit} is compared: that takes {LEAST} rows, and a {unit} has {max(rows)} at most."
        )
    return (
        f"No {unit} is compared: score() has no figure of a part of its rows, as of a single class."
    )


def compare(actual: np.ndarray, served: np.ndarray, frozen: np.ndarray) -> dict[str, Figure | None]:
    """Score served and frozen predictions, and their difference: if positive, the served are better."""
    settings = params()
    metric, seed = settings["score"]["metric"], settings["seed"]
    sign = 1 if settings["score"]["higher_is_better"] else -1

    def score(chosen: np.ndarray, predicted: np.ndarray) -> float:
        with warnings.catch_warnings(action="ignore"):
            return float(contract.score(actual[chosen], predicted[chosen])[metric])

    is_frozen = np.array_equal(served, frozen)  # as long as the first release serves

    def figures(chosen: np.ndarray) -> np.ndarray:
        ours = score(chosen, served)
        theirs = ours if is_frozen else score(chosen, frozen)
        return np.array([ours, theirs, sign * (ours - theirs)])

    halves = half_widths(figures, dealt(len(actual), seed), LEVEL)
    names = ("with", "without", "difference")
    if not np.isfinite(halves).all():
        return dict.fromkeys(names)
    found: dict[str, Figure | None] = {}
    for name, value, half in zip(names, figures(np.arange(len(actual))), halves, strict=True):
        low = value - half
        if name != "difference" and value >= 0 and (sign < 0 or value <= 1):
            low = max(low, 0.0)  # no error and no share is below zero, whatever the normal says
        found[name] = {"figure": float(value), "low": float(low), "high": float(value + half)}
    return found


ENDED = ("refused", "aborted", "trial ended", "rolled back")  # names of what a version came to
# Names on the page of events in the history of the releases.
DURING = {
    **{"promote": "promoted", "serve": "promoted"},
    **{"abort": "aborted", "roll_back": "rolled back", "end_trial": "trial ended"},
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
            {"step": name, "seconds": _seconds(each["started"], each["ended"])}
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
        "aborted": "aborted",
        "rolled back": "rolled back",
        "trial ended": "trial ended",
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
    happened = {"end_trial": "ended its trial"}.get(event["event"], f"was {DURING[event['event']]}")
    return f"{detail['release']} {happened} {when}{reason}"


def notes(unit: str, begin: int) -> list[str]:
    """List the differences between a replay and real operation."""
    lines = [
        "The replay ran in a copy of the project, .replay/, with its own repository, data, registry "
        "and releases. Each row was sent to the service as an HTTP request, and each pass is a real "
        "`poe autopilot`. verbs.log and service.log there hold the output.",
        f"The first release was trained on the first {begin} {unit}s and stays frozen for the "
        "comparison.",
        f"All outcomes of a {unit} become known at its end; then the autopilot makes one pass. "
        f"There is no pass after the last {unit}.",
        "The service logs the time of the machine. The monitor and the autopilot read a copy of "
        "the log in which every prediction has the time of its row, and the stages of a trial last "
        "as long by these times as the project's ops/rollout.toml says.",
        "The intervals assume independent rows. Rows of one day are similar, so true intervals are "
        "somewhat wider.",
    ]
    if is_approved_for():
        lines.append(
            "A person has to approve a release before it is served. The autopilot prepared each one "
            f"and stopped; the replay approved it a {unit} later in place of the person, without a "
            "validation. A person might have refused."
        )
    if unit == TENTH:
        lines.append(
            "The rows have no time, or are of too few months. So they were cut into tenths in "
            f"their order, each counted as {LASTS.days} days; drift between tenths need not be "
            "drift over time."
        )
    for name, tables in project_copy.SETTINGS.items():
        values = "; ".join(
            f"[{table}] {', '.join(f'{key} = {json.dumps(value)}' for key, value in keys.items())}"
            for table, keys in tables.items()
        )
        lines.append(f"In the copy, these settings of {name} were replaced: {values}.")
    return lines


def is_approved_for() -> bool:
    """Return whether the replay approves releases in place of a person."""
    person = project_copy.stand_in()
    return person is not None and bool(person.is_required())


SCHEMA = 1
Period = dict[str, Any]

ITSELF = "itself"  # nothing to compare: only the first release served


def build(about: dict[str, Any], periods: list[Period]) -> dict[str, Any]:
    """Build the content of timeline.json of what the replay knows of the whole, and of each period."""
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
    figures |= {kind: str(marks.count(kind)) for kind in ENDED[1:3] if kind in marks}
    if "waits for a person" in marks:
        figures["waiting for a person"] = str(marks.count("waits for a person"))
    for side, name in (("with", f"{metric}, mean of the {unit}s"), ("without", "the same, frozen")):
        if scored:
            figures[name] = figure({"figure": mean(each[side]["figure"] for each in scored)})
    return {
        "schema": SCHEMA,
        **about,
        "lead": _lead(about, periods),
        "figures": figures,
        "counts": counts,
        "outcome": " ".join(_outcome(about, counts, [each["rows"] for each in periods])),
        "spent": _spent(about, periods),
        "honest": list(_shortcomings(about, periods, marks)) or ["There was no such case."],
        "periods": periods,
    }


def _spent(about: dict[str, Any], periods: list[Period]) -> str:
    """Say where the time of the replay went, the longest first."""
    spent = Counter({"first release": about["first"]["seconds"]})
    for each in periods:
        spent["requests"] += each["seconds"]
        for step in each["pass"]["steps"] if each["pass"] else ():
            spent[f"`{step['step']}`"] += step["seconds"]
    spent["all else"] = about["seconds"] - spent.total()
    longest = ", ".join(
        f"{name} {seconds:.0f}" for name, seconds in spent.most_common() if seconds >= 1
    )
    return f"It took {about['seconds']:.0f} seconds: {longest} (`name`: a step of the autopilot)."


def _outcome(about: dict[str, Any], counts: dict[str, int], rows: list[int]) -> Iterator[str]:
    compared = sum(counts.values())
    if not compared:
        yield not_compared(about["unit"], rows)
        return
    yield (
        f"By {about['metric']}, the predictions were better than those of the frozen first release "
        f"in {counts[BETTER]} of {compared} {about['unit']}s and worse in {counts[WORSE]}."
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
    names = periods[0]["name"]
    if len(periods) > 1:
        names += f" to {periods[-1]['name']}"
    return (
        f"{rows:,} rows, {names}, were sent to the "
        f"prediction service {about['unit']} by {about['unit']}, with a pass of the autopilot at "
        f"the end of each. The first release, {first['release']}, was trained on the "
        f"{first['rows']:,} rows before; it is frozen for the comparison."
        + (stand_in if about["stand_in"] else "")
    )


def _judged(period: Period, first: str) -> str:
    """Compare the served predictions of a period with those of the first release."""
    if all(share["release"] == first for share in period["answered"]):
        return ITSELF
    return judged(period["difference"])


def _shortcomings(about: dict[str, Any], periods: list[Period], marks: list[str]) -> Iterator[str]:
    """Yield the cases in which the autopilot did not help, or did harm."""
    metric, unit = about["metric"], about["unit"]
    if "promoted" not in marks:
        yield "No release was promoted, so only the first one served."
        yield from _causes(about, periods, marks)
        return
    for each in periods:
        if judged(each["difference"]) == WORSE:
            yield (
                f"{each['name']}: {metric} was worse than that of the first release by "
                f"{interval(each['difference'], signed=True)}."
            )
    for each in periods:
        for event in each["events"]:
            if event["kind"] in ENDED:
                yield f"{each['name']}: {event['says']}."
    promoted = [any(event["kind"] == "promoted" for event in each["events"]) for each in periods]
    later = periods[promoted.index(True) :]
    even = [each["name"] for each in later if judged(each["difference"]) == EVEN]
    if even:
        yield (
            f"In {len(even)} of the {len(later)} {unit}s from the first promotion on, the "
            f"difference may be chance, as its interval includes 0: {', '.join(even)}."
        )


def _causes(about: dict[str, Any], periods: list[Period], marks: list[str]) -> Iterator[str]:
    """Say why nothing was promoted: what the versions came to, or why none was trained."""
    ended = [
        f"{each['name']}: {event['says']}."
        for each in periods
        for event in each["events"]
        if event["kind"] in (*ENDED, "waits for a person")
    ]
    if about.get("on_trial"):
        ended.append(f"{' and '.join(about['on_trial'])} was still on trial at the end.")
    yield from ended
    if "trained" not in marks and not ended:
        reasons = Counter(each["pass"]["reasons"][0] for each in periods if each["pass"])
        for reason, count in reasons.most_common(3):
            yield f"No version was trained in {count} of {reasons.total()} passes: {reason}."


LEFT, RIGHT, TOP = 52, 12, 14
WIDTH = 1_080  # so that the last period is visible in a window of 1,200
COLUMNS = 46, 92  # narrowest and widest column of a period
PLOT = 230  # height of the plot
COLOURS = 6  # of releases, used in turn

# A shape for each kind of event, as not everyone can distinguish colours.
MARKS = {
    "trained": "M0,-4.5A4.5,4.5 0 1 0 0.01,-4.5Z",
    "promoted": "M0,-5.5L5.5,4.5H-5.5Z",
    "refused": "M-4.5,-4.5L4.5,4.5M-4.5,4.5L4.5,-4.5",
    "rolled back": "M0,5.5L5.5,-4.5H-5.5Z",
    "aborted": "M-4,-4H4V4H-4Z",
    "trial ended": "M-5,-1H5V1H-5Z",
    "waits for a person": "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
}


def chart(timeline: dict[str, Any]) -> str:
    """Draw the timeline, of build(), as SVG."""
    periods = timeline["periods"]
    sides = [period[side] for period in periods for side in ("with", "without") if period[side]]
    low, high, step = scale([found[end] for found in sides for end in ("low", "high")])
    narrowest, widest = COLUMNS
    column = min(widest, max(narrowest, (WIDTH - LEFT - RIGHT) / max(1, len(periods))))
    width = round(LEFT + column * len(periods) + RIGHT)
    served = [share["release"] for period in periods for share in period["answered"]]
    return html.render(
        CHART,
        periods=periods,
        metric=timeline["metric"],
        unit=timeline["unit"],
        mark=mark,
        y_of=lambda value: TOP + PLOT * (1 - (value - low) / (high - low)),
        grid=[low + at * step for at in range(round((high - low) / step) + 1)] if sides else [],
        decimals=max(0, -math.floor(math.log10(step))),
        colours={name: at % COLOURS for at, name in enumerate(dict.fromkeys(served))},
        column=column,
        start=LEFT,
        end=width - RIGHT,
        width=width,
        widest=WIDTH,
        below=TOP + PLOT,
    )


def mark(kind: str, x: float, y: float, what: str) -> Markup:
    """Draw the mark of an event."""
    shape = (
        '<path class="mark {}" d="{}" transform="translate({:.1f},{:.1f})"><title>{}</title></path>'
    )
    return Markup(shape).format(kind.replace(" ", "-"), MARKS[kind], x, y, what)


def scale(values: list[float]) -> tuple[float, float, float]:
    """Return the lower and upper end of an axis and the step of its grid, as round numbers."""
    if not values:
        return 0.0, 1.0, 0.25
    low, high = min(values), max(values)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    span = high - low
    step = 10 ** math.floor(math.log10(span / 3))
    step *= next(times for times in (5, 2, 1) if times * step <= span / 3 or times == 1)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


LAYOUT = Path(__file__).with_name("timeline_page.html")
CHART = LAYOUT.with_name("timeline_chart.html")
MAX_FEATURES = 40  # rows of the table of drift


def page(timeline: dict[str, Any]) -> str:
    """Render the timeline as HTML; the page also embeds it as JSON."""
    kinds = {event["kind"] for each in timeline["periods"] for event in each["events"]}
    return html.render(
        LAYOUT,
        **timeline,
        wording=SimpleNamespace(
            figure=figure, interval=interval, judged=judged, steps=steps, drifted=drifted
        ),
        chart=Markup(chart(timeline)),
        mark=mark,
        kinds=[kind for kind in MARKS if kind in kinds],
        drift=_drift(timeline["periods"]),
        most_features=MAX_FEATURES,
        # Escaped, so that no data can end the <script> element.
        data=Markup(json.dumps(timeline, ensure_ascii=False).replace("<", "\\u003c")),
    )


def _drift(periods: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """List each feature with its drift in each period, None if it was not checked."""
    of_periods = [{feature["name"]: feature for feature in each["drift"]} for each in periods]
    names = dict.fromkeys(name for each in of_periods for name in each)
    return [(name, [each.get(name) for each in of_periods]) for name in names]
