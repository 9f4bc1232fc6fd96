"""Processes of a service that share its port: started, started again where they end, stopped together.

Each is a whole service, as a replica is: it follows the state of the environment, writes a log of its own,
and shares what it has seen of a trial (evidence). uvicorn's supervisor starts no server but its own, so it
cannot be used; each process of SO_REUSEPORT would have a queue, whose connections are lost with it.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from rung_ops.errors import OpsError

LOG = logging.getLogger("service")

VARIABLE = "RUNG_SERVICE_WORKER"  # set for a worker alone
PAUSE = 0.1  # seconds between two looks at the workers
# Seconds from a start to the next one of the same worker: twice as many each time, while it ends soon.
RESTART, MAX_RESTART = 1.0, 30.0
LONG = 60.0  # seconds after which a worker has not ended soon


class Worker(NamedTuple):
    """One of them, as it knows itself."""

    number: int  # from 1 on
    folder: Path  # in which each has its figures
    descriptor: int  # of the socket that all of them accept from
    parent: int  # process that started it

    @property
    def figures(self) -> Path:
        """Return the file with its metrics."""
        return self.folder / f"{self.number}.prom"

    def socket(self) -> socket.socket:
        """Return the socket to accept from."""
        return socket.socket(fileno=self.descriptor)

    @property
    def is_orphan(self) -> bool:
        """Return whether the process that started this one has ended."""
        return os.getppid() != self.parent


def this_worker() -> Worker | None:
    """Return which worker this process is; None if it answers alone."""
    words = os.environ.pop(VARIABLE, "").split(" ", 3)  # what it starts itself is none
    if len(words) < 4:
        return None
    number, descriptor, parent = map(int, words[:3])
    return Worker(number, Path(words[3]), descriptor, parent)


def run(count: int, host: str, port: int, arguments: Sequence[str]) -> int:
    """Serve with so many workers until a stop signal; return the exit code."""
    if os.name == "nt":
        raise OpsError("On Windows a service is one process.", "Set `workers = 1` in service.toml.")
    signals: list[int] = []

    def note(sign: int, frame: FrameType | None) -> None:
        signals.append(sign)

    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, note)
    with bound(host, port) as shared, tempfile.TemporaryDirectory(prefix="service-") as folder:
        known = [
            Worker(number, Path(folder), shared.fileno(), os.getpid())
            for number in range(1, count + 1)
        ]
        workers = [_Process(worker, arguments) for worker in known]
        code, is_stopping = 0, False
        failed, has_started = set(), False
        while not is_stopping or any(worker.process.poll() is None for worker in workers):
            time.sleep(PAUSE)
            has_started = has_started or any(Path(folder).iterdir())
            for worker in workers if not is_stopping else ():
                ended = worker.process.poll()
                if ended is None:
                    continue
                worker.figures.unlink(missing_ok=True)
                if ended > 0:
                    failed.add(worker)
                if not has_started and len(failed) == count:
                    code = ended
                    signals.append(signal.SIGTERM)  # none can start
                    break
                if time.monotonic() > worker.due:
                    LOG.error("%s has ended (%s), and is started again.", worker, ended)
                    worker.restart()
            while signals:
                is_stopping, sent = True, signals.pop(0)
                for worker in workers:
                    worker.process.send_signal(sent)
    return code


def bound(host: str, port: int) -> socket.socket:
    """Return a socket with an address, which the first worker listens on."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise OpsError(
            f"{host}:{port} cannot be used ({error.strerror}).",
            f"Stop what listens there, or choose another port: `--port {port + 1}`.",
        ) from error
    return made


class _Process:
    """A worker, as the process that starts it sees it."""

    def __init__(self, worker: Worker, arguments: Sequence[str]) -> None:
        self._worker, self.figures = worker, worker.figures
        self._command = [sys.executable, "-m", "rung_ops", "serve", *arguments]
        self._pause = RESTART
        self._start()

    def __str__(self) -> str:
        return f"Worker {self._worker.number}, process {self.process.pid},"

    def restart(self) -> None:
        """Start the process again."""
        soon = time.monotonic() - self._since < LONG
        self._pause = min(self._pause * 2, MAX_RESTART) if soon else RESTART
        self._start()

    @property
    def due(self) -> float:
        """Monotonic seconds at which it may be started again."""
        return self._since + self._pause

    def _start(self) -> None:
        number, folder, descriptor, parent = self._worker
        self.process = subprocess.Popen(
            self._command,
            env=os.environ | {VARIABLE: f"{number} {descriptor} {parent} {folder}"},
            pass_fds=[descriptor],
        )
        self._since = time.monotonic()
