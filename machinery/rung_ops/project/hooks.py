"""Hooks: plain functions of the user's package that the library calls by name.

They stand in pyproject.toml, a line each: `[tool.rung.hooks] notify = "late_flights.hooks:notify"`.
A model with a table of its own, `[tool.rung.models.NAME.hooks]`, has those in their place.

HOOKS has the signature of each; a function is called with its arguments by position.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from rung_ops.errors import StageError
from rung_ops.project import active_addons, current
from rung_ops.project.paths import make_importable


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
        "for each batch of the service, before FEATURES; what it returns is not checked against Row "
        "again, and is what the prediction log keeps",
    ),
    "after_prediction": Hook(
        (
            "rows: polars.DataFrame, as before_prediction returned it",
            "predictions: numpy.ndarray, shape (n_rows,); (n_rows, n_classes) of several classes; "
            "(n_rows, 3) with QUANTILES",
        ),
        "numpy.ndarray of the same shape",
        "for each batch of the service and of a shadow, before the answers are logged",
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
        "when the monitor finds problems, when the autopilot fails or first holds a training back, "
        "and when a release is promoted, aborted, rolled back, or its trial ends; "
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


def load(name: str) -> Callable[..., Any] | None:
    """Return the function of a hook, or None if the project names none.

    Raises:
        StageError: the name is unknown, the function is missing, or its signature is another.
    """
    table, named = _table()
    for other in named:
        if other not in HOOKS:
            raise StageError(
                f"pyproject.toml: [{table}] names `{other}`, which is not a hook. "
                f"There are: {', '.join(HOOKS)}."
            )
    if name not in named:
        return None
    return _function(name, named[name], f'pyproject.toml: [{table}] {name} = "{named[name]}"')


def named() -> dict[str, str]:
    """Return the hooks that the model of this process names; load() checks them."""
    return _table()[1]


def _table() -> tuple[str, dict[str, str]]:
    """Give the table of hooks that the model of this process uses, and its name."""
    own = current().settings()
    if current().root != current().repository:
        model = own.models.get(current().root.name)
        if model and model.hooks is not None:
            return f"tool.rung.models.{current().root.name}.hooks", model.hooks
    return "tool.rung.hooks", own.hooks


def _function(name: str, target: str, where: str) -> Callable[..., Any]:
    module, _, attribute = target.partition(":")
    for folder in (current().root, current().repository):
        make_importable(folder)
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the user's module may raise anything
        raise StageError(
            f'{where}: it must be "MODULE:FUNCTION" of your package '
            f"({type(error).__name__}: {error})."
        ) from error
    if inspect.iscoroutinefunction(function):
        raise StageError(f"{where}: it must be a plain function, not `async def`.")
    parameters = HOOKS[name].parameters
    try:
        inspect.signature(function).bind(*parameters)
    except (TypeError, ValueError) as error:
        raise StageError(f"{where}: it must accept ({signature(name)}): {error}.") from error
    return function  # type: ignore[no-any-return]


def notify(subject: str, message: str) -> None:
    """Call the project's notify, and those of add-ons; one that fails is reported and stops nothing."""
    calls: dict[str, Callable[[], Any]] = {"The hook notify": functools.partial(load, "notify")}
    for name, addon in active_addons.active().items():
        if addon.notify:
            calls[f"notify of the add-on {name}"] = functools.partial(
                active_addons.loaded, addon.notify, name
            )
    for name, loaded in calls.items():
        try:
            if function := loaded():
                function(subject, message)
        except Exception as error:  # it is the user's, and may raise anything
            print(
                f"{name} failed with {type(error).__name__}: {error}. "
                f"It should have reported: {subject}: {message}",
                file=sys.stderr,
            )


def signature(name: str) -> str:
    """Write the parameters of a hook: `rows, predictions`."""
    return ", ".join(parameter.partition(":")[0] for parameter in HOOKS[name].parameters)


def check_all() -> None:
    """Load every hook that the project names."""
    for name in HOOKS:
        load(name)
