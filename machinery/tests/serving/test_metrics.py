"""What the service counts is what happened, in a form that Prometheus takes."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rung_ops.release.history import Canary, Shadow, State
from rung_ops.release.rollout import Comparison
from rung_ops.serving.metrics import OUTCOMES, Metrics
from rung_ops.serving.workers import Worker

CANARY = Canary("v2", 0, "2026-01-01T00:00:00+00:00")


def values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """All samples: name and values of the labels, in the order of their names."""
    text = metrics.exposition().decode()
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    """All that can be counted, counted once at least."""
    result = Comparison()
    result.observe(np.array([0.25, 0.5]), np.array([0.5, np.nan]))
    counted = Metrics()
    counted.follow(
        log=SimpleNamespace(written=7, dropped=2, failures=3, restarts=1, waiting=4),
        shadow=SimpleNamespace(comparison=result, dropped=5),
        queued=lambda: 6,
    )
    counted.set_status({"serving": "v1", "canary": "v2"}, ready=True, stopped=False)
    counted.observe_batch(
        "serving", [0.0005, 0.003, 7.0], 5, [["dep"], [], ["dep", "tail"], [], []]
    )
    counted.observe_batch("canary", [0.0004], 1)
    counted.count("invalid")
    counted.count("refused", requests=2)
    counted.count("failed", "canary")
    counted.swap("refused")
    return counted


def test_requests_are_counted_by_arm_and_outcome(metrics: Metrics) -> None:
    result = values(metrics)

    outcomes = {labels[2] for labels in result if labels[0] == "service_requests_total"}
    assert outcomes == set(OUTCOMES), "also what has not happened yet"
    assert result["service_requests_total", "serving", "answered"] == 3
    assert result["service_requests_total", "canary", "answered"] == 1
    assert result["service_requests_total", "canary", "failed"] == 1
    assert result["service_requests_total", "none", "invalid"] == 1
    assert result["service_requests_total", "none", "refused"] == 2
    assert result["service_defaults_used_total", "dep"] == 2
    assert result["service_defaults_used_total", "tail"] == 1


BOUNDS = {"0.0005": 1, "0.001": 1, "0.0025": 1, "0.005": 2, "1.0": 2, "5.0": 2, "+Inf": 3}


def test_seconds_and_rows_are_counted_by_bucket_up_to_its_bound(metrics: Metrics) -> None:
    result = values(metrics)

    buckets = {le: result["service_request_seconds_bucket", "serving", le] for le in BOUNDS}
    assert buckets == BOUNDS
    assert result["service_request_seconds_count", "serving"] == 3
    assert result["service_request_seconds_sum", "serving"] == pytest.approx(7.0035)
    assert result["service_batch_rows_bucket", "serving", "4"] == 0
    assert result["service_batch_rows_bucket", "serving", "8"] == 1


def test_what_others_count_is_passed_on(metrics: Metrics) -> None:
    result = values(metrics)

    assert result["prediction_log_rows_total", "written"] == 7
    assert result["prediction_log_rows_total", "dropped"] == 2
    assert result["prediction_log_failures_total",] == 3
    assert result["prediction_log_restarts_total",] == 1
    assert result["prediction_log_waiting_rows",] == 4
    assert result["service_queue_rows",] == 6
    assert result["shadow_rows_total", "compared"] == 1
    assert result["shadow_rows_total", "failed"] == 1
    assert result["shadow_rows_total", "dropped"] == 5
    assert result["shadow_difference_total",] == 0.25
    assert result["service_swaps_total", "refused"] == 1
    assert result["service_swaps_total", "loaded"] == 0, "before it happens"


def test_loaded_releases_are_shown_and_earlier_ones_are_not(metrics: Metrics) -> None:
    assert values(metrics)["service_release_info", "canary", "v2"] == 1

    metrics.set_status({"serving": "v2"}, ready=False, stopped=True)
    result = values(metrics)
    assert [labels for labels in result if labels[0] == "service_release_info"] == [
        ("service_release_info", "serving", "v2")
    ]
    assert (result["service_ready",], result["service_stopped",]) == (0, 1)


def test_the_figures_of_the_monitor_are_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "monitor.prom"
    metrics = Metrics(monitor=path)
    assert ("monitor_drifted",) not in values(metrics)
    path.write_text(
        "# HELP monitor_drifted Drift.\n# TYPE monitor_drifted gauge\nmonitor_drifted 1\n"
    )

    assert values(metrics)["monitor_drifted",] == 1


def test_a_worker_answers_for_all_of_them(tmp_path: Path) -> None:
    workers = [Worker(number, tmp_path, 0, 0) for number in (1, 2)]
    one, two = (Metrics(worker=worker) for worker in workers)
    one.observe_batch("serving", [0.0004], 3)
    two.observe_batch("serving", [0.0004, 0.003], 4)
    two.set_status({"serving": "v2"}, ready=False, stopped=False)
    two.publish()

    counted = values(one)

    assert counted["service_batch_rows_sum", "serving", "1"] == 3
    assert counted["service_batch_rows_sum", "serving", "2"] == 4
    assert counted["service_requests_total", "serving", "answered", "2"] == 2
    assert counted["service_release_info", "serving", "v2", "2"] == 1
    assert one.exposition().count(b"# TYPE service_requests_total counter") == 1


@pytest.mark.parametrize(
    ("before", "after", "series"),
    [
        (State(2, "v1", canary=CANARY), State(3, "v2", ("v1",)), "promoted"),
        (State(2, "v1", canary=CANARY), State(3, "v1"), "not_promoted"),
        (State(2, "v1", shadow=Shadow("v2", 1.0)), State(3, "v1"), "not_promoted"),
        (State(2, "v1", shadow=Shadow("v2", 1.0)), State(3, "v1", canary=CANARY), None),
        (State(2, "v2", ("v1",)), State(3, "v1"), "rollback"),
        (State(2, "v1", ("v0",)), State(3, "v2", ("v1", "v0")), None),
    ],
)
def test_the_end_of_a_trial_and_a_rollback_are_counted(
    before: State, after: State, series: str | None
) -> None:
    counted = Metrics()

    counted.follow_state(before, after)

    text = counted.exposition().decode()
    for outcome in ("promoted", "not_promoted"):
        assert f'service_trials_total{{outcome="{outcome}"}} {float(series == outcome)}' in text
    assert f"service_rollbacks_total {float(series == 'rollback')}" in text
