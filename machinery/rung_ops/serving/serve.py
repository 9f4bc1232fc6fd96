"""Start the prediction service: `uv run poe serve`."""

import os
import sys

# Before polars is imported: one thread is cheaper for batches of few rows.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import asyncio
import contextlib
import importlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import click
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from rung_ops import addons, prediction_log
from rung_ops.command import verb
from rung_ops.errors import OpsError, SettingsError
from rung_ops.prediction_log import sealed
from rung_ops.project import release_folders, service_settings
from rung_ops.project.paths import shown
from rung_ops.project.service_settings import Logging
from rung_ops.release import history, library
from rung_ops.release.rollout import read_policy
from rung_ops.release.state import STATE
from rung_ops.serving import access, hooks, pages
from rung_ops.serving.access import EVERYBODY, Access, Guard
from rung_ops.serving.app import App
from rung_ops.serving.hooks import Asgi
from rung_ops.serving.log_writer import PredictionLog
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout
from rung_ops.serving.service import Service
from rung_ops.serving.state_reader import StateReader
from rung_ops.serving.watch import Watch
from rung_ops.system import memory

LOG = logging.getLogger("service")


PORT = 8000
PORT_VARIABLE = "SERVICE_PORT"  # the health check of the image asks there, too


@verb("poe serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=lambda: os.environ.get(PORT_VARIABLE) or PORT,
    help=f"port to listen on; by default {PORT_VARIABLE}, or {PORT}",
)
@click.option(
    "--environment",
    default=service_settings.environment_name,
    help="staging or production; by default SERVICE_ENVIRONMENT, or production",
)
@click.option(
    "--with",
    "modules",
    metavar="MODULE",
    multiple=True,
    help="a module whose `routes(service)` are answered too; its `state_reader(folder)`, if it "
    "has one, says what may be served",
)
def main(host: str, port: int, environment: str, modules: tuple[str, ...]) -> int:
    """Start the prediction service, and serve until a stop signal."""
    memory.keep_one_arena()
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr
    )
    try:
        require_environment(environment)
        LOG.info("%s", library.statement())
        names = list(dict.fromkeys([*guards(), *modules]))
        callers = access_of(names, host, release_folders.environment(environment))
        service = service_of(environment, callers)
        routes = [route for name in names for route in routes_of(name, service)]
        app = application(service, routes, reader_of(names, environment))
        # Imported here: where uvicorn has another interface, the import says so.
        from rung_ops.serving.server import Server

        server = Server(service, app, host, port)
    except (OpsError, ImportError) as error:
        raise OpsError(f"The service does not start: {error}") from error
    if not (release_folders.environment(environment) / STATE).is_file():
        LOG.warning("Not ready: %s", service.advice)
    return server.serve_until_stopped()


def require_environment(name: str) -> None:
    """Refuse an environment that nothing is ever deployed to.

    Raises:
        SettingsError: there is none of that name.
    """
    folder = release_folders.environment(name)
    if name not in release_folders.ENVIRONMENTS and not folder.is_dir():
        raise SettingsError(
            f"`{name}` is no environment, and {shown(folder)} is missing.",
            f"Give `--environment` or SERVICE_ENVIRONMENT {' or '.join(release_folders.ENVIRONMENTS)}.",
        )


def service_of(environment: str, callers: Access = EVERYBODY) -> Service:
    """Make the service of an environment, as ops/service.toml and ops/rollout.toml have it.

    Raises:
        SettingsError: one of them cannot be used.
        HookError: a hook of the project cannot be used.
    """
    limits, logged, reasons = (
        service_settings.limits(),
        service_settings.log_settings(),
        service_settings.reason_settings(),
    )
    rollout = Rollout(release_folders.environment(environment), read_policy())
    folder = prediction_log.folder(environment)
    metrics = Metrics(folder.with_name(prediction_log.MONITOR_PROM), service_settings.read_slo())
    log = None
    if logged.enabled:
        _require_key(logged)
        log = PredictionLog(folder, logged.seconds, logged.max_waiting_rows)
    return Service(environment, limits, metrics, rollout, log, hooks.load(), callers, reasons)


def _require_key(logged: Logging) -> None:
    try:
        sealed.require(logged.encrypted)
    except sealed.SealedError as error:
        raise SettingsError(str(error)) from error


def application(service: Service, further: list[BaseRoute], reader: StateReader) -> Asgi:
    """Make the ASGI application: predictions in front of the pages, and the watch beside them.

    Args:
        service: what answers.
        further: routes of add-ons and of `--with`.
        reader: of the environment that the watch follows.

    Raises:
        HookError: the project's routes or middleware cannot be used.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watch = Watch(service, reader)
        watching = asyncio.create_task(watch.run())
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await asyncio.to_thread(service.close)

    app = App(service, pages.application(service, further, lifespan))
    outer = service.hooks.wrapped(app)
    if not service.access.asks:
        return outer
    return Guard(outer, service.access, further, service.metrics.count)


def guards() -> list[str]:
    """Return the modules with which the project's add-ons guard the service.

    Raises:
        AddonError: one that the project lists is not installed.
    """
    return [addon.guard for addon in addons.active().values() if addon.guard]


def access_of(names: list[str], host: str, folder: Path) -> Access:
    """Read who may ask, and say so if only this machine's token counts.

    Args:
        names: modules that guard the service.
        host: address that it listens on.
        folder: of the environment.

    Raises:
        SettingsError: settings or tokens cannot be used, or what guards a governed project is left out.
        ImportError: there is no such module.
    """
    is_governed = any(
        getattr(importlib.import_module(name), "IS_GOVERNED", False) for name in names
    )
    if not is_governed:
        _refuse_unguarded(host, folder)
    read = access.configured(is_governed, host)
    if read.problem:
        LOG.error("%s", read.problem)
    elif access.THIS_MACHINE in read.predict.values():
        LOG.info(
            "Callers on this machine send `Authorization: Bearer TOKEN`, with the token in %s",
            shown(access.token_file()),
        )
    elif is_governed and not read.is_asked_for:
        LOG.warning("[access] in service.toml does not require callers to say who they are.")
    return read


def _refuse_unguarded(host: str, folder: Path) -> None:
    """Refuse to serve where something is there to verify, and nothing does it."""
    signed, keys = folder / history.ANCHORS, addons.unguarded_keys()
    if signed.exists():
        raise SettingsError(
            f"{shown(signed)} is there to verify with, and no add-on is in use that does: run "
            "`uv sync`, or bring vendor/ and files to one version with `rung update`. If this "
            "environment is to be served without, on purpose, move the file away."
        )
    if keys and not access.is_local(host):
        raise SettingsError(
            f"{', '.join(keys)} is there to verify with, and no add-on is installed that does. "
            "Others are answered only with it: run `uv sync`, or bring vendor/ and files to one "
            "version with `rung update`. If it is nothing of the service's, move it a folder deeper."
        )


def routes_of(name: str, service: Service) -> list[BaseRoute]:
    """Return the routes that a module adds to a service.

    Raises:
        ImportError: there is no such module.
    """
    routes: list[BaseRoute] = importlib.import_module(name).routes(service)
    return routes


def reader_of(names: list[str], environment: str) -> StateReader:
    """Return what reads the state of an environment: that of the first module that has one.

    Raises:
        ImportError: there is no such module.
    """
    folder = release_folders.environment(environment)
    for name in names:
        if make := getattr(importlib.import_module(name), "state_reader", None):
            reader: StateReader = make(folder)
            return reader
    return StateReader(folder)
