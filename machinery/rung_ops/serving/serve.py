"""Start the prediction service: `uv run poe serve`."""

import os
import sys

# Before polars is imported: one thread is cheaper for batches of few rows.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import asyncio
import contextlib
import importlib
import logging
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from rung_ops import prediction_log
from rung_ops.command import verb
from rung_ops.errors import OpsError, SettingsError
from rung_ops.prediction_log import sealed
from rung_ops.project import active_addons, current, paths, service_settings
from rung_ops.project.paths import shown
from rung_ops.release import history
from rung_ops.release.rollout import read_policy
from rung_ops.release.state import STATE
from rung_ops.serving import access, hooks, pages, request_log, workers
from rung_ops.serving.access import EVERYBODY, Access, Asgi, guarded
from rung_ops.serving.app import App
from rung_ops.serving.log_writer import PredictionLog
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout
from rung_ops.serving.service import Service
from rung_ops.serving.state_reader import StateReader
from rung_ops.serving.watch import Watch
from rung_ops.serving.workers import Worker
from rung_ops.system import processes

if TYPE_CHECKING:
    from rung_ops.serving.telemetry import Telemetry

LOG = logging.getLogger("service")

COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
SIGNALS = ("TRACES", "METRICS")
PROTOCOL, OTLP = "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
INSTALL_OTEL = ' Add a group `telemetry = ["rung-ops[otel]"]` to pyproject.toml, and start with it.'

PORT = 8000
PORT_VARIABLE = "SERVICE_PORT"  # the health check of the image asks there, too
PLATFORM_PORT = "PORT"  # set by platforms such as Cloud Run


@verb("poe serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=lambda: os.environ.get(PORT_VARIABLE) or os.environ.get(PLATFORM_PORT) or PORT,
    help=f"port to listen on; by default {PORT_VARIABLE}, else {PLATFORM_PORT}, else {PORT}",
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
# SageMaker starts every image with this word.
@click.argument("word", required=False, type=click.Choice(["serve"]), expose_value=False)
def main(host: str, port: int, environment: str, modules: tuple[str, ...]) -> int:
    """Start the prediction service, and serve until a stop signal."""
    processes.keep_one_arena()
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr
    )
    worker = workers.this_worker()
    is_json = False
    try:
        require_environment(environment)
        limits = service_settings.limits()
        if is_json := limits.log_format == "json":
            numbered = {} if worker is None else {"worker": worker.number}
            request_log.use_json(environment=environment, **numbered)
        if worker is None:
            LOG.info("%s", active_addons.running_statement())
        names = list(dict.fromkeys([*guards(), *modules]))
        callers = access_of(names, host, paths.environment(environment))
        if worker is None and limits.workers > 1:
            named = [f"--with={name}" for name in modules]
            arguments = [f"--host={host}", f"--port={port}", f"--environment={environment}", *named]
            return workers.run(limits.workers, host, port, arguments)
        service = service_of(environment, callers, worker)
        routes = [route for name in names for route in routes_of(name, service)]
        app = application(service, routes, reader_of(names, environment), worker)
        # Imported here: where uvicorn has another interface, the import says so.
        from rung_ops.serving.server import Server

        server = Server(service, app, host, port)
    except (OpsError, ImportError) as error:
        failed = OpsError(f"The service does not start: {error}")
        if not is_json:
            raise failed from error
        LOG.error("%s", failed)
        return failed.exit_code
    folder = paths.environment(environment)
    if not paths.address(folder) and not (folder / STATE).is_file():
        LOG.warning("Not ready: %s", service.advice)
    return server.serve_until_stopped(worker.socket() if worker is not None else None)


def require_environment(name: str) -> None:
    """Refuse an environment that nothing is ever deployed to."""
    folder = paths.environment(name)
    if name not in paths.ENVIRONMENTS and not folder.is_dir():
        raise SettingsError(
            f"`{name}` is no environment, and {shown(folder)} is missing.",
            f"Give `--environment` or SERVICE_ENVIRONMENT {' or '.join(paths.ENVIRONMENTS)}.",
        )


def service_of(
    environment: str, callers: Access = EVERYBODY, worker: Worker | None = None
) -> Service:
    """Make the service of an environment, as ops/service.toml and ops/rollout.toml have it."""
    # All settings are read before the log starts its thread.
    logged = service_settings.log_settings()
    limits, reasons = service_settings.limits(), service_settings.reason_settings()
    folder = prediction_log.folder(environment)
    monitor = folder.with_name(prediction_log.MONITOR_PROM)
    metrics = Metrics(monitor, service_settings.read_slo(), worker)
    rollout = Rollout(paths.environment(environment), read_policy())
    log = None
    if logged.enabled:
        try:
            sealed.require(logged.encrypted)
        except sealed.SealedError as error:
            raise SettingsError(str(error)) from error
        address = prediction_log.address(environment)
        log = PredictionLog(folder, logged.seconds, logged.max_waiting_rows, address)
    return Service(environment, limits, metrics, rollout, log, hooks.load(), callers, reasons)


