"""Requests to a service from many callers, each as soon as its last one was answered."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

# In place of a status: the connection broke before the answer, or there was no connection.
RESET, UNREACHED = 0, -1
Request = tuple[str, bytes, dict[str, str]]  # path, body, headers


def request(path: str, body: Any, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return path, json.dumps(body).encode(), {"content-type": "application/json"} | named


@dataclass
class Reply:
    """What became of one request."""

    number: int
    due: float  # when it was sent, by time.perf_counter()
    seconds: float = 0.0
    status: int = UNREACHED  # or RESET, or that of the answer
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def during(
    port: int, work: Callable[[], Any], *loads: tuple[Sequence[Request], int]
) -> tuple[list[Reply], Any]:
    """Send requests while something is done; return the replies and what came of it."""
    done, replies, first = threading.Event(), list[Reply](), 0
    with ThreadPoolExecutor(sum(callers for _, callers in loads)) as pool:
        for requests, callers in loads:
            numbers = itertools.cycle(range(len(requests)))
            for _ in range(callers):
                pool.submit(_send, port, requests, first, numbers, done, replies)
            first += len(requests)
        try:
            result = work()
        finally:
            done.set()
    return replies, result


def _send(
    port: int,
    requests: Sequence[Request],
    first: int,
    numbers: "itertools.cycle[int]",
    done: threading.Event,
    replies: list[Reply],
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while not done.is_set():
        number = next(numbers)
        reply = Reply(first + number, time.perf_counter())
        try:
            if connection.sock is None:
                connection.connect()
            reply.status = RESET
            connection.request("POST", *requests[number])
            answer = connection.getresponse()
            reply.body = answer.read()
            reply.status = answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
            done.wait(0.01)
        reply.seconds = time.perf_counter() - reply.due
        replies.append(reply)
    connection.close()
