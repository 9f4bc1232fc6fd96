"""A process that accepted a stop holds it, whatever files are put in the place of those that say so."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from machinery.governance.tests.conftest import Patch
from machinery.governance.tests.running import TOKEN
from rung_governance.approval import anchors, audit, kill_switch, oversight, signed_state
from rung_governance.approval.signed_state import SignedStateReader
from rung_ops.project.service_settings import Limits
from rung_ops.release import state
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout
from rung_ops.serving.service import Service
from rung_ops.serving.watch import Watch

FILES = (state.STATE, state.HISTORY, anchors.ANCHORS)


RELEASE = "v1-aaaaaaaa-bbbbbb"
OLGA = {"by": "Olga", "reason": "it refuses everybody"}
PAUL = {"by": "Paul", "reason": "fixed"}


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def put(folder: Path, content: dict[str, bytes]) -> None:
    for name, text in content.items():
        (folder / name).write_bytes(text)


class Overseen:
    """A service of an environment that looks when the test does, and what people send to it."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self.folder, self.runner = folder, runner
        self.service = Service(folder.name, Limits(), Metrics(), Rollout(folder, None))
        self.watch = Watch(self.service, oversight.state_reader(folder))
        self.endpoints = {each.path: each.endpoint for each in oversight.routes(self.service)}
        self.look()

    def send(self, path: str, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Send JSON with the operators' token; return status and answer."""
        token = (b"authorization", f"Bearer {TOKEN}".encode())
        scope = {"type": "http", "method": "POST", "path": path, "headers": [token], "state": {}}

        async def receive() -> Message:
            return {"type": "http.request", "body": json.dumps(fields).encode()}

        answer = self.runner.run(self.endpoints[path](Request(scope, receive)))
        return answer.status_code, json.loads(answer.body)

    def look(self) -> str:
        """Look, and return what is wrong with the stop."""
        self.runner.run(self.watch.poll())
        return " ".join(each for each in self.service.held.problems if "stop by" in each)


@pytest.fixture(params=["production", "staging"])
def overseen(
    request: pytest.FixtureRequest, production: Path, monkeypatch: Patch
) -> Iterator[Overseen]:
    folder = production.with_name(request.param)
    monkeypatch.setenv("RELEASES", str(production.parent))
    monkeypatch.setenv("OPERATOR_TOKEN", TOKEN)
    monkeypatch.setattr(signed_state, "GRACE", 0.0)
    monkeypatch.setattr(oversight, "WAIT", 0.0)
    with audit.signed(folder):
        state.serve(folder, RELEASE, "Ada")
    with asyncio.Runner() as runner:
        made = Overseen(folder, runner)
        yield made
        made.service.close()


@pytest.mark.tried(
    "Put log, anchors and state from before a stop back at once",
    "the stop holds until a signed resumption follows that line",
)
def test_a_stop_holds_where_older_files_are_put_in_its_place(overseen: Overseen) -> None:
    before = files(overseen.folder)
    assert overseen.send("/stop", OLGA) == (200, {"stopped": True, **OLGA})
    written = files(overseen.folder)

    put(overseen.folder, before)
    assert "The stop by Olga" in overseen.look()
    assert overseen.service.stopped is not None and not overseen.service.ready
    assert overseen.send("/resume", PAUL)[0] == 409
    overseen.look()
    assert overseen.service.stopped is not None

    put(overseen.folder, written)
    assert overseen.look() == ""
    assert overseen.service.stopped is not None
    kill_switch.switch_on(overseen.folder, "Paul", "fixed")
    overseen.look()
    assert overseen.service.stopped is None


def test_another_stop_and_its_end_do_not_end_the_first(overseen: Overseen) -> None:
    before = files(overseen.folder)
    overseen.send("/stop", OLGA)
    put(overseen.folder, before)
    kill_switch.switch_off(overseen.folder, "Eve", "a drill")
    overseen.look()
    kill_switch.switch_on(overseen.folder, "Eve", "over")
    overseen.look()

    assert overseen.service.stopped is not None and overseen.service.stopped.by == "Olga"


def test_one_resumption_ends_every_stop_before_it(overseen: Overseen) -> None:
    overseen.send("/stop", OLGA)
    overseen.send("/stop", PAUL)
    overseen.look()
    kill_switch.switch_on(overseen.folder, "Paul", "fixed")
    overseen.look()

    assert overseen.service.stopped is None


def test_an_unsigned_stop_that_was_seen_holds_where_it_is_taken_out(production: Path) -> None:
    with audit.signed(production):
        state.serve(production, RELEASE, "Ada")
    reader = SignedStateReader(production)
    before = files(production)
    state.stop(production, "Olga", "the key is elsewhere")
    after = files(production)
    assert reader.read().state.stopped is not None

    put(production, before)
    reading = reader.read()

    assert reading.state.stopped is not None and reading.state.stopped.by == "Olga"
    assert "is gone from the audit log" in " ".join(reading.problems)
    put(production, after)
    audit.record(production, "reviewed", "Ada", review=True)
    reading = reader.read()
    assert reading.state.stopped is not None and reading.problems == ()
    kill_switch.switch_on(production, "Paul", "fixed")
    assert reader.read().state.stopped is None
