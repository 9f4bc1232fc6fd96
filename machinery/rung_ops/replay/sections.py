"""The tables and the foldable parts of the timeline."""

from collections.abc import Iterator
from html import escape
from typing import Any

from rung_ops.replay import wording

MAX_FEATURES = 40  # rows of the table of drift


def table(timeline: dict[str, Any]) -> str:
    """Draw one row for each period."""
    metric = timeline["metric"]
    heads = ["requests", f"{metric} with", "frozen", "difference", "drifted"]
    head = f'<th class="text">{timeline["unit"]}</th>' + "".join(
        f"<th>{escape(name)}</th>" for name in heads
    )
    body = "".join(_row(each) for each in timeline["periods"])
    return (
        f'<table><thead><tr>{head}<th class="text long">what the autopilot did at its end</th></tr>'
        f"</thead><tbody>{body}</tbody></table>"
    )


def drift(timeline: dict[str, Any]) -> str:
    """Draw the population stability index of each feature in each period."""
    periods = timeline["periods"]
    names = list(dict.fromkeys(f["name"] for each in periods for f in each["drift"]))
    if not names:
        return "<p>Nothing was looked at.</p>"
    head = "".join(f"<th>{escape(each['name'])}</th>" for each in periods)
    rows = []
    for name in names[:MAX_FEATURES]:
        found = [{f["name"]: f for f in each["drift"]}.get(name) for each in periods]
        cells = "".join(map(_drift_cell, found))
        rows.append(f'<tr><th class="text" scope="row">{escape(name)}</th>{cells}</tr>')
    left_out = len(names) - MAX_FEATURES
    more = f"<p>{left_out} more are in the data of this page.</p>" if left_out > 0 else ""
    return (
        "<p>The population stability index against what the release that answered had learned "
        "from. <b>Bold</b> with a mark <b>*</b>: the monitor's test says that it has drifted.</p>"
        '<div class="wide" tabindex="0" role="region" aria-labelledby="drift"><table><thead><tr>'
        f'<th class="text">feature</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f"</div>{more}"
    )


def period(each: dict[str, Any], timeline: dict[str, Any]) -> str:
    """Draw the part of one period that can be opened."""
    parts = "".join(_parts(each, timeline))
    return (
        f'<details class="period" id="{escape(each["id"])}"><summary><b>{escape(each["name"])}</b> '
        f"{escape(each['headline'])}</summary><div>{parts}</div></details>"
    )


def _row(each: dict[str, Any]) -> str:
    drifted = sum(feature["drifted"] for feature in each["drift"])
    cells = [
        f"{each['rows']:,}",
        wording.figure(each["with"]),
        wording.figure(each["without"]),
        _difference(each["difference"]),
        str(drifted),
    ]
    link = f'<a href="#{escape(each["id"])}">{escape(each["name"])}</a>'
    return (
        f'<tr><th class="text" scope="row">{link}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + f'<td class="text long">{escape(each["headline"])}</td></tr>'
    )


def _difference(found: dict[str, Any] | None) -> str:
    if not found:
        return "&ndash;"
    said = wording.judged(found)
    mark = {"better": " &#9650;", "worse": " &#9660;"}.get(said, "")
    return (
        f'<span class="{said}" title="{said}">{wording.interval(found, signed=True)}{mark}</span>'
    )


def _drift_cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "<td>&ndash;</td>"
    size = "&ndash;" if found["psi"] is None else f"{found['psi']:.3f}"
    return f'<td class="drifted">{size}&nbsp;*</td>' if found["drifted"] else f"<td>{size}</td>"


def _parts(each: dict[str, Any], timeline: dict[str, Any]) -> Iterator[str]:
    yield "<h3>Who answered</h3><ul>"
    for share in each["answered"]:
        yield f"<li>{escape(share['release'])}: {share['rows']:,} requests</li>"
    yield "</ul>"
    metric = escape(timeline["metric"])
    yield f"<h3>Quality</h3><ul><li>{metric} with the autopilot {wording.interval(each['with'])}; "
    yield f"of the first release {wording.interval(each['without'])}; difference "
    yield f"{wording.interval(each['difference'], signed=True)} (more is better)</li></ul>"
    if each["trial"]:
        yield f"<h3>On trial: {escape(each['trial']['release'])}</h3><ul>"
        yield "".join(f"<li>{escape(line)}</li>" for line in each["trial"]["lines"])
        yield "</ul>"
    if each["pass"]:
        yield "<h3>The autopilot's pass at its end</h3>"
        yield f"<p>Decided: {escape(each['pass']['action'])}, because</p><ul>"
        yield "".join(f"<li>{escape(line)}</li>" for line in each["pass"]["reasons"])
        yield "</ul>"
        if each["pass"]["steps"]:
            yield f"<p>{escape(wording.steps(each['pass']['steps']))}</p>"
        if each["pass"]["summary"]:
            yield f"<p>{escape(each['pass']['summary'])}</p>"
