"""Start the services, hold their answers against scikit-learn's, load them in turn."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from serve import client
from serve.client import Load
from serve.contenders import Request, Row, Service
from serve.processes import Server
from serve.rooms import PEER_CODE, surroundings

# A probability may differ so much from scikit-learn's: ONNX Runtime computes in 32 bits.
TOLERANCE = 1e-5
READY_SECONDS = 120
SETTLE_SECONDS = 0.3
BODIES = {1: 500, 100: 20, 1000: 2}  # different bodies, by their number of rows


@dataclass(frozen=True)
class Workload:
    """What is sent: a form ("one" or a name of `many`), rows in a body, connections."""

    form: str
    rows: int
    connections: int


@dataclass(frozen=True)
class Figures:
    """One service under one load."""

    cpu: float  # microseconds of the server's processes for one request
    load: Load


@dataclass
class Start:
    """One cold start: until the first answer."""

    seconds: float
    cpu: float


@dataclass
class Contender:
    """A service, where it runs, and all that was measured of it."""

    service: Service
    room: Path
    scratch: Path
    server: Server | None = None
    port: int = 0
    starts: list[Start] = field(default_factory=list)
    memory: float = 0.0  # MB resident after all loads
    processes: int = 0
    figures: dict[Workload, list[Figures]] = field(default_factory=dict)

    def start(self, rows: Sequence[Row], cores: Sequence[int]) -> None:
        """Start the server and wait for its first answer."""
        self.port = _free_ports()
        service, scratch = self.service, self.scratch
        environment = surroundings(
            PATH=os.pathsep.join([str(self.room / "bin"), os.environ["PATH"]]),
            HOME=str(scratch / "home"),
            PYTHONPATH="" if service.folder else str(PEER_CODE),
            BENCHMARK_MODEL=str(scratch / "model"),
            **{name: self._filled(value) for name, value in service.settings.items()},
        )
        folder = scratch / service.folder if service.folder else PEER_CODE
        log = scratch / f"{service.key}.log"
        begin = time.perf_counter()
        command = self._filled(service.command).split()
        self.server = Server(command, folder, environment, cores[: service.cores], log)
        one = service.one
        try:
            client.wait(self.url(one), one.body([rows[0]]), one.kind, READY_SECONDS)
        except client.UnansweredError as error:
            self.server.stop()
            sys.exit(f"{service.title} does not start: {error}\n{log.read_text()[-3000:]}")
        self.starts.append(Start(time.perf_counter() - begin, self.server.cpu()))

    def stop(self) -> None:
        """End the server."""
        if self.server:
            self.server.stop()
            self.server = None

    def url(self, request: Request) -> str:
        """Return the address of one way to ask."""
        return f"http://127.0.0.1:{self.port}{request.path}"

    def _filled(self, text: str) -> str:
        text = text.replace("MODEL", "SCRATCH/model")
        for offset in (2, 1):
            text = text.replace(f"PORT+{offset}", str(self.port + offset))
        return text.replace("PORT", str(self.port)).replace("SCRATCH", str(self.scratch))


def _free_ports() -> int:
    """Find a port with two free ones after it."""
    while True:
        with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
            first = opened.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            for offset in (1, 2):
                opened.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            return int(port)


def compare(one: Contender, rows: Sequence[Row], expected: Sequence[float]) -> float:
    """Hold each row's answer against scikit-learn's, for every body that is sent later.

    Sixteen are asked at a time, so that a service that batches does so here as well.

    Returns:
        The largest difference of a probability.
    """
    service = one.service
    if service.group == "floor":
        return 0.0

    def difference(request: Request, first: int, count: int) -> float:
        asked = list(rows[first : first + count])
        body = request.body(asked)
        given = request.answer(client.post(one.url(request), body, request.kind))
        wanted = expected[first : first + count]
        return max(abs(mine - theirs) for mine, theirs in zip(given, wanted, strict=True))

    def all_of(request: Request, count: int) -> list[float]:
        starts = range(0, BODIES[count] * count, count)
        return list(pool.map(lambda at: difference(request, at, count), starts))

    with ThreadPoolExecutor(16) as pool:
        differences = all_of(service.one, 1)
        for request in service.many.values():
            differences += all_of(request, 100) + all_of(request, 1000)
    if not max(differences) <= TOLERANCE:
        sys.exit(
            f"{service.title}: an answer differs by {max(differences):.2g} from scikit-learn's."
        )
    return max(differences)


WORKLOADS = [Workload("one", 1, connections) for connections in (1, 16, 64)] + [
    Workload(form, rows, 4) for rows in (100, 1000) for form in ("JSON", "columnar JSON")
]


def apply(
    one: Contender,
    work: Workload,
    rows: Sequence[Row],
    expected: Sequence[float],
    seconds: float,
    cores: tuple[int, int],
) -> None:
    """Load one service in one way, hold the sum of its answers, and note what it took."""
    request = one.service.one if work.form == "one" else one.service.many[work.form]
    bodies = one.scratch / "bodies" / f"{one.service.key}-{work.form.replace(' ', '-')}-{work.rows}"
    starts = range(0, BODIES[work.rows] * work.rows, work.rows)
    if not bodies.exists():
        client.write([request.body(list(rows[at : at + work.rows])) for at in starts], bodies)
    assert one.server
    time.sleep(SETTLE_SECONDS)
    before = one.server.cpu()
    try:
        load = client.load(
            one.url(request),
            bodies,
            request.kind,
            request.numbers,
            work.connections,
            seconds,
            cores[1],
        )
        used = one.server.cpu() - before
        if request.numbers:
            _hold(load, work, [sum(expected[at : at + work.rows]) for at in starts])
    except client.UnansweredError as error:
        sys.exit(f"{one.service.title}, {work}: {error}\n{one.server.log.read_text()[-3000:]}")
    one.figures.setdefault(work, []).append(Figures(used / load.answered * 1e6, load))


def _hold(load: Load, work: Workload, sums: Sequence[float]) -> None:
    """Hold the sum of all predictions that were answered against scikit-learn's.

    Args:
        load: all that was answered.
        work: how it was asked.
        sums: of the predictions of each body; bodies are sent in turn, from the second on.
    """
    wanted_rows = load.answered * work.rows
    whole, rest = divmod(load.answered, len(sums))
    wanted = whole * sum(sums) + sum((sums * 2)[1 : 1 + rest])
    if load.rows != wanted_rows or abs(load.total - wanted) > wanted_rows * TOLERANCE:
        raise client.UnansweredError(
            f"{wanted_rows:,} predictions with the sum {wanted:.6f} were to come, "
            f"{load.rows:,} with the sum {load.total:.6f} came"
        )


def able(one: Contender, work: Workload) -> bool:
    """Tell whether a service is asked in this way."""
    return work.form == "one" or work.form in one.service.many
