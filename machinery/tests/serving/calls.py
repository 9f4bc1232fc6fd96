"""A service in this process, and calls to it without a socket."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from starlette.routing import BaseRoute

from rung_ops import prediction_log
from rung_ops.model.bundle import ReleaseFiles
from rung_ops.model.released import Release
from rung_ops.project.service_settings import WHERE_ASKED, Limits, ReasonSettings
from rung_ops.release.history import State
from rung_ops.serving import pages
from rung_ops.serving.access import EVERYBODY, Access, guarded
from rung_ops.serving.app import App
from rung_ops.serving.hooks import NO_HOOKS, ServiceHooks
from rung_ops.serving.loaded_release import HeldReleases, LoadedRelease
from rung_ops.serving.log_writer import PredictionLog
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout
from rung_ops.serving.service import Service

PATIENCE = (
    60  # seconds for the prediction log, which drops on a busy machine what it has not written
)
JSON = "application/json"
PLAIN: dict[str, Any] = {
    **dict.fromkeys(("ge", "gt", "le", "lt", "isin", "pattern", "min_length", "max_length")),
    **{"required": True, "default": None, "unit": None, "description": None},
}
MOMENT = "Datetime(time_unit='us', time_zone=None)"
CONTRACT: dict[str, Any] = {
    "key": ["number"],
    "columns": [
        PLAIN | {"name": "number", "dtype": "int", "polars": "Int16", "ge": 1, "le": 100},
        PLAIN | {"name": "kind", "dtype": "str", "polars": "String", "isin": ["a", "b"]},
        PLAIN | {"name": "code", "dtype": "str", "polars": "String", "pattern": "^[A-Z]{2}$"},
        PLAIN | {"name": "at", "dtype": "datetime", "polars": MOMENT},
        PLAIN
        | {"name": "weight", "dtype": "float", "polars": "Float64", "gt": 0, "unit": "kg"}
        | {"required": False, "default": 2.0, "description": "Weight of <all> of it"},
        PLAIN | {"name": "note", "dtype": "str", "polars": "String", "required": False},
    ],
    "features": [{"name": "product", "dtype": "Float64"}],
    "example": {
        **{"number": 7, "kind": "a", "code": "AB", "at": "2026-01-31T08:00:00"},
        **{"weight": 2.0, "note": None},
    },
}
ROW: dict[str, Any] = {"number": 7, "kind": "a", "code": "AB", "at": "2026-01-31T08:00:00"}


def release(name: str = "v1", times: float = 1.0, contract: dict[str, Any] = CONTRACT) -> Release:
    """Make a release that predicts number x weight x times, and breaks on number 13."""

    def predict(features: pl.DataFrame) -> np.ndarray:
        values = features["product"].to_numpy()
        if (values % 13 == 0).any():
            raise ValueError("13 is unlucky")
        return values * times

    product = (pl.col("number").cast(pl.Float64) * pl.col("weight")).alias("product")
    # What one row took, and each further one, in seconds.
    pace = (1e-4, 1e-6)
    manifest = {"id": name, "version": "1", "task": "regression"}
    documents = {"metrics": {"rmse": 1.5}, "comparison": None, "card": "# Card"}
    return Release(
        name,
        ReleaseFiles(Path(name)),
        manifest,
        contract,
        {},
        [product],
        predict,
        documents,
        seconds=pace,
    )


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Read it as JSON."""
        return json.loads(self.body)


class Caller:
    """Calls a service on an event loop of its own."""

    def __init__(
        self, service: Service, runner: asyncio.Runner, further: Sequence[BaseRoute] = ()
    ) -> None:
        self.service = service
        self.address: tuple[str, int] | None = ("203.0.113.9", 4711)  # of who asks
        app = App(service, pages.application(service, list(further)))
        outer = service.hooks.wrapped(app)
        self.app: Any = guarded(outer, service.access, further, service.metrics.count)
        self.runner = runner

    def install(self, name: str = "v1", **held: Any) -> None:
        """Let a release answer."""
        self.serve(LoadedRelease(release(name), "serving", self.service.limits.strict), **held)

    def serve(self, served: LoadedRelease, **held: Any) -> None:
        """Let a release that a test has made answer."""
        standing = HeldReleases(State(1, served.release.id), served)
        self.service.install(replace(standing, **held))

    def logged(self, folder: Path) -> pl.DataFrame:
        """Close the log of a service in a folder, and read it."""
        assert self.service.log is not None
        self.service.log.close()
        return prediction_log.read(folder / "log").sort("id").collect()

    def post(self, path: str, body: Any, kind: str = JSON, **headers: str) -> Answer:
        """Send one body, as it is or as JSON."""
        (answer,) = self.together(path, [body], kind, **headers)
        return answer

    def together(
        self, path: str, bodies: Sequence[Any], kind: str = JSON, **headers: str
    ) -> list[Answer]:
        """Send bodies at the same moment."""

        async def all_of_them() -> list[Answer]:
            sent = {"content-type": kind} | headers
            return list(await asyncio.gather(*(self.ask("POST", path, b, sent) for b in bodies)))

        return self.runner.run(all_of_them())

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask for a page."""
        return self.runner.run(self.ask(method, path, b"", headers))

    async def ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        """Speak ASGI."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        pieces = [sent[:1000], sent[1000:]]  # large bodies come in pieces
        given = [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()]
        path, _, query = path.partition("?")
        scope = {
            **{"type": "http", "method": method, "path": path, "headers": given},
            **{"root_path": "", "scheme": "http", "server": ("test", 80), "client": self.address},
            "query_string": query.encode(),
        }
        messages: list[Any] = []

        async def receive() -> Any:
            piece = pieces.pop(0) if pieces else b""
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        started = messages[0]
        received = {name.decode(): value.decode() for name, value in started["headers"]}
        text = b"".join(message.get("body", b"") for message in messages[1:])
        return Answer(started["status"], received, text)


@contextmanager
def calling(
    folder: Path,
    limits: Limits,
    log: bool = False,
    hooks: ServiceHooks = NO_HOOKS,
    access: Access = EVERYBODY,
    further: Sequence[BaseRoute] = (),
    reasons: ReasonSettings = WHERE_ASKED,
) -> Iterator[Caller]:
    """Start a service in which nothing is deployed, and end it afterwards."""
    written = PredictionLog(folder / "log", seconds=0.05) if log else None
    with asyncio.Runner() as runner:
        rollout = Rollout(folder, None)
        service = Service("production", limits, Metrics(), rollout, written, hooks, access, reasons)
        yield Caller(service, runner, further)
        soon(lambda: written is None or not written.waiting)
        service.close()


def soon(holds: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until something holds; fail when it does not within a minute, or other seconds."""
    until = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.005)
