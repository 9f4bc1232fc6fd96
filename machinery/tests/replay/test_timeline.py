"""The timeline tells what happened, also where it is not to the autopilot's credit."""

import json
import math
import re
from typing import Any

import numpy as np
import pytest

from rung_ops.replay import timeline as story
from rung_ops.replay.timeline import build

SECOND = {"release": "v2-a-b", "rows": 700}
STEP = {"started": "2026-01-01T00:00:00.000+00:00", "ended": "2026-01-01T00:00:02.500+00:00"}


def figure(value: float, half: float = 0.01) -> dict[str, float]:
    return {"figure": value, "low": value - half, "high": value + half}


def record(action: str, outcome: str, summary: str = "why", **details: Any) -> dict[str, Any]:
    """The journal of a pass, with the details of its steps."""
    decided = {"action": action, "reasons": ["2 features have drifted <b>"]}
    steps = {"decide": decided, **details}
    return {
        "steps": [{"step": name, "detail": detail, **STEP} for name, detail in steps.items()],
        "outcome": outcome,
        "summary": summary,
    }


def period(
    name: str, difference: float, made: dict[str, Any] | None = None, *during: str
) -> dict[str, Any]:
    events = [
        {"event": event, "by": "service", "row": 300, "detail": {"release": "v2-a-b"}}
        for event in during
    ]
    reported = story.summarize(made) if made else None
    return {
        "id": f"p-{name}",
        "name": name,
        "rows": 1000,
        "seconds": 1.0,
        "answered": [{"release": "v1-a-b", "rows": 300}, *([] if difference == 0 else [SECOND])],
        "with": figure(0.7 + difference),
        "without": figure(0.7),
        "difference": figure(difference, 0.005),
        "drift": [
            {"name": "hour", "psi": 0.12, "drifted": True},
            {"name": "kind", "psi": None, "drifted": False},
        ],
        "trial": {"release": "v2-a-b", "lines": ["canary"]} if during else None,
        "pass": reported,
        "headline": story.headline(reported),
        "events": story.events(events, reported),
    }


@pytest.fixture
def timeline() -> dict[str, Any]:
    about = {
        "project": "Late & <flights>",
        "metric": "auc",
        "unit": "month",
        "level": 0.95,
        "first": {"release": "v1-a-b", "rows": 2000, "seconds": 3.0},
        "stand_in": False,
        "notes": ["a `note`"],
        "seconds": 12.0,
    }
    trained: dict[str, Any] = {"train": {"version": "2"}, "deploy": {"release": "v2-a-b"}}
    refused: dict[str, Any] = {"train": {"version": "3"}, "gate": {"refused": "3"}}
    return build(
        about,
        [
            period("2026-03", 0.0, record("retrain", "on trial", **trained)),
            period(
                "2026-04", 0.02, record("retrain", "refused", "not better", **refused), "promote"
            ),
            period("2026-05", -0.02, record("roll back", "rolled back", "v2 is worse")),
            period("2026-06", 0.001, record("nothing", "nothing"), "abort"),
            period("2026-07", 0.03),
        ],
    )


def test_what_happened_is_counted(timeline: dict[str, Any]) -> None:
    counted = timeline["figures"]

    assert counted["requests"] == "5,000"
    assert (counted["trainings"], counted["promoted"]) == ("2", "1")
    assert (counted["refused by the gate"], counted["rolled back"]) == ("1", "1")
    assert counted["aborted"] == "1"
    assert timeline["counts"] == {"better": 2, "worse": 1, "even": 1, "itself": 1}
    assert counted["the same, frozen"] == "0.700"


def test_what_did_not_help_is_reported(timeline: dict[str, Any]) -> None:
    reported = "\n".join(timeline["honest"])

    assert "2026-05: auc was worse than that of the first release by −0.020" in reported
    assert "2026-04: not better" in reported
    assert "2026-05: v2 is worse" in reported
    assert "as its interval includes 0: 2026-06" in reported
    assert "2026-03" not in reported  # nothing was promoted yet, so nothing could have helped


