"""A check names what is wrong, and nothing where all is well."""

import dataclasses
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.tests.monitoring.made import (
    COLUMN,
    DAY,
    NOW,
    SETTINGS,
    log,
    predictions,
    released,
    rows,
)
from rung_ops.model.rules import matcher
from rung_ops.monitoring import check, inputs, monitor_result, observation
from rung_ops.monitoring.check import Newest
from rung_ops.monitoring.inputs import Age
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.monitor_result import MonitorResult, status
from rung_ops.monitoring.outcomes import TRUTH, Outcomes

HOUR = timedelta(hours=1)
WELL = rows(1_000, seed=2)


def known(rows: pl.DataFrame, truth: pl.Series | None = None) -> Outcomes:
    """Outcomes of rows by their id; all as predicted if not given."""
    answers = pl.Series(predictions(rows) > 0.5).cast(pl.Float64) if truth is None else truth
    ids = pl.Series("id", range(rows.height), dtype=pl.Int64).cast(pl.String)
    by_id = pl.DataFrame([ids, answers.alias(TRUTH)])
    return Outcomes(by_id, pl.DataFrame(schema={TRUTH: pl.Float64}))


NO_OUTCOMES = known(WELL.clear())
FRESH = Newest(NOW - HOUR, NOW - DAY)


def look(
    folder: Path,
    logged: pl.DataFrame,
    outcomes: Outcomes = NO_OUTCOMES,
    newest: Newest = FRESH,
    **manifest: Any,
) -> MonitorResult:
    """Look with the limits that a new project has."""
    given = check.MonitorInput(logged, logged, outcomes, newest, NOW - 7 * DAY, NOW)
    return check.check_release(released(folder, **manifest), given, Limits(), SETTINGS)


def test_a_quiet_week_has_no_problem(tmp_path: Path) -> None:
    result = look(tmp_path, log(WELL), known(WELL))

    assert result.problems == []
    assert result.judged
    assert result.drift["drifted"].to_list() == [False] * 4
    assert status(result)["quality"]["figure"] == 1.0


def test_a_feature_that_moved_is_named_with_the_predictions_it_moves(tmp_path: Path) -> None:
    result = look(tmp_path, log(rows(1_000, seed=2, shift=0.5)))

    actual = status(result)
    assert actual["drift"] == {
        "judged": True,
        "drifted": True,
        "features": ["size"],
        "prediction": True,
    }
    assert [problem.split(" drifted")[0] for problem in result.problems] == [
        "`size`",
        "the predictions",
    ]


def test_a_certain_but_tiny_change_is_not_an_alarm(tmp_path: Path) -> None:
    result = look(tmp_path, log(rows(60_000, seed=2, shift=0.08)))

    moved = result.drift.row(by_predicate=pl.col("feature") == "size", named=True)
    assert moved["p_value"] < result.error
    assert not moved["drifted"]


def test_too_few_rows_are_not_judged_and_the_report_says_it(tmp_path: Path) -> None:
    result = look(tmp_path, log(rows(100, seed=2, shift=2.0)))

    assert not result.judged
    assert result.drift["drifted"].to_list() == [None] * 4
    assert result.problems == []
    assert list(monitor_result.not_judged(result)) == [
        "Drift is not judged: 100 predictions, 250 needed."
    ]
    assert "Not judged: 100 predictions" in observation.html("made", "production", result)


def test_a_window_without_rows_can_be_checked(tmp_path: Path) -> None:
    result = look(tmp_path, log(WELL).clear(), newest=Newest(NOW - 3 * DAY, NOW - DAY))

    assert result.rows == 0
    assert ["prediction" in problem for problem in result.problems] == [True]
    assert json.dumps(status(result), allow_nan=False)
    assert observation.html("made", "production", result)
    assert b"monitor_rows 0.0" in monitor_result.gauges(result)


def test_values_that_are_missing_more_often_are_named(tmp_path: Path) -> None:
    holes = WELL.with_columns(
        weight=pl.when(pl.int_range(pl.len()) < 400).then(None).otherwise("weight")
    )
    used = pl.Series([["weight"] if n < 400 else [] for n in range(1_000)])

    result = look(tmp_path, log(holes, defaults=used))

    assert status(result)["missing"] == {"features": ["weight"], "defaulted": ["weight"]}
    assert len(result.problems) == 2


@pytest.mark.parametrize(
    ("name", "defaulted"),
    [
        ("weight", []),
        ("size", ["size"]),
    ],  # training had as many of the first; the second must be there
)
def test_defaults_are_expected_as_often_as_in_training(
    tmp_path: Path, name: str, defaulted: list[str]
) -> None:
    used = pl.Series([[name] if n % 10 == 0 else [] for n in range(1_000)])

    result = look(tmp_path, log(WELL, defaults=used))

    assert status(result)["missing"]["defaulted"] == defaulted
    assert len(result.problems) == len(defaulted)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("size", 100.5, "at most 100.0"),
        ("size", None, "must not be empty"),
        ("colour", "green", "one of red, blue"),
    ],
)
def test_a_row_beyond_the_bounds_of_the_contract_is_named(
    tmp_path: Path, column: str, value: Any, rule: str
) -> None:
    changed = pl.when(pl.int_range(pl.len()) == 3).then(pl.lit(value)).otherwise(column)

    result = look(tmp_path, log(WELL.with_columns(changed.alias(column))))

    assert result.ranges.select("column", "rule", "rows").rows() == [(column, rule, 1)]
    assert any(f"`{column}`" in problem for problem in result.problems)


