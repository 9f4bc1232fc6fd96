"""Send requests to a server: one at a time to look at the answer, or with wrk to count them."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")
# wrk ends when all is answered; this is for a server that never answers.
LONGEST = 120


class UnansweredError(Exception):
    """A server did not answer as it should; the message holds what it said."""


@dataclass(frozen=True)
class Load:
    """What wrk saw: all that was sent was answered.

    Attributes:
        answered: requests.
        rows, total: predictions in the answers, and their sum; 0 if they were not read.
        per_second: requests answered in a second.
        p50, p99: milliseconds.
    """

    answered: int
    rows: int
    total: float
    per_second: float
    p50: float
    p99: float


def post(url: str, body: bytes, kind: str, timeout: float = 60) -> bytes:
    """Send one body and return the answer's.

    Raises:
        UnansweredError: there was no answer, or not a 200.
    """
    request = urllib.request.Request(url, body, {"content-type": kind})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise UnansweredError(f"{url} said {error.code}: {error.read()[:500]!r}") from error
    except OSError as error:
        raise UnansweredError(f"{url}: {error}") from error


def wait(url: str, body: bytes, kind: str, seconds: float) -> None:
    """Send one body again and again until it is answered.

    Raises:
        UnansweredError: it never was.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            post(url, body, kind)
            return
        except UnansweredError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def write(bodies: Sequence[bytes], path: Path) -> None:
    """Write bodies the way wrk.lua reads them."""
    path.write_bytes(b"".join(b"%d\n%b" % (len(body), body) for body in bodies))


def load(
    url: str,
    bodies: Path,
    kind: str,
    numbers: Sequence[str],
    connections: int,
    seconds: float,
    core: int,
) -> Load:
    """Send with so many connections for so many seconds, then wait for every answer.

    Args:
        url, bodies, kind: where to, from which file, of which content type.
        numbers: the patterns by which wrk.lua finds predictions; empty to read none.
        connections, seconds: how many at a time, and for how long.
        core: of the client.

    Raises:
        UnansweredError: a connection broke, or an answer was not a 200.
    """
    wrk = subprocess.Popen(
        [
            *("taskset", "--cpu-list", str(core), "wrk", "--threads", "1"),
            *("--connections", str(connections), "--duration", f"{LONGEST}s"),
            *("--timeout", f"{LONGEST}s", "--script", str(SCRIPT), url),
            *("--", str(bodies), kind, str(connections), str(seconds), *numbers),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert wrk.stdout
    for line in wrk.stdout:
        if line == "drained\n":
            wrk.send_signal(signal.SIGINT)
    if wrk.wait():
        raise UnansweredError(f"wrk ended with {wrk.returncode}")
    return _read(line, url, seconds)


def _read(line: str, url: str, seconds: float) -> Load:
    try:
        result = json.loads(line)
    except json.JSONDecodeError as error:
        raise UnansweredError(f"{url}: wrk said {line!r}") from error
    if result["refused"] or result["broken"] or result["answered"] != result["sent"]:
        raise UnansweredError(f"{url}: not every request was answered with a 200: {result}")
    return Load(
        result["answered"],
        result["rows"],
        result["total"],
        result["in_time"] / seconds,
        result["p50"],
        result["p99"],
    )


def cores() -> tuple[int, int]:
    """Return the core of the server and that of the client.

    Raises:
        UnansweredError: there is only one.
    """
    able = sorted(os.sched_getaffinity(0))
    if len(able) < 2:
        raise UnansweredError("This needs two cores: one for the server, one for the client.")
    return able[0], able[1]
