"""The rules and dashboard of ops/prometheus ask for series that exist; each alert fires in time."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
import yaml

from machinery.tests.monitoring.made import DAY, NOW, SETTINGS, log, released, rows
from rung_ops.features.store import SqliteStore
from rung_ops.monitoring import check, monitor_result
from rung_ops.monitoring.check import Newest
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.outcomes import TRUTH, Outcomes
from rung_ops.project import current
from rung_ops.project.service_settings import SLO
from rung_ops.serving.entity_lookup import LookedUpView, OnlineStore
from rung_ops.serving.metrics import Metrics

FOLDER = current().repository / "ops/prometheus"
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
ALL = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
COLUMNS = 24  # of Grafana's grid
# Words of PromQL in the rules and panels that are not the name of a series.
WORDS = {"by", "group_left", "histogram_quantile", "increase", "max", "min", "on", "rate", "sum"}
WORDS |= {"or", "time", "topk", "unless", "up"}

# Values of series, in the notation of `promtool test rules`: one a minute.
YES, NO, GROWING, FAST = "1x30", "0x30", "0+60x30", "0+240x30"
ANSWERED, FAILED, REFUSED, DROPPED = (
    'service_requests_total{outcome="answered"}',
    'service_requests_total{outcome="failed"}',
    'service_requests_total{outcome="refused"}',
    'prediction_log_rows_total{outcome="dropped"}',
)
SWAPS = 'service_swaps_total{outcome="refused"}'
TRIALS = 'service_trials_total{outcome="not_promoted"}'
HELD_BACK = "autopilot_training_held_back"
FAILURES, RESTARTS = "prediction_log_failures_total", "prediction_log_restarts_total"
READABLE = "service_feature_store_readable"
ANOTHER_TIME = 'service_entity_rows_of_another_time_total{entity="carrier",outcome="refused"}'
RAN = "monitor_run_timestamp_seconds"
HOURS, MOST = (
    f'monitor_limit{{setting="{setting}"}}'
    for setting in ("freshness.monitor_hours", "ranges.most")
)
BROKEN = 'monitor_range_broken_ratio{column="x",rule="at most 1"}'
WORSE = 'monitor_quality_worse{metric="x",slice="recent",value="all"}'
HOSTILE = 'a \\"quoted\\" {{ name }} é'  # of a feature, as a string of PromQL
DRIFTED = f'monitor_feature_drifted{{feature="{HOSTILE}"}}'
INFO = f'monitor_feature_info{{feature="{HOSTILE}",description="in {{{{ braces }}}}"}}'


class Case(NamedTuple):
    """Series with which an alert fires, and with which it does not, looked at after `at`."""

    wrong: Mapping[str, str]
    fine: Mapping[str, str]
    at: str = "15m"


def slo(setting: str, value: float) -> dict[str, str]:
    return {f'service_slo{{setting="{setting}"}}': f"{value}x30"}


def took(seconds: float) -> dict[str, str]:
    """A histogram of requests that all take about so long."""
    ends = {f"{seconds / 2:g}": NO, f"{seconds * 2:g}": GROWING, "+Inf": GROWING}
    return {f'service_request_seconds_bucket{{le="{end}"}}': all_ for end, all_ in ends.items()}


def verdict(series: str) -> Case:
    """An alert that repeats a verdict of the monitor."""
    return Case({series: YES}, {series: NO})


CASES = {
    "RequestsFail": Case(
        {ANSWERED: GROWING, FAILED: FAST, **slo("max_failed", 0.0)},
        {ANSWERED: GROWING, FAILED: NO, **slo("max_failed", 0.0)},
    ),
    "AnswersSlow": Case(took(0.2) | slo("p99_ms", 100.0), took(0.025) | slo("p99_ms", 100.0)),
    "RequestsRefused": Case(
        {ANSWERED: GROWING, REFUSED: FAST, "service_stopped": NO, **slo("max_refused", 0.0)},
        {ANSWERED: NO, REFUSED: FAST, "service_stopped": YES, **slo("max_refused", 0.0)},
    ),
    "ServiceDown": Case({"up": NO}, {"up": YES}),
    "ServiceNotReady": Case(
        {"service_ready": NO, "service_stopped": NO}, {"service_ready": NO, "service_stopped": YES}
    ),
    "ReleaseRefused": Case({SWAPS: "0x5 1x25"}, {SWAPS: NO}),
    "TrialEnded": Case({TRIALS: "0x5 1x25"}, {TRIALS: NO}),
    "ReleaseRolledBack": Case(
        {"service_rollbacks_total": "0x5 1x25"}, {"service_rollbacks_total": NO}
    ),
    "TrainingHeldBack": Case({HELD_BACK: "1x200"}, {HELD_BACK: "0x200"}, at="2h"),
    "ModelStopped": verdict("service_stopped"),
    "PredictionsNotLogged": Case({DROPPED: "0x5 100x25"}, {DROPPED: NO}),
    "LogFails": Case({FAILURES: "0x5 3x25", RESTARTS: NO}, {FAILURES: NO, RESTARTS: NO}),
    "MonitorSilent": Case(
        {RAN: "0x200", HOURS: "1x200"}, {RAN: "0+60x200", HOURS: "1x200"}, at="2h"
    ),
    "MonitorNeverRan": Case({"up": "1x2000"}, {"up": "1x2000", RAN: "0+60x2000"}, at="27h"),
    "PredictionsDrifted": verdict('monitor_feature_drifted{feature="prediction"}'),
    "FeatureDrifted": Case({DRIFTED: YES, INFO: YES}, {DRIFTED: NO, INFO: YES}),
    "FeatureMissing": verdict('monitor_feature_missing_rose{feature="x"}'),
    "DefaultsUsed": verdict('monitor_column_defaulted_rose{column="x"}'),
    "BoundsBroken": Case({BROKEN: "0.1x30", MOST: "0.05x30"}, {BROKEN: "0.1x30", MOST: "0.2x30"}),
    "PredictionsStale": verdict('monitor_stale{of="prediction"}'),
    "RowsStale": verdict('monitor_stale{of="row"}'),
    "FeaturesStale": verdict('monitor_stale{of="features of carrier"}'),
    "ModelStale": verdict('monitor_stale{of="model"}'),
    "QualityWorse": verdict(WORSE),
    "IntervalMissed": verdict('monitor_interval_missed{slice="recent",value="all"}'),
}
# The same service under other promises and with other figures: what counts is the exported gauge.
OTHER_PROMISES = {
    "FeaturesStale": Case({ANOTHER_TIME: GROWING}, {ANOTHER_TIME: NO}),
    "RequestsFail": Case(
        {ANSWERED: GROWING, FAILED: FAST, **slo("max_failed", 0.7)},
        {ANSWERED: GROWING, FAILED: FAST, **slo("max_failed", 0.9)},
    ),
    "AnswersSlow": Case(took(0.01) | slo("p99_ms", 1.5), took(0.2) | slo("p99_ms", 900.0)),
    "RequestsRefused": Case(
        {ANSWERED: GROWING, REFUSED: FAST, **slo("max_refused", 0.7)},
        {ANSWERED: GROWING, REFUSED: FAST, **slo("max_refused", 0.9)},
    ),
}


def test_every_alert_has_a_case() -> None:
    assert set(CASES) == set(ALL)


def test_every_alert_says_what_to_do_and_where_to_read_on() -> None:
    for name, rule in ALL.items():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert len(rule["annotations"]["description"]) > 60


def test_rules_and_panels_ask_for_series_that_service_and_monitor_export(tmp_path: Path) -> None:
    names = set(re.findall(r"^(\w+)[ {]", exported(tmp_path / "release"), re.MULTILINE))
    request = [rule["expr"] for rule in ALL.values()]
    request += [each["expr"] for panel in DASHBOARD["panels"] for each in panel.get("targets", [])]

    unknown = {name for expr in request for name in series_of(expr) if name not in names}

    assert len(request) > 40
    assert unknown == {"monitor_interval_missed"}  # of QUANTILES, whose tests look for it


def test_the_limits_that_the_rules_compare_with_are_exported(tmp_path: Path) -> None:
    text = exported(tmp_path / "release")

    wanted = {
        match for rule in ALL.values() for match in re.findall(r'{setting="\S+"}', rule["expr"])
    }

    assert len(wanted) == 5
    assert {match for match in wanted if match not in text} == set()
    assert 'service_slo{setting="p99_ms"} 70.0' in text
    assert 'monitor_feature_info{description="Derived from the row",feature="size"} 1.0' in text


def exported(folder: Path) -> str:
    """What the service exports, with the figures of the monitor passed on."""
    well = rows(400, seed=2)
    truth = pl.Series(TRUTH, [1.0, 0.0] * 200)
    ids = pl.Series("id", range(400), dtype=pl.Int64).cast(pl.String)
    known = Outcomes(pl.DataFrame([ids, truth]), pl.DataFrame(schema={TRUTH: pl.Float64}))
    beyond = log(well.with_columns(size=pl.lit(200.0)))
    given = check.MonitorInput(beyond, beyond, known, Newest(NOW, NOW), NOW - DAY, NOW)
    result = check.check_release(released(folder), given, Limits(), SETTINGS)
    passed_on = folder / "monitor.prom"
    passed_on.write_bytes(monitor_result.gauges(result))
    passed_on.with_name("autopilot.prom").write_text("autopilot_training_held_back 0.0\n")
    metrics = Metrics(passed_on, SLO(p99_ms=70))
    metrics.set_status({"serving": "v1"}, True, False)
    metrics.observe_batch("serving", [0.001], 1, [["size"]])
    written = SimpleNamespace(written=1, dropped=0, failures=0, restarts=0, waiting=0)
    online = OnlineStore(SqliteStore(folder / "features.sqlite"))
    online.look_up([(LookedUpView("view", ["carrier"], ["late"], [None]), [b"key"])])
    online.times.add("carrier", np.ones((1, 1), bool), "refused")
    metrics.follow(log=written, lookups=online.metrics)
    return metrics.exposition().decode()


def series_of(expr: str) -> Iterator[str]:
    """The names of series in a query."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", expr)  # texts
    bare = re.sub(r"\{[^}]*\}|\[\w+\]", "", bare)  # matchers and spans
    bare = re.sub(r"\b(?:by|on|group_left) \([^)]*\)", "", bare)  # labels
    yield from (word for word in re.findall(r"[a-z_]{2,}", bare) if word not in WORDS)


