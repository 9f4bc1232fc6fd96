"""The part of the dashboard on the service: requests, time, failures, releases, the log."""

from rung_ops.monitoring.panels import HERE, Panel
from rung_ops.serving.slo import Promise


def service_panels(promise: Promise) -> list[Panel]:
    """Make the panels; what [slo] of service.toml promises is drawn beside what was measured."""
    requests = f"service_requests_total{{{HERE}}}"
    failed, refused = (
        f'service_requests_total{{{HERE},outcome="{outcome}"}}' for outcome in ("failed", "refused")
    )
    buckets = f"sum by (le) (rate(service_request_seconds_bucket{{{HERE}}}[5m]))"
    return [
        Panel(
            "Requests",
            "Requests per second, by what became of them.",
            {"{{outcome}}": f"sum by (outcome) (rate({requests}[5m]))"},
            "reqps",
        ),
        Panel(
            "Time to answer",
            "Half of the answers, and 99 in 100, take no longer; dashed in service.toml: [slo].",
            {
                "p50": f"histogram_quantile(0.5, {buckets})",
                "p99": f"histogram_quantile(0.99, {buckets})",
                "p50 promised": f"vector({promise.p50_ms / 1000})",
                "p99 promised": f"vector({promise.p99_ms / 1000})",
            },
            "s",
        ),
        Panel(
            "Failed and refused",
            "Shares of the requests; what may fail or be refused is promised in service.toml.",
            {
                "failed": f"sum(rate({failed}[5m])) / sum(rate({requests}[5m]))",
                "refused": f"sum(rate({refused}[5m])) / sum(rate({requests}[5m]))",
            },
            "percentunit",
        ),
        Panel(
            "Arms",
            "Answers per second of the serving release and of the canary.",
            {
                "{{arm}}": "sum by (arm) (rate(service_requests_total"
                f'{{{HERE},outcome="answered"}}[5m]))'
            },
            "reqps",
        ),
        Panel(
            "Releases",
            "What each arm has loaded.",
            {"{{arm}}: {{release}}": f"max by (arm, release) (service_release_info{{{HERE}}})"},
            most=1,
        ),
        Panel(
            "Prediction log",
            "Rows that were dropped or wait in memory, and failures to write.",
            {
                "dropped per second": "sum(rate(prediction_log_rows_total"
                f'{{{HERE},outcome="dropped"}}[5m]))',
                "waiting": f"sum(prediction_log_waiting_rows{{{HERE}}})",
                "failures in 15 minutes": "sum(increase(prediction_log_failures_total"
                f"{{{HERE}}}[15m]))",
            },
        ),
    ]
