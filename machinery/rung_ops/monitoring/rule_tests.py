"""What `promtool test rules` holds the alerts against: each fires where it should, and only there."""

from collections.abc import Mapping
from typing import Any

from rung_ops.monitoring.feature_labels import quoted
from rung_ops.monitoring.rules import Rule

EVERY = "1m"
SCRAPED = {"environment": "production", "instance": "service:8000", "job": "service"}


def rule_tests(file: str, rules: list[Rule]) -> dict[str, Any]:
    """Make two tests of each rule, and one of all: nothing fires where all is fine.

    Alerts are counted in the series ALERTS that Prometheus keeps of them, not compared word by
    word, so that a text can be reworded without touching the tests.

    Args:
        file: of the rules, as it is called beside the tests.
        rules: that it holds.
    """
    tests = []
    for rule in rules:
        firing, name = _count(rule), " ".join([rule.name, *(rule.labels or {}).values()])
        tests.append(_test(f"{name} fires", rule.wrong, rule.at, firing, 1))
        tests.append(_test(f"{name} stays silent", rule.fine, rule.at, firing, 0))
    tests.append(_test("a quiet day", _all_fine(rules), "3h", "count(ALERTS) or vector(0)", 0))
    return {"rule_files": [file], "evaluation_interval": EVERY, "tests": tests}


def _count(rule: Rule) -> str:
    more = "".join(f",{name}={quoted(value)}" for name, value in (rule.labels or {}).items())
    alerts = f'ALERTS{{alertname="{rule.name}",alertstate="firing"{more}}}'
    return f"count({alerts}) or vector(0)"


def _all_fine(rules: list[Rule]) -> dict[str, str]:
    """Put the quiet series together, as one service gives them that has a day without trouble."""
    series = {name: values for rule in rules for name, values in rule.fine.items()}
    requests = {name for name in series if name.startswith("service_requests_total")}
    quiet = {
        **{name: "0x200" for name in requests},
        'service_requests_total{outcome="answered"}': "0+60x200",
        "service_ready": "1x200",
        "service_stopped": "0x200",
    }
    longer = {name: values.replace("x30", "x200") for name, values in series.items()}
    return longer | quiet


def _test(
    name: str, series: Mapping[str, str], at: str, expr: str, expected: int
) -> dict[str, Any]:
    return {
        "name": name,
        "interval": EVERY,
        "input_series": [
            {"series": _scraped(each), "values": values} for each, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": expected}],
            }
        ],
    }


def _scraped(series: str) -> str:
    """Add the labels that Prometheus gives a series when it scrapes the service."""
    name, _, labels = series.partition("{")
    all_labels = [labels.removesuffix("}")] if labels else []
    all_labels += [f'{key}="{value}"' for key, value in SCRAPED.items()]
    return f"{name}{{{','.join(all_labels)}}}"
