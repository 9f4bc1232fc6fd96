"""Start the service of the copy, and send it rows as requests."""

import http.client
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from rung_ops.serving import access
from rung_ops.system import processes

HOST = "127.0.0.1"
CALLERS = 4
TRIES = 20
STARTS_WITHIN = 60.0  # seconds


class ServiceFailed(Exception):
    """The service did not start or answer; the message repeats the end of its log."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request: its id, the prediction, and the release that made it.

    The prediction is as a release scores it: of several classes the probabilities of all.
    """

    id: str
    prediction: float | list[float]
    release: str


class Service:
    """The service of the copy, running in a process until close()."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: dict[str, str], port: int
    ) -> None:
        """Start the service.

        Args:
            command: command line, without the port.
            folder: of the copy.
            environment: environment variables of its process.
            port: the port it listens on.
        """
        self.port = port
        self._token = secrets.token_urlsafe()
        self._log = (folder / "service.log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            cwd=folder,
            env=environment | {access.PREDICT: f"replay:{self._token}"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def wait(self) -> None:
        """Wait until it is ready.

        Raises:
            ServiceFailed: it ended, or takes too long.
        """
        end = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < end and self._process.poll() is None:
            try:
                connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
                connection.request("GET", "/health/ready")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise ServiceFailed(f"The service did not become ready:\n{self._log_end()}")

    def send(self, rows: pl.DataFrame, ids: Sequence[str]) -> list[Answer]:
        """Send each row as a request, from CALLERS threads.

        Returns:
            One answer for each row, in the order of the rows.

        Raises:
            ServiceFailed: a request was not answered.
        """
        bodies = [msgspec.json.encode(row) for row in rows.iter_rows(named=True)]
        answers: list[Answer | None] = [None] * len(bodies)
        failed: list[str] = []

        def call(first: int) -> None:
            connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
            try:
                for number in range(first, len(bodies), CALLERS):
                    answers[number] = _ask(connection, bodies[number], ids[number], self._token)
            except (OSError, http.client.HTTPException, ServiceFailed) as error:
                failed.append(str(error) or repr(error))
            finally:
                connection.close()

        callers = [threading.Thread(target=call, args=(first,)) for first in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        if failed:
            raise ServiceFailed(f"A request was not answered: {failed[0]}\n{self._log_end()}")
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """Stop the service after it has answered open requests."""
        processes.stop(self._process, 30)
        self._log.close()

    def _log_end(self) -> str:
        self._log.flush()
        self._log.seek(0)
        return "".join(f"  {line}" for line in self._log.readlines()[-20:])


def wait_for(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; return whether it did within the time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _ask(connection: http.client.HTTPConnection, body: bytes, name: str, token: str) -> Answer:
    headers = {
        **{"content-type": "application/json", "x-request-id": name},
        "authorization": f"Bearer {token}",
    }
    status, content = 0, b""
    for _ in range(TRIES):
        connection.request("POST", "/predict", body, headers)
        response = connection.getresponse()
        status, content = response.status, response.read()
        if status != 503:
            break
        time.sleep(0.05)  # 503 asks the caller to retry
    if status != 200:
        raise ServiceFailed(f"status {status}: {content[:500].decode(errors='replace')}")
    answer: dict[str, Any] = json.loads(content)
    predicted: Any = answer["prediction"]
    if by_class := answer.get("probabilities"):
        predicted = list(by_class.values())
    elif interval := answer.get("interval"):
        predicted = [interval["low"], predicted, interval["high"]]
    return Answer(name, predicted, str(answer["release"]))
