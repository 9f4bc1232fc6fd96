"""Production is served by the signed log: what somebody writes past the commands is not followed."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from machinery.governance.tests.conftest import Capture, Patch, Refusal, edit_state
from machinery.governance.tests.running import TOKEN
from rung_governance.approval import (
    admission,
    audit,
    batch,
    keys,
    kill_switch,
    oversight,
    signed_log,
)
from rung_governance.approval.admission import SignedStateReader
from rung_governance.approval.audit import UnsignedLogError
from rung_ops.errors import StageError
from rung_ops.project.service_settings import Limits
from rung_ops.release import state
from rung_ops.release.history import State
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout
from rung_ops.serving.service import Service
from rung_ops.serving.watch import Watch

FIRST, SECOND = "v1-aaaaaaaa-bbbbbb", "v2-aaaaaaaa-bbbbbb"


class Signed:
    """An environment that serves FIRST after SECOND, and the reader that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for release in (SECOND, FIRST):
            with audit.signed(folder) as problems:
                state.serve(folder, release, "Ada")
            assert problems == []
        self.reader = SignedStateReader(folder)
        self.before = self.followed()

    def followed(self) -> State:
        """Return the state that is served where nothing is wrong."""
        reading = self.reader.read()
        assert (reading.problems, reading.is_valid) == ((), True)
        return reading.state

    def refused(self) -> str:
        """Return why the service is not ready; it goes on with the state before."""
        reading = self.reader.read()
        assert (reading.state, reading.is_valid) == (self.before, False)
        (problem,) = reading.problems
        return problem


@pytest.fixture
def signed(production: Path, monkeypatch: Patch) -> Signed:
    monkeypatch.setattr(admission, "GRACE", 0.0)
    return Signed(production)


def faults(signed: Signed) -> str:
    """Return what `poe audit-log` says, which has to find everything that the service refuses."""
    problems = audit.report(signed.folder)
    assert problems
    return " ".join(problems)


def test_what_the_commands_write_is_followed(signed: Signed) -> None:
    assert (signed.before.serving, signed.before.previous) == (FIRST, (SECOND,))

    assert kill_switch.switch_off(signed.folder, "Olga", "a drill") == []
    assert signed.followed().stopped is not None
    assert kill_switch.switch_on(signed.folder, "Olga", "over") == []
    assert signed.followed().stopped is None
    assert signed.followed() == state.read(signed.folder)


EDITS: dict[str, dict[str, Any]] = {
    "another release": {"serving": SECOND},
    "a path": {"serving": "../../evil"},
    "another previous one": {"previous": ["v9-evil"]},
    "a canary": {"canary": {"release": SECOND, "step": 0, "since": "2026-01-01"}},
    "a shadow": {"shadow": {"release": SECOND, "share": 1.0}},
    "a raised generation": {"generation": 9},
    "a stop": {"stopped": {"by": "Eve", "at": "2026-01-01", "reason": "mischief"}},
    "no entry": {"entry": None},
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.tried(
    "Edit `state.json`: another release, a canary, a raised generation",
    "the service goes on as the log was signed last, and is not ready",
)
def test_an_edited_state_is_refused_and_found_and_prevents_no_stop(
    signed: Signed, edit: str
) -> None:
    edit_state(signed.folder, **EDITS[edit])
    assert "state.json is damaged" in signed.refused()
    assert "state.json: it is not what a command wrote" in faults(signed)

    assert kill_switch.switch_off(signed.folder, "Olga", "refuses everybody") == []

    stopped = signed.followed()
    assert stopped.stopped is not None
    assert (stopped.serving, stopped.previous) == (FIRST, (SECOND,))
    assert audit.report(signed.folder) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: state.serve(folder, SECOND, "Eve"),
        lambda folder: state.canary(folder, SECOND, "Eve"),
        lambda folder: state.shadow(folder, SECOND, 1.0, "Eve"),
        lambda folder: state.roll_back(folder, "Eve"),
    ],
)
@pytest.mark.tried(
    "Call `state.serve()`, `canary()` or `roll_back()` from Python",
    "not followed, as no line is signed; `poe audit-log` says so",
)
def test_a_change_that_is_not_signed_is_not_followed(
    signed: Signed, change: Callable[[Path], State]
) -> None:
    change(signed.folder)
    assert "line 3 of the audit log (" in (reason := signed.refused())
    assert "by Eve" in reason and "is not signed, and not followed" in reason
    assert "line 3 is not signed" in faults(signed)
    signed.reader = SignedStateReader(signed.folder)  # as after a restart
    assert "is not signed" in signed.refused()


