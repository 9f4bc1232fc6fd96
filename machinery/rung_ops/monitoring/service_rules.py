"""When the service itself needs someone: it is down, slow, fails, refuses, or loses its log.

What it may do stands under [slo] in service.toml. Each rule looks at an environment as a whole,
however many instances answer in it.
"""

from rung_ops.monitoring.rules import CRITICAL, WARNING, Rule
from rung_ops.serving.slo import Promise

STEADY, GROWING = "0x30", "0+60x30"
REQUESTS = "sum by (environment) (rate(service_requests_total[5m]))"


def service_rules(promise: Promise) -> list[Rule]:
    """Make the rules.

    Args:
        promise: [slo] of service.toml.
    """
    return [*_answers(promise), *_standing(), *_log()]


def _standing() -> list[Rule]:
    return [
        Rule(
            "ServiceDown",
            'up{job="service"} == 0',
            "1m",
            CRITICAL,
            "{{ $labels.instance }} cannot be reached",
            "Prometheus gets no answer from the service. Look at its last lines "
            "(`docker compose logs service`) and start it again; the release that served last is "
            "served again.",
            wrong={"up": "0x30"},
            fine={"up": "1x30"},
        ),
        Rule(
            "ServiceNotReady",
            "service_ready == 0 unless service_stopped == 1",
            "2m",
            CRITICAL,
            "{{ $labels.instance }} is up and answers no predictions",
            "It has no release that it may serve: `/health/ready` says why. `uv run poe releases` "
            "shows what should be served, and `uv run poe rollback` brings the previous one back.",
            wrong={"service_ready": "0x30", "service_stopped": "0x30"},
            fine={"service_ready": "0x30", "service_stopped": "1x30"},
        ),
        Rule(
            "ReleaseRefused",
            'sum by (environment) (increase(service_swaps_total{outcome="refused"}[15m])) > 0',
            "0m",
            WARNING,
            "A release was refused in {{ $labels.environment }}",
            "The service found it broken, unsigned, slow or wrong, and goes on with the last good "
            "one. Its log names the reason. Mend it and release anew; do not deploy it again.",
            wrong={'service_swaps_total{outcome="refused"}': "0x5 1x25"},
            fine={'service_swaps_total{outcome="refused"}': STEADY},
        ),
        Rule(
            "ModelStopped",
            "max by (environment) (service_stopped) == 1",
            "0m",
            WARNING,
            "Somebody has stopped the model in {{ $labels.environment }}",
            "Every request is refused until it is resumed. `uv run poe releases` says who stopped "
            "it and why. Whoever depends on the answers has to know.",
            wrong={"service_stopped": "1x30"},
            fine={"service_stopped": STEADY},
        ),
    ]


def _answers(promise: Promise) -> list[Rule]:
    slow, limit = "service_request_seconds_bucket", promise.p99_ms / 1000
    answered = 'service_requests_total{outcome="answered"}'
    failed = 'service_requests_total{outcome="failed"}'
    refused = 'service_requests_total{outcome="refused"}'
    return [
        Rule(
            "RequestsFail",
            f"{_rate(failed)} / {REQUESTS} > {promise.max_failed}",
            "2m",
            CRITICAL,
            "{{ $value | humanizePercentage }} of the requests fail in {{ $labels.environment }}",
            f"{promise.max_failed:.2%} were promised (service.toml, [slo] max_failed). If it began "
            "with a release, `uv run poe rollback` first and look for the reason then.",
            wrong={answered: GROWING, failed: "0+240x30"},
            fine={answered: GROWING, failed: STEADY},
        ),
        Rule(
            "AnswersSlow",
            f"histogram_quantile(0.99, sum by (environment, le) (rate({slow}[5m]))) > {limit}",
            "5m",
            WARNING,
            "One answer in a hundred takes more than {{ $value | humanizeDuration }} in "
            "{{ $labels.environment }}",
            f"{promise.p99_ms:g} ms were promised (service.toml, [slo] p99_ms). More callers, or a "
            "slower release? Compare with the rate of requests and with the last deployment.",
            wrong=_histogram(slow, 2 * limit),
            fine=_histogram(slow, limit / 4),
        ),
        Rule(
            "RequestsRefused",
            f"{_rate(refused)} / {REQUESTS} > {promise.max_refused} "
            "unless on (environment) max by (environment) (service_stopped) == 1",
            "5m",
            WARNING,
            "{{ $value | humanizePercentage }} of the requests are refused in "
            "{{ $labels.environment }}",
            "More are waiting than the service can answer in time. Start another instance, or ask "
            f"the callers to slow down; {promise.max_refused:.2%} were promised (service.toml, "
            "[slo] max_refused).",
            wrong={answered: GROWING, refused: "0+240x30", "service_stopped": STEADY},
            fine={answered: STEADY, refused: "0+240x30", "service_stopped": "1x30"},
        ),
    ]


def _log() -> list[Rule]:
    dropped = 'prediction_log_rows_total{outcome="dropped"}'
    failures, restarts = "prediction_log_failures_total", "prediction_log_restarts_total"
    return [
        Rule(
            "PredictionsNotLogged",
            f"sum by (environment) (increase({dropped}[15m])) > 0",
            "0m",
            CRITICAL,
            "{{ $value | humanize }} predictions were answered and not logged in "
            "{{ $labels.environment }}",
            "They are lost to the monitor, and there is no proof of them. Is the disk of the logs "
            "full or slow? The service answers all the same.",
            wrong={dropped: "0x5 100x25"},
            fine={dropped: STEADY},
        ),
        Rule(
            "LogFails",
            f"sum by (environment) (increase({failures}[15m]) + increase({restarts}[15m])) > 0",
            "1m",
            WARNING,
            "The prediction log cannot be written in {{ $labels.environment }}",
            "Rows wait in memory, and are dropped when there are too many. The log of the service "
            "names the reason: rights, a full disk, a folder that is gone.",
            wrong={failures: "0x5 3x25", restarts: STEADY},
            fine={failures: STEADY, restarts: STEADY},
        ),
    ]


def _rate(series: str) -> str:
    return f"sum by (environment) (rate({series}[5m]))"


def _histogram(name: str, seconds: float) -> dict[str, str]:
    """Make a histogram in which all requests take about so long."""
    ends = {f"{seconds / 2:g}": STEADY, f"{seconds * 2:g}": GROWING, "+Inf": GROWING}
    return {f'{name}{{le="{end}"}}': values for end, values in ends.items()}
