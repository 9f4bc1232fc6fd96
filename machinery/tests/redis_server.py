"""A Redis for tests: started, stopped, paused, filled up."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

PASSWORD = "only for tests"  # pragma: allowlist secret
READY_SECONDS = 30


class RedisServer:
    """A server on a port of its own; what it holds is gone when it stops.

    Attributes:
        process: of the server.
    """

    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    def address(self, password: str = PASSWORD) -> str:
        return f"redis://:{password.replace(' ', '%20')}@127.0.0.1:{self._port}/0"

    def start(self, *options: str) -> None:
        """Start the server, and wait until it answers."""
        words = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1"]
        words += ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*words, "--requirepass", PASSWORD, *options], stdout=log, stderr=log
            )
        until = time.monotonic() + READY_SECONDS
        while not self._answers():
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(0.02)

    def hold(self, held: bool) -> None:
        """Hold the server still: it takes connections, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP if held else signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1) as opened:
            opened.sendall(b"PING\r\n")
            return bool(opened.recv(100))
        return False


@contextmanager
def running(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Start a server, and kill it afterwards; skips where none is installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    server = RedisServer(folder)
    server.start(*options)
    try:
        yield server
    finally:
        server.kill()
