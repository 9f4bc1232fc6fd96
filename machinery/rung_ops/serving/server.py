"""The web server around the service: one process, and an end in which no request is lost."""

import asyncio
import errno
import logging
import os
import signal
import time
from functools import partial
from types import FrameType

import uvicorn

from rung_ops.serving.connections import BACKLOG, Connections, affordable
from rung_ops.serving.hooks import Asgi
from rung_ops.serving.protocol import BoundedProtocol
from rung_ops.serving.service import Service

LOG = logging.getLogger("service")

# Seconds for which an idle connection stays open: longer than load balancers keep theirs (60), so
# that it is never closed under a request that is on its way.
KEEP_ALIVE = 75
# Seconds that remain after draining for requests on their way: some callers send slowly.
FINISH = 5
# Seconds within which a second signal is the first one: at Ctrl-C the terminal tells all processes
# of `uv run poe serve`, and those above this one pass it on.
SAME_SIGNAL = 1.0


class Server(uvicorn.Server):
    """Runs until a stop signal, drains, and ends with exit code 0."""

    def __init__(self, service: Service, app: Asgi, host: str, port: int) -> None:
        """Configure uvicorn: its fast parts, and nothing for each request."""
        limits = service.limits
        most = affordable(limits.max_connections)
        if most < limits.max_connections:
            LOG.warning(
                "The limit of open files (`ulimit -n`) allows %d connections, and max_connections in "
                "ops/service.toml is %d.",
                most,
                limits.max_connections,
            )
        bounds = Connections(most, service.metrics.count_ended)
        super().__init__(
            uvicorn.Config(
                app,
                host,
                port,
                loop="auto",  # uvloop, where there is one
                http=partial(BoundedProtocol, limits=limits, bounds=bounds),  # type: ignore[arg-type]
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
                # Not limit_concurrency: it refuses health checks, too, and idle connections stay.
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=FINISH,
            )
        )
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: float | None = None

    def serve_until_told(self) -> int:
        """Serve; return the exit code: 0 after a signal, 1 if it could not start."""
        try:
            self.run()
        except SystemExit as ended:  # uvicorn has said why
            if getattr(ended.__context__, "errno", None) == errno.EADDRINUSE:
                other = self.config.port + 1
                LOG.error("Stop what listens there, or choose another port: `--port %d`.", other)
            return 1
        return 0

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Start to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup()
        LOG.info(
            "Serving %s on http://%s:%d, process %s",
            self._service.environment,
            self.config.host,
            self.servers[0].sockets[0].getsockname()[1],
            os.getpid(),
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal, and end at once on the second one."""
        if self._loop is None:
            self.should_exit = True
        elif self._told is None:
            self._told = time.monotonic()
            self._loop.call_soon_threadsafe(self._drain, signal.Signals(sig).name)
        elif time.monotonic() - self._told > SAME_SIGNAL:
            self.force_exit = self.should_exit = True

    def _drain(self, name: str) -> None:
        if self._service.draining or self._loop is None:
            return
        seconds = self._service.limits.drain_seconds
        LOG.info("%s: no longer ready, and gone in %g s", name, seconds)
        self._service.drain()
        self._loop.call_later(seconds, self._end)

    def _end(self) -> None:
        self.should_exit = True