def test_panels_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]

    taken = [
        (x, y)
        for location in (panel["gridPos"] for panel in panels)
        for x in range(location["x"], location["x"] + location["w"])
        for y in range(location["y"], location["y"] + location["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < COLUMNS
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_each_feature_gets_a_panel_by_the_variable_that_it_repeats() -> None:
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    repeated = [panel for panel in DASHBOARD["panels"] if "repeat" in panel]

    assert [panel["repeat"] for panel in repeated] == ["feature"]
    assert variables["feature"]["query"]["query"].startswith("label_values(monitor_feature_info{")
    # Grafana writes the values of a variable with "All" as regular expressions.
    selected = [each["expr"] for each in repeated[0]["targets"] if "$feature" in each["expr"]]
    assert len(selected) == 3
    assert all('feature=~"$feature"' in expr for expr in selected)


def test_alerts_pass_check_rules() -> None:
    checked = promtool("check", "rules", FOLDER / "alerts.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


# The monitor may reach a store that the service does not.
UNREADABLE = {"FeaturesStale": Case({READABLE: NO}, {READABLE: YES})}


@pytest.mark.parametrize(
    "cases",
    [CASES, OTHER_PROMISES, UNREADABLE],
    ids=["defaults", "other promises", "a store that cannot be read"],
)
def test_each_alert_fires_where_it_should_and_only_there(
    tmp_path: Path, cases: dict[str, Case]
) -> None:
    tested = run_cases(tmp_path, RULES, cases)

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_drift_alerts_where_two_instances_describe_a_feature_differently(tmp_path: Path) -> None:
    two = {
        f'monitor_feature_info{{feature="x",description="{text}",instance="{text}:8000"}}': YES
        for text in ("old", "new")
    }
    drifted = 'monitor_feature_drifted{feature="x"}'

    case = Case({drifted: YES, **two}, {drifted: NO, **two})
    tested = run_cases(tmp_path, RULES, {"FeatureDrifted": case})

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_drift_alert_describes_the_feature(tmp_path: Path) -> None:
    labels = {"feature": 'a "quoted" {{ name }} é', "description": "in {{ braces }}"}
    written = ALL["FeatureDrifted"]["annotations"]
    alert: dict[str, Any] = {
        "eval_time": "15m",
        "alertname": "FeatureDrifted",
        "exp_alerts": [
            {
                "exp_labels": {"severity": "warning", "environment": "production", **labels},
                "exp_annotations": {
                    "summary": f"{labels['feature']} has drifted in production",
                    "description": written["description"].replace(
                        "{{ $labels.description }}", labels["description"]
                    ),
                    "runbook": written["runbook"],
                },
            }
        ],
    }
    case = {"interval": "1m", "input_series": inputs({DRIFTED: YES, INFO: YES})}

    tested = run_tests(tmp_path, RULES, [case | {"alert_rule_test": [alert]}])

    assert tested.returncode == 0, tested.stdout + tested.stderr


def run_cases(
    folder: Path, rules: dict[str, Any], cases: Mapping[str, Case]
) -> subprocess.CompletedProcess[str]:
    """Let promtool test rules with two cases for each alert, and that a quiet day has no alert.

    Alerts are counted in the series ALERTS that Prometheus keeps of them, not compared word by
    word, so that a text can be reworded without touching the tests.
    """
    tests = []
    for name, case in cases.items():
        alerts = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)'
        tests.append(counted(f"{name} fires", case.wrong, case.at, alerts, 1))
        tests.append(counted(f"{name} stays silent", case.fine, case.at, alerts, 0))
    if cases is CASES:
        tests.append(counted("a quiet day", quiet_day(), "3h", "count(ALERTS) or vector(0)", 0))
    return run_tests(folder, rules, tests)


def quiet_day() -> dict[str, str]:
    """The series of one service that has a day without trouble."""
    series = {name: values for case in CASES.values() for name, values in case.fine.items()}
    requests = dict.fromkeys((FAILED, REFUSED), "0x200")
    quiet = {ANSWERED: "0+60x200", "service_ready": "1x200", "service_stopped": "0x200"}
    longer = {name: values.replace("x30", "x200") for name, values in series.items()}
    return longer | requests | quiet


def counted(
    name: str, series: Mapping[str, str], at: str, expr: str, expected: int
) -> dict[str, Any]:
    samples = [{"labels": "{}", "value": expected}]
    return {
        "name": name,
        "interval": "1m",
        "input_series": inputs(series),
        "promql_expr_test": [{"expr": expr, "eval_time": at, "exp_samples": samples}],
    }


def inputs(series: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"series": scraped(each), "values": values} for each, values in series.items()]


def scraped(series: str) -> str:
    """Add the labels that Prometheus gives a series when it scrapes the service."""
    name, _, labels = series.partition("{")
    all_labels = [labels.removesuffix("}")] if labels else []
    for key, value in {
        "environment": "production",
        "instance": "service:8000",
        "job": "service",
    }.items():
        if f"{key}=" not in labels:
            all_labels.append(f'{key}="{value}"')
    return f"{name}{{{','.join(all_labels)}}}"


def run_tests(
    folder: Path, rules: dict[str, Any], tests: list[dict[str, Any]]
) -> subprocess.CompletedProcess[str]:
    documents = {
        "alerts.yml": rules,
        "test.yml": {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": tests},
    }
    for name, document in documents.items():
        (folder / name).write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return promtool("test", "rules", folder / "test.yml")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not on this machine; it comes with Prometheus")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