@pytest.mark.parametrize(
    ("newest", "manifest", "stale"),
    [
        (Newest(NOW - 25 * HOUR, NOW), {}, "prediction"),
        (Newest(NOW, NOW - 8 * DAY), {}, "row"),
        (Newest(NOW, NOW), {"trained_until": (NOW - 91 * DAY).isoformat()}, "model"),
        (Newest(NOW, NOW), {"trained_until": None, "created": "2025-01-01T00:00:00"}, "model"),
        (Newest(NOW, None), {}, "row"),
    ],
)
def test_what_is_too_old_is_named(
    tmp_path: Path, newest: Newest, manifest: dict[str, Any], stale: str
) -> None:
    result = look(tmp_path, log(WELL), newest=newest, **manifest)

    assert [name for name, age in result.ages.items() if age.stale] == [stale]
    assert len(result.problems) == 1


@pytest.mark.parametrize(
    ("row", "manifest"),
    [
        # The test rows alone are older than `model_days` where little is asked.
        (NOW, {"trained_until": (NOW - 94 * DAY).isoformat(), "data_until": NOW.isoformat()}),
        (NOW + 30 * DAY, {}),  # a row of days to come
    ],
)
def test_what_is_fresh_is_no_problem(tmp_path: Path, row: Any, manifest: dict[str, Any]) -> None:
    assert look(tmp_path, log(WELL), newest=Newest(NOW, row), **manifest).problems == []


def test_rows_without_a_time_have_no_age(tmp_path: Path) -> None:
    made = released(tmp_path)
    made.contract["time"] = None

    logged = log(WELL)
    given = check.MonitorInput(logged, logged, NO_OUTCOMES, Newest(NOW, None), NOW - DAY, NOW)
    result = check.check_release(made, given, Limits(), SETTINGS)

    assert list(result.ages) == ["prediction", "model"]
    assert result.problems == []


def test_worse_quality_is_named_and_put_into_figures(tmp_path: Path) -> None:
    half_right = pl.Series([0.0, 1.0] * 500)

    result = look(tmp_path, log(WELL), known(WELL, half_right))

    actual = status(result)["quality"]
    assert actual["worse"]
    assert actual["high"] < 0.9 - 0.02
    assert [each["value"] for each in actual["worse_slices"]] == ["red"]
    text = monitor_result.gauges(result).decode()
    assert 'monitor_quality_worse{metric="accuracy",slice="recent",value="all"} 1.0' in text
    assert 'monitor_quality_expected{metric="accuracy",slice="recent",value="all"} 0.9' in text


def test_the_report_shows_what_was_found_and_needs_nothing_else(tmp_path: Path) -> None:
    result = look(tmp_path, log(rows(1_000, seed=2, shift=0.5)), known(WELL))

    html = observation.html("made <here>", "production", result)

    assert "made &lt;here&gt; in production" in html
    assert "<code>size</code> drifted" in html
    assert html.count('class="chip"') == 4
    assert "prefers-color-scheme: dark" in html
    assert "http" not in html.replace("http-equiv", "")
    heads = [len(re.findall("<th[ >]", head)) for head in re.findall("<thead>.*?</thead>", html)]
    assert max(heads) <= 12  # what 1,000 pixels show, with heads that wrap


def test_the_page_counts_what_drifted_as_the_command_does(tmp_path: Path) -> None:
    result = look(tmp_path, log(rows(1_000, seed=2, shift=0.5)))

    html, line = observation.html("made", "production", result), observation.summary(result)

    features, predictions = re.findall(r"<dt>.*?drifted</dt><dd>(.*?)</dd>", html)
    assert f": {features} features" in line
    assert ("and the predictions have not" in line) == (predictions == "no")


def test_the_command_says_the_figure_of_the_outcomes_that_are_known(tmp_path: Path) -> None:
    result = look(tmp_path, log(WELL), known(WELL))

    lines = observation.summary(result).splitlines()

    assert lines[1:] == [f"accuracy 1 by {WELL.height:,} outcomes, 0.9 on the test rows"]
    assert "accuracy" not in observation.summary(look(tmp_path / "unknown", log(WELL)))


def test_a_figure_that_no_outcome_changes_is_shown_without_an_interval(tmp_path: Path) -> None:
    result = look(tmp_path, log(WELL), known(WELL))

    html = observation.html("made", "production", result)

    assert result.quality["low"].drop_nulls().unique().to_list() == [1.0]
    assert re.search(r"known; 1</title>", html) and "(1 to 1)" not in html
    cells = re.search(r'<td class="text">newest days</td>.*?</tr>', html)
    assert cells and "<td>1</td><td>&ndash;</td><td>&ndash;</td>" in cells[0]
    worse = result.quality.head(1).with_columns(worse=True, allowed=pl.lit("0.1"))
    *_, said = monitor_result.problems(dataclasses.replace(result, quality=worse))
    assert " is 1, and was " in said