def test_a_stop_counts_without_a_signature_and_only_a_signed_line_ends_it(signed: Signed) -> None:
    state.stop(signed.folder, "Olga", "the key is elsewhere")

    reading = signed.reader.read()
    assert reading.state.stopped is not None
    assert reading.state.stopped.reason == "the key is elsewhere"
    assert reading.problems == ("A stop is not signed. See `uv run poe audit-log`.",)

    state.resume(signed.folder, "Eve")
    reading = signed.reader.read()
    assert reading.state.stopped is not None and not reading.is_valid
    with pytest.raises(state.ChangeRefusedError, match="not stopped"):
        kill_switch.switch_on(signed.folder, "Olga", "over")

    assert audit.record(signed.folder, "reviewed", "Ada", review=True) == []
    assert signed.followed().stopped is None


@pytest.mark.parametrize("without", ["key", "signature"])
@pytest.mark.tried("End a stop without the key", "refused; a stop itself needs no key")
def test_what_could_not_be_signed_is_not_resumed(
    signed: Signed, without: str, monkeypatch: Patch
) -> None:
    kill_switch.switch_off(signed.folder, "Olga", "a drill")
    if without == "key":
        monkeypatch.delenv(keys.VARIABLE)
    else:
        state.note(signed.folder, "override", "Eve")

    with pytest.raises(UnsignedLogError, match="could not be signed"):
        kill_switch.switch_on(signed.folder, "Olga", "over")

    assert state.read(signed.folder).stopped is not None


def test_the_state_is_restored_from_the_log(
    signed: Signed, capsys: Capture, refusal: Refusal
) -> None:
    edit_state(signed.folder, serving=SECOND)

    assert audit.main(["production", "--restore"]) == 0

    assert f"state.json is restored: production serves {FIRST}" in capsys.readouterr().out
    assert signed.followed() == signed.before
    (signed.folder / signed_log.ANCHORS).write_text("")
    assert "no change of it was signed" in refusal(audit.main, "production", "--restore")


@pytest.mark.tried(
    "Put an older `state.json` in its place, or delete it",
    "the service goes on as the log was signed last",
)
def test_an_older_state_in_its_place_or_none_is_refused_and_found(signed: Signed) -> None:
    older = (signed.folder / state.STATE).read_bytes()
    with audit.signed(signed.folder):
        state.stop(signed.folder, "Olga", "refuses everybody")
    signed.before = signed.followed()

    (signed.folder / state.STATE).write_bytes(older)

    assert "is not of the last change in the audit log" in signed.refused()
    assert "an older file was put in its place" in faults(signed)
    (signed.folder / state.STATE).unlink()
    assert "edited, replaced or deleted" in signed.refused()


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def put(folder: Path, content: dict[str, bytes]) -> None:
    for name, text in content.items():
        (folder / name).write_bytes(text)


@pytest.mark.parametrize("way", ["cut in place", "replaced"])
@pytest.mark.tried(
    "Cut log, anchors and state together while the service runs",
    "the service goes on as before, and is not ready",
)
def test_a_log_that_is_cut_with_its_anchors_is_found_while_the_service_runs(
    signed: Signed, way: str
) -> None:
    before = kept(signed.folder)
    with audit.signed(signed.folder):
        state.stop(signed.folder, "Olga", "refuses everybody")
    signed.before = signed.followed()

    for name, content in before.items():
        path = signed.folder / name
        if way == "replaced":
            path.unlink()
        path.write_bytes(content)
        os.utime(path)

    assert "line 3 was signed and is gone" in signed.refused()
    assert audit.report(signed.folder) == []  # which needs the noted witness: see docs


@pytest.mark.tried(
    "Put log, anchors and state of an earlier day back before a restart",
    "the service answers 503, as it noted how far it saw the log",
)
def test_old_files_that_are_put_back_before_a_restart_undo_no_stop(
    signed: Signed, monkeypatch: Patch
) -> None:
    before = kept(signed.folder)
    service = SignedStateReader(signed.folder, remembers=True)
    assert service.read().state.stopped is None
    assert kill_switch.switch_off(signed.folder, "Olga", "refuses everybody") == []
    assert service.read().state.stopped is not None

    put(signed.folder, before)
    again = SignedStateReader(signed.folder, remembers=True).read()

    assert (again.state, again.is_valid) == (State(), False)
    assert "line 3 was signed and is gone" in again.problems[0]
    assert "the service saw 3 lines signed" in faults(signed)
    with pytest.raises(StageError, match="line 3 was signed and is gone"):
        batch._refuse_while_stopped(signed.folder)

    signed_log.seen_path("production").unlink()  # as somebody may who holds both places
    assert SignedStateReader(signed.folder, remembers=True).read().is_valid
    assert audit.report(signed.folder) == []


