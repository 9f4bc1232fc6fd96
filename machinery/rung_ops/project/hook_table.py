"""Every hook that a project can name: its parameters, what it returns, when it is called."""

from typing import NamedTuple


class Hook(NamedTuple):
    """A hook: its parameters, what it returns, and when it is called."""

    parameters: tuple[str, ...]
    returns: str
    when: str


HOOKS = {
    "asgi_middleware": Hook(
        ("app: ASGI application",),
        "ASGI application",
        "once, when the service starts; gets every request first, health checks included",
    ),
    "routes": Hook(
        (),
        "list of starlette.routing.Route",
        "once, when the service starts; further routes; they must not match the service's paths",
    ),
    "before_prediction": Hook(
        ("rows: polars.DataFrame, shape (n_rows, n_columns of Row without the target)",),
        "polars.DataFrame of the same shape and types",
        "for each batch of the service, after validation and before FEATURES; what it returns is "
        "not checked against Row again, and is what the prediction log keeps",
    ),
    "after_prediction": Hook(
        (
            "rows: polars.DataFrame, as before_prediction returned it",
            "predictions: numpy.ndarray, shape (n_rows,); where the target is one of several "
            "classes (n_rows, n_classes), their probabilities; with QUANTILES (n_rows, 3)",
        ),
        "numpy.ndarray of the same shape",
        "for each batch of the service, before the answers are written and logged; also for what "
        "a shadow predicts, in a separate thread",
    ),
    "report_plots": Hook(
        (
            "model: what load_model() returns",
            "rows: polars.DataFrame of Row, shape (n_rows, n_columns)",
            "predicted: numpy.ndarray, shape (n_rows,)",
        ),
        "iterable of rung_ops.training.evaluate.Plot",
        "by write_report(); the plots follow the others in reports/report.html",
    ),
    "report_metrics": Hook(
        (
            "rows: polars.DataFrame of Row, shape (n_rows, n_columns)",
            "predicted: numpy.ndarray, shape (n_rows,)",
        ),
        "dict of figures by name",
        "by write_report(); the figures are in the report and in reports/metrics.json",
    ),
    "monitor_check": Hook(
        (
            "predictions: polars.DataFrame, shape (n_rows, 8): the serving release's rows of the "
            "prediction log in the window, with id, time, release, arm, row, features, prediction "
            "and defaults_used; where the target is one of several classes also probabilities, with "
            "QUANTILES interval",
        ),
        "list of str, a sentence for each problem; empty if there is none",
        "by each run of the monitor; its problems count like the monitor's own. One that raises, "
        "or returns something else, is itself reported as a problem",
    ),
    "notify": Hook(
        ("subject: str", "message: str"),
        "None",
        "when the monitor finds problems, and when the autopilot promotes, rolls back or fails; "
        "one that raises is reported on stderr and changes nothing else",
    ),
    "autopilot_veto": Hook(
        (
            "action: str, `train` or `release`",
            "facts: dict of what the decision rests on; for `release` also version and verdict",
        ),
        "str, the reason, or None to let it happen",
        "before the autopilot trains, and before it releases",
    ),
}