def application(
    service: Service, further: list[BaseRoute], reader: StateReader, worker: Worker | None = None
) -> Asgi:
    """Make the ASGI application: predictions in front of the pages, and the watch beside them."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watch = Watch(service, reader)
        tasks = [asyncio.create_task(watch.run())]
        if worker is not None:
            tasks.append(asyncio.create_task(as_worker(service, worker)))
            await until_loaded(service, watch)  # others may answer: accept nothing before
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        closing = [service.close, *([telemetry.close] if telemetry is not None else [])]
        await asyncio.gather(*map(asyncio.to_thread, closing))

    telemetry = telemetry_of(service, worker)
    listeners: list[request_log.Listener] = [] if telemetry is None else [telemetry]
    if service.limits.log_format == "json":
        listeners.append(request_log.log_line)
    others = pages.application(service, further, lifespan)
    outer = service.hooks.wrapped(App(service, others))
    # Health is open under each of its names, and what a project answers under such a name is not.
    health = [route for route in pages.HEALTH if route in others.routes]
    app = guarded(outer, service.access, further, service.metrics.count, health, others)
    return request_log.reported(app, service, listeners, others.routes)


def collectors() -> dict[str, str]:
    """Return which variable names the collector, by the signal that OpenTelemetry's variables ask for."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return {}
    named: dict[str, str] = {}
    for signal_name in SIGNALS:
        variables = (f"OTEL_EXPORTER_OTLP_{signal_name}_ENDPOINT", COLLECTOR)
        found = next((name for name in variables if os.environ.get(name)), None)
        if found and os.environ.get(f"OTEL_{signal_name}_EXPORTER") != "none":
            named[signal_name] = found
    return named


def telemetry_of(service: Service, worker: Worker | None = None) -> "Telemetry | None":
    """Start to send traces and metrics where OpenTelemetry's variables name a collector."""
    if not (named := collectors()):
        return None
    try:
        for signal_name in named:
            variables = (f"OTEL_EXPORTER_OTLP_{signal_name}_PROTOCOL", PROTOCOL)
            found = next((name for name in variables if os.environ.get(name)), None)
            if found and (protocol := os.environ[found]) != OTLP:
                raise ValueError(f"{found} is {protocol}, not {OTLP}")
        from rung_ops.serving.telemetry import Telemetry

        project = current()
        name = project.settings().package if project.root == project.repository else ""
        number = worker.number if worker is not None else None
        return Telemetry(
            name or project.root.name, service.environment, service.metrics, number, named
        )
    except ImportError as error:
        what, todo = f"the extra `otel` is not installed ({error.name} is missing)", INSTALL_OTEL
    except ValueError as error:
        what, todo = f"a variable has no valid value: {error}", ""
    variable = next(iter(named.values()))
    LOG.warning("%s is set, and no traces or metrics are sent, as %s.%s", variable, what, todo)
    return None


async def as_worker(service: Service, worker: Worker) -> None:
    """Write the figures of a worker each second, for the one that is asked for all; end with its parent."""
    while not worker.is_orphan:
        try:
            await asyncio.to_thread(service.metrics.publish)
        except OSError as error:
            LOG.error("The metrics of worker %d cannot be written: %s", worker.number, error)
        await asyncio.sleep(1.0)
    signal.raise_signal(signal.SIGTERM)


async def until_loaded(service: Service, watch: Watch) -> None:
    """Wait for the release that is to be served, if there is one, as long as it may take to load."""
    until = time.monotonic() + service.limits.max_load_seconds
    while not service.draining and time.monotonic() < until:
        held = service.held
        if watch.has_polled and (held.serving is not None or held.state.serving is None):
            return
        await asyncio.sleep(0.05)


def guards() -> list[str]:
    """Return the modules with which the project's add-ons guard the service."""
    return [addon.guard for addon in active_addons.active().values() if addon.guard]


def access_of(names: list[str], host: str, folder: Path) -> Access:
    """Read who may ask, and say so if only this machine's token counts."""
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
    signed, keys = folder / history.ANCHORS, active_addons.unguarded_keys()
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
    """Return the routes that a module adds to a service."""
    routes: list[BaseRoute] = importlib.import_module(name).routes(service)
    return routes


def reader_of(names: list[str], environment: str) -> StateReader:
    """Return what reads the state of an environment: that of the first module that has one."""
    folder = paths.environment(environment)
    for name in names:
        if make := getattr(importlib.import_module(name), "state_reader", None):
            reader: StateReader = make(folder)
            return reader
    return StateReader(folder)