@pytest.mark.parametrize("share", [0.5, 1e-8])
def test_no_label_of_the_axis_of_outcomes_begins_left_of_the_drawing(
    tmp_path: Path, share: float
) -> None:
    result = look(tmp_path, log(WELL), known(WELL))
    scaled = pl.col("figure", "low", "high", "expected") * share
    result = dataclasses.replace(result, quality=result.quality.with_columns(scaled))

    html = observation.html("made", "production", result)

    labels = re.findall(r'<text class="at" x="([\d.]+)" y="[\d.]+">(.*?)</text>', html)
    assert len(labels) == 3
    widest_digit = 0.64 * 12  # of DejaVu Sans, wider than most, in pixels of the font's 12
    assert all(float(end) >= len(text) * widest_digit for end, text in labels)


@pytest.mark.parametrize(
    ("seconds", "words", "tile"),
    [
        (16, "16 seconds ago", "0 min"),
        (5_400, "90 minutes ago", "90 min"),
        (9_000, "2.5 hours ago", "2.5 h"),
        (259_200, "3 days ago", "3 d"),
    ],
)
def test_an_age_is_said_in_a_unit_of_its_size(seconds: int, words: str, tile: str) -> None:
    age = Age("the newest row", NOW - timedelta(seconds=seconds), DAY, NOW)

    assert words in str(age)
    assert observation._span(age) == tile


def test_figures_can_be_parsed_by_prometheus(tmp_path: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    result = look(tmp_path, log(WELL), known(WELL))

    families = {
        each.name: each
        for each in text_string_to_metric_families(monitor_result.gauges(result).decode())
    }

    assert families["monitor_run_timestamp_seconds"].samples[0].value == NOW.timestamp()
    drifted = families["monitor_feature_drifted"].samples
    assert {each.labels["feature"] for each in drifted} == {*result.drift["feature"]}
    assert families["monitor_newest_timestamp_seconds"].samples[0].labels == {"of": "prediction"}


@pytest.mark.parametrize(
    ("pattern", "text", "breaks"),
    [
        ("^abc$", "abc\n", True),  # `$` is the end of the text, and of no line before it
        (r"^\d$", "٣", False),
        (r"^\p{L}+$", "é", False),
        (r"^(\w+\s?)*$", "a" * 40 + "!", True),  # backtracking would take hours
    ],
)
def test_a_pattern_means_what_the_service_reads_in_it(
    pattern: str, text: str, breaks: bool
) -> None:
    assert matcher(pattern)(text) is not breaks

    column = COLUMN | {"name": "code", "dtype": "str", "polars": "String", "pattern": pattern}
    found = inputs.violations(pl.DataFrame({"code": [text]}), [column])

    assert found["rows"].to_list() == [1] * breaks


def test_a_quality_that_is_not_judged_is_said_with_what_it_takes(tmp_path: Path) -> None:
    two_of_three = known(WELL).by_id.gather_every(3, 0).vstack(known(WELL).by_id.gather_every(3, 1))
    outcomes = Outcomes(two_of_three, pl.DataFrame(schema={TRUTH: pl.Float64}))

    result = look(tmp_path, log(WELL), outcomes)

    (sentence,) = monitor_result.not_judged(result)
    assert sentence.startswith("accuracy is not judged: 67% of the outcomes of 1,000 predictions")
    assert "a day counts with 80% of them" in sentence
    assert sentence in observation.html("p", "production", result)
    assert status(result)["not_judged"] == [sentence]


def test_a_unit_that_changed_is_recognized_with_the_line_that_leaves_out_what_was_before(
    tmp_path: Path,
) -> None:
    kilograms = rows(1_000, seed=2).with_columns(size=pl.col("size").abs() + 5)
    release = released(tmp_path)
    known_in_training = release.reference.with_columns(size=pl.col("size").abs() + 5)
    release = dataclasses.replace(release, reference=known_in_training)
    days = pl.int_range(1_000, eager=True) // 100  # ten days of which the last four have pounds
    pounds = pl.when(pl.Series(days >= 6)).then(2.2046).otherwise(1.0)
    logged = log(kilograms.with_columns(size=pl.col("size") * pounds)).with_columns(
        time=NOW - (10 - days) * pl.duration(days=1)
    )
    given = check.MonitorInput(logged, logged, NO_OUTCOMES, FRESH, NOW - 10 * DAY, NOW)

    result = check.check_release(release, given, Limits(), SETTINGS)

    found = [problem for problem in result.problems if "params.toml" in problem]
    since = (NOW - 4 * DAY).date()
    assert len(found) == 1
    assert f"`size` is about 2.2 times what it was since {since}" in found[0]
    assert f'`begins = "{since}"  # size`' in found[0]


def test_a_shift_is_no_change_of_unit(tmp_path: Path) -> None:
    result = look(tmp_path, log(rows(1_000, seed=2, shift=2.0)))

    assert result.drift["drifted"].any()
    assert not [problem for problem in result.problems if "unit" in problem]
