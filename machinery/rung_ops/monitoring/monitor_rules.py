"""When what the monitor found needs someone, and when the monitor itself has fallen silent.

The monitor judges by monitor.toml, or by the plan of the game, and says so in its figures; these
rules repeat its verdicts, so a limit that is changed counts from the next look on.
"""

from collections.abc import Sequence

from rung_ops.monitoring.feature_labels import ANSWERS, Subject, quoted, unexpanded
from rung_ops.monitoring.rules import CRITICAL, WARNING, Rule

YES, NO = "1x30", "0x30"
REPORT = "`uv run poe monitor` draws it in reports/monitor/report.html."


def monitor_rules(features: Sequence[Subject], has_time: bool) -> list[Rule]:
    """Make the rules.

    Args:
        features: of the contract, each with an alert of its own.
        has_time: whether rows have a TIME, and so an age.
    """
    return [*_silence(), *_drift(features), *_values(), *_ages(has_time), _quality()]


def _silence() -> list[Rule]:
    ran, limit = "monitor_run_timestamp_seconds", 'monitor_limit{setting="freshness.monitor_hours"}'
    return [
        Rule(
            "MonitorSilent",
            f"time() - {_max(ran)} > 3600 * {_max(limit)}",
            "5m",
            WARNING,
            "The monitor has not looked at {{ $labels.environment }} for "
            "{{ $value | humanizeDuration }}",
            "Nobody would see drift or worse answers. Look at the last runs of the job `monitor`, "
            "and run `uv run poe monitor`.",
            wrong={ran: "0x200", limit: "1x200"},
            fine={ran: "0+60x200", limit: "1x200"},
            at="2h",
        ),
        Rule(
            "MonitorNeverRan",
            f'up{{job="service"}} == 1 unless {ran}',
            "2h",
            WARNING,
            "The monitor has never looked at what {{ $labels.instance }} answers",
            "Run `uv run poe monitor`, and turn on the job `monitor`. It leaves its figures beside "
            "the prediction log, where the service finds them; both need the same LOGS.",
            wrong={"up": "1x200"},
            fine={"up": "1x200", ran: "0+60x200"},
            at="3h",
        ),
    ]


def _drift(features: Sequence[Subject]) -> list[Rule]:
    return [
        Rule(
            "PredictionsDrifted" if subject is ANSWERS else "FeatureDrifted",
            _max(f"monitor_feature_drifted{{feature={quoted(subject.name)}}}") + " == 1",
            "5m",
            WARNING,
            f"{unexpanded(subject.name)} has drifted in {{{{ $labels.environment }}}}",
            f"{unexpanded(subject.text)}: distributed otherwise than when the model learned. "
            f"{REPORT} A source that changed has to be mended; a world that changed is a reason to "
            "train anew.",
            wrong={f"monitor_feature_drifted{{feature={quoted(subject.name)}}}": YES},
            fine={f"monitor_feature_drifted{{feature={quoted(subject.name)}}}": NO},
            labels={"feature": subject.name},
        )
        for subject in (ANSWERS, *features)
    ]


def _values() -> list[Rule]:
    broken, limit = "monitor_range_broken_ratio", 'monitor_limit{setting="ranges.most"}'
    broken_rows = f'{broken}{{column="x",rule="at most 1"}}'
    return [
        Rule(
            "FeatureMissing",
            "max by (environment, feature) (monitor_feature_missing_rose) == 1",
            "5m",
            WARNING,
            "{{ $labels.feature }} is missing more often in {{ $labels.environment }}",
            "More often than when the model learned. Which source feeds it, and since when? "
            f"{REPORT}",
            wrong={'monitor_feature_missing_rose{feature="x"}': YES},
            fine={'monitor_feature_missing_rose{feature="x"}': NO},
        ),
        Rule(
            "DefaultsUsed",
            "max by (environment, column) (monitor_column_defaulted_rose) == 1",
            "5m",
            WARNING,
            "A default stands in for {{ $labels.column }} more often in {{ $labels.environment }}",
            "Callers leave the column out, and the model answers as confidently as ever. Ask those "
            f"who call. {REPORT}",
            wrong={'monitor_column_defaulted_rose{column="x"}': YES},
            fine={'monitor_column_defaulted_rose{column="x"}': NO},
        ),
        Rule(
            "BoundsBroken",
            f"max by (environment, column, rule) ({broken}) "
            f"> on (environment) group_left () {_max(limit)}",
            "5m",
            WARNING,
            "{{ $labels.column }} must be {{ $labels.rule }}, and is not in "
            "{{ $labels.environment }}",
            "The service refuses such rows, so these came another way: by batch scoring, or under "
            f"another contract. {REPORT}",
            wrong={broken_rows: "0.1x30", limit: "0.05x30"},
            fine={broken_rows: "0.1x30", limit: "0.2x30"},
        ),
    ]


def _ages(has_time: bool) -> list[Rule]:
    said = {
        "prediction": (
            "PredictionsStale",
            "No predictions are being made in {{ $labels.environment }}",
            "The newest is older than [freshness] prediction_hours allows. Do callers reach the "
            "service, and is the log being written?",
        ),
        "row": (
            "RowsStale",
            "The rows asked about are old in {{ $labels.environment }}",
            "By their own time, the newest is older than [freshness] row_days allows. Whoever "
            "calls may be sending yesterday's data.",
        ),
        "model": (
            "ModelStale",
            "The model in {{ $labels.environment }} is too old",
            "What it learned from is older than [freshness] model_days allows. Bring new data and "
            "train: `uv run poe pipeline`.",
        ),
    }
    return [
        Rule(
            name,
            _max(f'monitor_stale{{of="{what}"}}') + " == 1",
            "5m",
            WARNING,
            summary,
            description,
            wrong={f'monitor_stale{{of="{what}"}}': YES},
            fine={f'monitor_stale{{of="{what}"}}': NO},
        )
        for what, (name, summary, description) in said.items()
        if what != "row" or has_time
    ]


def _quality() -> Rule:
    worse = 'monitor_quality_worse{metric="x",slice="recent",value="all"}'
    return Rule(
        "QualityWorse",
        "max by (environment, metric, slice, value) (monitor_quality_worse) == 1",
        "5m",
        CRITICAL,
        "{{ $labels.metric }} is worse than on the test rows in {{ $labels.environment }} "
        "({{ $labels.slice }} {{ $labels.value }})",
        "Known outcomes say so, by more than [outcomes] most_drop and by more than chance. "
        f"{REPORT} If it began with a release, `uv run poe rollback`; else train anew.",
        wrong={worse: YES},
        fine={worse: NO},
    )


def _max(series: str) -> str:
    return f"max by (environment) ({series})"
