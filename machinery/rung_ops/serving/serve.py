"""Start the prediction service: `uv run poe serve`."""

import argparse
import os
import sys

from rung_ops.project.service_settings import Logging

# Before polars is imported: one thread is cheaper for batches of few rows.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import asyncio
import contextlib
import importlib
import logging
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from rung_ops import addons, prediction_log
from rung_ops.addons import AddonError
from rung_ops.errors import SettingsError
from rung_ops.prediction_log import sealed
from rung_ops.project import release_folders, service_settings
from rung_ops.project.hooks import HookError
from rung_ops.project.paths import shown
from rung_ops.release.rollout import read_policy
from rung_ops.serving import hooks, local_token
from rung_ops.serving import routes as pages
from rung_ops.serving.access import EVERYBODY, Access, Guard, configured
from rung_ops.serving.app import App
from rung_ops.serving.hooks import Asgi
from rung_ops.serving.log_queue import PredictionLog
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout
from rung_ops.serving.server import Server
from rung_ops.serving.service import Service
from rung_ops.serving.state_reader import StateReader
from rung_ops.serving.watch import Watch
from rung_ops.system import memory

LOG = logging.getLogger("service")


PORT = 8000
PORT_VARIABLE = "SERVICE_PORT"  # the health check of the image asks there, too


def service_of(environment: str, access: Access = EVERYBODY) -> Service:
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
    metrics = Metrics(folder.with_name("monitor.prom"), service_settings.read_slo())
    log = None
    if logged.enabled:
        _require_key(logged)
        log = PredictionLog(folder, logged.seconds, logged.max_waiting_rows)
    return Service(environment, limits, metrics, rollout, log, hooks.load(), access, reasons)


def _require_key(logged: Logging) -> None:
    try:
        sealed.require(logged.encrypted)
    except sealed.SealedError as error:
        raise SettingsError(str(error)) from error


def application(service: Service, further: list[BaseRoute], reader: StateReader) -> Asgi:
    """Put predictions in front of the pages; the watch runs from start to end.

    Args:
        service: what answers.
        further: routes of others.
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


def main(arguments: list[str] | None = None) -> int:
    """Serve until a stop signal; return the exit code."""
    options = _options(arguments)
    memory.keep_one_arena()
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr
    )
    try:
        modules = list(dict.fromkeys([*guards(), *options.with_]))
        service = service_of(options.environment, access_of(modules, options.host))
        routes = [route for name in modules for route in routes_of(name, service)]
        app = application(service, routes, reader_of(modules, options.environment))
    except (AddonError, SettingsError, HookError, ImportError) as error:
        print(f"The service does not start: {error}", file=sys.stderr)
        return 1
    server = Server(service, app, options.host, options.port)
    return server.serve_until_told()


def guards() -> list[str]:
    """Return the modules with which the project's add-ons guard the service.

    Raises:
        AddonError: one that the project lists is not installed.
    """
    return [addon.guard for addon in addons.active().values() if addon.guard]


def access_of(names: list[str], host: str) -> Access:
    """Read who may ask, and say so if only this machine's token counts.

    Raises:
        SettingsError: settings or tokens cannot be used, or what guards a governed project is left out.
        ImportError: there is no such module.
    """
    is_governed = any(
        getattr(importlib.import_module(each), "IS_GOVERNED", False) for each in names
    )
    keys = addons.unguarded_keys()
    if not is_governed and keys and not local_token.is_local(host):
        raise SettingsError(
            f"{', '.join(keys)} is there to verify with, and no add-on is installed that does. "
            "Others are answered only with it: run `uv sync`, or bring vendor/ and files to one "
            "version with `rung update`. If it is nothing of the service's, move it a folder deeper."
        )
    access = configured(is_governed, host)
    if access.problem:
        LOG.error("%s", access.problem)
    elif local_token.HOLDER in access.predict.values():
        LOG.info(
            "Callers on this machine send `Authorization: Bearer TOKEN`, with the token in %s",
            shown(local_token.token_file()),
        )
    elif is_governed and not access.is_asked_for:
        LOG.warning("[access] in service.toml does not require callers to say who they are.")
    return access


def routes_of(name: str, service: Service) -> list[BaseRoute]:
    """Ask a module for the routes that it adds to a service.

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


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"got `{text}`; expected a port from 0 to 65535")
    return int(text)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe serve", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get(PORT_VARIABLE) or PORT,
        help=f"port to listen on; by default {PORT_VARIABLE}, or {PORT}",
    )
    parser.add_argument(
        "--environment",
        default=service_settings.environment_name(),
        help="staging or production; by default SERVICE_ENVIRONMENT, or production",
    )
    parser.add_argument(
        "--with",
        dest="with_",
        metavar="MODULE",
        action="append",
        default=[],
        help="a module whose `routes(service)` are answered too; its `state_reader(folder)`, if it "
        "has one, says what may be served",
    )
    return parser.parse_args(arguments)