def test_what_was_seen_is_in_the_log_as_it_grows(signed: Signed) -> None:
    service = SignedStateReader(signed.folder, remembers=True)
    for number in range(2, 5):
        assert service.read().is_valid
        recorded = signed_log.read_seen("production")
        assert recorded is not None and recorded.lines == number
        assert SignedStateReader(signed.folder, remembers=True).read().is_valid
        assert audit.record(signed.folder, "reviewed", "Ada") == []


def test_where_nothing_can_be_noted_what_is_signed_is_served(
    signed: Signed, tmp_path: Path, monkeypatch: Patch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOGS", str(tmp_path / "file/logs"))
    reading = SignedStateReader(signed.folder, remembers=True).read()
    assert (reading.state, reading.is_valid) == (signed.before, True)


def test_a_log_whose_lines_or_anchors_were_taken_away_is_not_relied_on(signed: Signed) -> None:
    content = (signed.folder / signed_log.ANCHORS).read_bytes()
    (signed.folder / signed_log.ANCHORS).unlink()
    assert "cannot be relied on" in signed.refused()

    (signed.folder / signed_log.ANCHORS).write_bytes(content)
    signed.followed()
    (signed.folder / signed_log.ANCHORS).write_bytes(content + content.splitlines()[0] + b"\n")
    assert "anchors are gone that were there" in signed.refused()
    (signed.folder / signed_log.ANCHORS).write_bytes(content + b"{}\n")
    assert "the last anchor was not signed" in signed.refused()


def test_where_nothing_was_ever_signed_nothing_is_served(production: Path) -> None:
    reading = SignedStateReader(production).read()
    assert (reading.state, reading.problems, reading.is_valid) == (State(), (), True)

    state.serve(production, FIRST, "Eve")
    reading = SignedStateReader(production).read()
    assert (reading.state, reading.is_valid) == (State(), False)
    assert "is not signed, and not followed" in reading.problems[0]


def test_without_the_public_key_nothing_is_served(
    signed: Signed, monkeypatch: Patch, tmp_path: Path
) -> None:
    monkeypatch.setattr(keys, "public_key_file", lambda: tmp_path / "no.pub")
    reading = SignedStateReader(signed.folder).read()
    assert (reading.state, reading.is_valid) == (State(), False)
    assert "is missing, so nothing can be verified" in reading.problems[0]


def test_a_line_that_is_being_signed_is_waited_for(signed: Signed, monkeypatch: Patch) -> None:
    monkeypatch.setattr(admission, "GRACE", 60.0)
    with audit.signed(signed.folder):
        state.serve(signed.folder, SECOND, "Ada")
        assert signed.followed() == signed.before

    assert signed.followed().serving == SECOND


def test_a_change_of_an_earlier_version_names_the_way_on(signed: Signed) -> None:
    line = signed.reader._log.signed.change
    assert line is not None
    line["detail"].pop("state")

    reading = signed.reader.read()

    assert not reading.is_valid and reading.state == State()
    assert "`uv run poe stop`, then `uv run poe resume`" in reading.problems[0]


OLGA = {"by": "Olga", "reason": "it refuses everybody"}
PAUL = {"by": "Paul", "reason": "fixed"}


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
    monkeypatch.setattr(admission, "GRACE", 0.0)
    monkeypatch.setattr(oversight, "WAIT", 0.0)
    with audit.signed(folder):
        state.serve(folder, FIRST, "Ada")
    with asyncio.Runner() as runner:
        made = Overseen(folder, runner)
        yield made
        made.service.close()


@pytest.mark.tried(
    "Put log, anchors and state from before a stop back at once",
    "the stop holds until a signed resumption follows that line",
)
def test_a_stop_holds_where_older_files_are_put_in_its_place(overseen: Overseen) -> None:
    before = kept(overseen.folder)
    assert overseen.send("/stop", OLGA) == (200, {"stopped": True, **OLGA})
    written = kept(overseen.folder)

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
    before = kept(overseen.folder)
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
        state.serve(production, FIRST, "Ada")
    reader = SignedStateReader(production)
    before = kept(production)
    state.stop(production, "Olga", "the key is elsewhere")
    after = kept(production)
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
