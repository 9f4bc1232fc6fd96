"""The service's hooks: functions of the user's package, loaded once when the service starts.

They are named in `[tool.rung.hooks]` of pyproject.toml; rung_ops.project.hooks has their signatures.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from starlette.routing import BaseRoute

from rung_ops.errors import StageError
from rung_ops.model.released import Release
from rung_ops.model.rows import Refusal
from rung_ops.model.source_import import FAULTS
from rung_ops.project import hooks
from rung_ops.serving.access import Asgi, answers, refused

LOG = logging.getLogger("service")

Hook = Callable[..., Any]
# Rows and features, shapes (n_rows, n_columns) and (n_rows, n_features); predictions, (n_rows,) or
# (n_rows, n_classes).
Score = Callable[[Release, pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame, np.ndarray]]

WHERE = "pyproject.toml: [tool.rung.hooks]"
# What a hook may raise while it answers: the service outlives `sys.exit()` in one, too.
RAISED = (SystemExit, *FAULTS)


class ScoringError(Exception):
    """Rows cannot be scored: by the release, or because a hook failed; the message says why."""


class ServiceHooks(NamedTuple):
    """The hooks of the service; None if the project names none."""

    asgi_middleware: Hook | None = None
    routes: Hook | None = None
    before_prediction: Hook | None = None
    after_prediction: Hook | None = None

    def scorer(self) -> Score:
        """Return the function that scores a batch, with the hooks that there are."""
        before = self.before_prediction
        if before is None and self.after_prediction is None:
            return score_release

        def score(
            release: Release, rows: pl.DataFrame
        ) -> tuple[pl.DataFrame, pl.DataFrame, np.ndarray]:
            if before is not None:
                rows = _enriched(before, rows)
            features, predictions = release.score(rows)
            return rows, features, self.adjust(rows, predictions)

        return score

    def adjust(self, rows: pl.DataFrame, predictions: np.ndarray) -> np.ndarray:
        """Return the predictions as after_prediction changes them, of the same shape."""
        after = self.after_prediction
        if after is None or not np.isfinite(predictions).all():
            return predictions  # that are not finite are the release's fault: the caller reports it
        try:
            returned = np.asarray(after(rows, predictions), np.float64)
        except RAISED as error:
            raise ScoringError(f"The hook after_prediction raised {_shown(error)}") from error
        if returned.shape != predictions.shape:
            raise ScoringError(
                f"The hook after_prediction returned an array of shape {returned.shape}; "
                f"expected {predictions.shape}"
            )
        if not np.isfinite(returned).all():
            raise ScoringError("The hook after_prediction returned NaN or infinity for a row")
        return returned

    def further_routes(self, taken: Sequence[str]) -> list[BaseRoute]:
        """Return the routes that the project adds, none of which may hide a path that is taken."""
        make = self.routes
        if make is None:
            return []
        where = f"{WHERE} routes"
        routes = _made(where, lambda: list(make()))
        for route in routes:
            if not isinstance(route, BaseRoute):
                returned = f"{where} returned a {type(route).__name__}"
                raise StageError(f"{returned}; expected a list of starlette.routing.Route.")
            for path in taken:
                if answers(route, path):
                    raise StageError(f"{where}: {route!r} hides {path} of the service.")
        return routes

    def wrapped(self, app: Asgi) -> Asgi:
        """Return an ASGI application with the project's middleware around it."""
        make = self.asgi_middleware
        if make is None:
            return app
        where = f"{WHERE} asgi_middleware"
        outer = _made(where, lambda: make(app))
        if not callable(outer):
            returned = f"{where} returned a {type(outer).__name__}"
            raise StageError(f"{returned}; expected an ASGI application.")
        return _guarded(outer)


NO_HOOKS = ServiceHooks()


def load() -> ServiceHooks:
    """Import the hooks that the project names."""
    return ServiceHooks(**{name: hooks.load(name) for name in ServiceHooks._fields})


def score_release(
    release: Release, rows: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, np.ndarray]:
    """Score rows with a release alone; return them, the features and the predictions."""
    return rows, *release.score(rows)


def _made(where: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as error:
        raise StageError(f"{where} raised {_shown(error)}.") from error


def _enriched(before: Hook, rows: pl.DataFrame) -> pl.DataFrame:
    expected, height = rows.schema, rows.height  # before the hook may change the frame in place
    try:
        returned = before(rows)
    except RAISED as error:
        raise ScoringError(f"The hook before_prediction raised {_shown(error)}") from error
    if not isinstance(returned, pl.DataFrame):
        what = f"a {type(returned).__name__}; expected a polars.DataFrame"
    elif returned.height != height:
        what = f"{returned.height} rows; expected {height}"
    elif returned.schema != expected:
        what = _difference(returned.schema, expected)
    else:
        return returned
    raise ScoringError(f"The hook before_prediction returned {what}")


def _difference(actual: pl.Schema, expected: pl.Schema) -> str:
    """Name the first column that differs."""
    for name, dtype in expected.items():
        if name not in actual:
            return f"no column `{name}`"
        if actual[name] != dtype:
            return f"column `{name}` as {actual[name]}; expected {dtype}"
    further = [name for name in actual if name not in expected]
    if further:
        return f"the column `{further[0]}`, which the contract does not have"
    return "the columns in another order"


def _guarded(app: Asgi) -> Asgi:
    """Answer with 500 in JSON where the middleware raises an error, and log it."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        started = False

        async def noted(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, receive, noted)
        except Exception:
            LOG.exception("%s %s: the hook asgi_middleware failed", scope["method"], scope["path"])
            if started:
                raise
            failed = Refusal(500, "The hook asgi_middleware failed; the log has the reason.")
            await refused(failed)(scope, receive, send)

    return guarded


def _shown(error: BaseException) -> str:
    message = str(error).strip()
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