def test_without_a_promotion_nothing_is_claimed(timeline: dict[str, Any]) -> None:
    first = timeline["periods"][0]
    alone = build({key: timeline[key] for key in timeline if key != "periods"}, [first])

    assert alone["honest"] == ["No release was promoted, so only the first one served."]


@pytest.mark.parametrize(
    ("periods", "on_trial", "cause"),
    [
        (
            [period("2026-04", 0.0, record("end trial", "aborted", "v2-a-b is worse"))],
            [],
            "2026-04: v2-a-b is worse.",
        ),
        (
            [period("2026-04", 0.0, record("retrain", "refused", "not better", train={}))],
            [],
            "2026-04: not better.",
        ),
        (
            [period("2026-04", 0.0, record("nothing", "nothing"), "abort")],
            [],
            "2026-04: v2-a-b was aborted within 300 requests.",
        ),
        (
            [period("2026-04", 0.0, record("end trial", "trial ended", "no requests arrive"))],
            [],
            "2026-04: no requests arrive.",
        ),
        ([period("2026-04", 0.0)], ["v2-a-b"], "v2-a-b was still on trial at the end."),
        (
            [period(name, 0.0, record("nothing", "nothing")) for name in ("2026-04", "2026-05")],
            [],
            "No version was trained in 2 of 2 passes: 2 features have drifted <b>.",
        ),
    ],
)
def test_where_nothing_was_promoted_the_cause_is_named(
    timeline: dict[str, Any], periods: list[dict[str, Any]], on_trial: list[str], cause: str
) -> None:
    about = {key: timeline[key] for key in timeline if key != "periods"}

    told = build(about | {"on_trial": on_trial}, periods)

    assert told["honest"][1:] == [cause]


def test_it_says_where_the_time_went(timeline: dict[str, Any]) -> None:
    assert timeline["spent"].startswith(
        "It took 12 seconds: `decide` 10, requests 5, `train` 5, first release 3"
    )


@pytest.mark.parametrize("periods", [6, 12, 24])
def test_the_last_period_is_visible_in_a_window_of_1200(periods: int) -> None:
    chart = story.chart(
        {"periods": [period(f"2026-{n}", 0.0) for n in range(periods)], "metric": "auc", "unit": ""}
    )
    least = re.search(r"min-width:(\d+)px", chart)

    assert least is not None and int(least[1]) <= 1200 - 2 * 24 - 2  # without its margins


def test_no_interval_of_an_error_is_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"seed": 1, "score": {"metric": "mae", "higher_is_better": False}}
    monkeypatch.setattr(story, "params", lambda: settings)
    monkeypatch.setattr(
        story.contract, "score", lambda truth, made: {"mae": float(np.abs(truth - made).mean())}
    )
    actual = np.zeros(40)
    served = np.where(np.arange(40) == 7, 1.0, 0.0)  # one large error

    told = story.compare(actual, served, actual)

    assert told["with"] is not None and told["with"]["low"] == 0.0
    assert told["difference"] is not None and told["difference"]["low"] < -0.025


def test_what_a_person_has_to_do_is_marked() -> None:
    made = story.summarize(record("retrain", "waits for approval", train={"version": "2"}))

    assert [event["kind"] for event in story.events([], made)] == ["trained", "waits for a person"]


def test_the_outcome_names_only_what_happened(timeline: dict[str, Any]) -> None:
    """A sentence about "In 0 the difference may be chance" reads like a mistake."""
    first = {"release": "v1-a-b", "rows": 8}
    about = {name: timeline[name] for name in ("project", "metric", "unit", "level", "notes")}
    about |= {"first": first | timeline["first"], "stand_in": False, "seconds": 1.0}

    assert " In 0 " not in timeline["outcome"]
    assert "may be chance" not in build(about, [period("1", 0.02)])["outcome"]
    assert "may be chance: its" in build(about, [period("1", 0.001)])["outcome"]


def test_the_page_needs_nothing_else_and_says_what_the_data_say(timeline: dict[str, Any]) -> None:
    text = story.page(timeline)
    held = re.search(r'<script type="application/json" id="timeline">(.*?)</script>', text)

    assert held is not None
    assert json.loads(held[1]) == json.loads(json.dumps(timeline))
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", text)
    assert "Late &amp; &lt;flights&gt;" in text
    assert "drifted <b>" not in (shown := text.replace(held[0], ""))
    assert "<code>decide</code> 10" in shown and "`" not in shown.partition("<script>")[0]
    for each in timeline["periods"]:
        assert f'<details class="period" id="{each["id"]}">' in text
        assert f'<a href="#{each["id"]}"' in text


def test_a_figure_that_is_not_defined_leaves_a_gap(timeline: dict[str, Any]) -> None:
    for name in ("with", "without", "difference"):
        timeline["periods"][1][name] = None

    text = story.page(timeline)

    assert text.count('class="point with"') == 4 + 1  # one in the legend
    assert "nan" not in story.chart(timeline)


def test_where_nothing_can_be_compared_the_reason_is_given(timeline: dict[str, Any]) -> None:
    periods = [each | {"rows": 18} for each in timeline["periods"][:1]]
    for name in ("with", "without", "difference"):
        periods[0][name] = None
    periods[0]["drift"] = [{"name": "hour", "psi": 0.12, "drifted": None}]

    few = build(timeline | {"unit": "tenth"}, periods)
    many = build(timeline | {"unit": "tenth"}, [periods[0] | {"rows": 180}])

    assert few["outcome"] == (
        "No tenth is compared: that takes 40 rows, and a tenth has 18 at most."
    )
    assert "a single class" in many["outcome"]
    assert "18 rows, 2026-03, were sent" in few["lead"]
    page, chart = story.page(few), story.chart(few)
    assert "No tenth is compared" in chart and 'class="tick"' not in chart
    assert re.search("<td>18</td><td>–</td><td>–</td><td>–</td><td>–</td>", page)
    assert story.table(few).splitlines()[1].split()[5] == "–"


def test_a_figure_without_a_width_has_no_interval() -> None:
    assert story.interval(figure(1.0, 0.0)) == "1.000"
    assert story.interval(figure(0.5, 0.1)) == "0.500 (0.400 to 0.600)"


@pytest.mark.parametrize(
    "values", [[0.61, 0.72], [300.0, 420.0], [0.5, 0.5], [0.0, 0.0], [-3.0, 9.0], [0.6, 0.6004]]
)
def test_an_axis_has_round_ends_around_its_values(values: list[float]) -> None:
    found_low, found_high, step = story.scale(values)

    assert found_low <= min(values) <= max(values) <= found_high
    assert 3 <= round((found_high - found_low) / step) <= 9
    assert math.isclose(found_low % step, 0, abs_tol=1e-9) or math.isclose(
        found_low % step, step, rel_tol=1e-9
    )


@pytest.mark.parametrize(
    ("names", "asked", "replayed"),
    [
        (["tenth 9", "tenth 10"], 5, "tenth 9 to tenth 10 (5 were asked for)"),
        (["tenth 9", "tenth 10"], None, "tenth 9 to tenth 10"),
        (["tenth 9"], 1, "tenth 9"),
    ],
)
def test_what_is_replayed_is_printed_first(
    names: list[str], asked: int | None, replayed: str
) -> None:
    said = story.scope("tenth", 8, names, asked)

    assert said == f"Replays {replayed}; the first release is trained on the 8 tenths before."


@pytest.mark.parametrize(
    ("value", "shown"), [(0.66, "0.660"), (-43.71, "−43.710"), (132_243.4, "132,243")]
)
def test_figures_of_any_size_are_written_out(value: float, shown: str) -> None:
    assert story.figure({"figure": value}) == shown


def test_the_terminal_shows_a_row_for_each_period(timeline: dict[str, Any]) -> None:
    lines = story.table(timeline).splitlines()

    assert len(lines) == 1 + len(timeline["periods"])
    assert lines[1].split()[:4] == ["2026-03", "1,000", "0.700", "0.700"]
    assert lines[2].endswith("promoted, trained, refused")
