"""A prediction is answered, or refused in words that its sender can act upon."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.requests import ClientDisconnect

from machinery.tests.serving.calls import CONTRACT, ROW, Caller, calling, release
from rung_ops.model.rows import Refusal
from rung_ops.project.service_settings import Limits
from rung_ops.release.history import Canary, State, Stopped
from rung_ops.serving.app import BodyBudget, read_body
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.serving.rollout import TrafficSplit

MISSING = object()


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    """A service that answers with release v1."""
    with calling(tmp_path, Limits(max_body_mb=0.01, max_rows=50), log=True) as made:
        made.install()
        yield made


def test_a_row_is_answered_with_the_contracts_defaults_where_values_are_missing(
    caller: Caller,
) -> None:
    full = caller.post("/predict", ROW | {"weight": 3.0, "note": "x"}, x_request_id="mine")
    left_out = caller.post("/predict", ROW).json
    empty = caller.post("/predict", ROW | {"weight": None, "note": "x"}).json

    assert (full.status, full.headers["content-type"]) == (200, "application/json")
    assert full.json == {"id": "mine", "prediction": 21.0, "release": "v1", "defaults_used": []}
    assert (left_out["prediction"], left_out["defaults_used"]) == (14.0, ["weight", "note"])
    assert (empty["prediction"], empty["defaults_used"]) == (14.0, ["weight"])
    page = caller.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=")
    counted = page.body.decode()
    assert 'service_defaults_used_total{column="weight"} 2.0' in counted
    assert 'service_defaults_used_total{column="note"} 1.0' in counted
    assert 'service_release_info{arm="serving",release="v1"} 1.0' in counted
    assert "service_entity" not in counted, "where no entity features are declared"


def test_many_rows_are_answered_in_their_order(caller: Caller) -> None:
    rows = [ROW | {"number": number, "note": ""} for number in (1, 2, 3)]
    rows[1]["weight"] = 5.0
    answer = caller.post("/predict", rows, x_request_id="mine").json

    assert answer == {
        "release": "v1",
        "predictions": [2.0, 10.0, 6.0],
        "ids": ["mine-1", "mine-2", "mine-3"],
        "defaults_used": [["weight"], [], ["weight"]],
    }


def test_what_was_answered_is_logged(caller: Caller, tmp_path: Path) -> None:
    caller.post("/predict", ROW, x_request_id="alone")
    caller.post("/predict", [ROW | {"weight": 3.0}] * 2, x_request_id="both")

    result = caller.logged(tmp_path)
    assert result["id"].to_list() == ["alone", "both-1", "both-2"]
    assert result["prediction"].to_list() == [14.0, 21.0, 21.0]
    assert result["defaults_used"].to_list() == [["weight", "note"], ["note"], ["note"]]
    assert set(result["release"]) == {"v1"}
    assert set(result["arm"]) == {"serving"}
    assert result["row"].struct.field("weight").to_list() == [2.0, 3.0, 3.0]
    assert result["features"].struct.field("product").to_list() == [14.0, 21.0, 21.0]


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        ({"number": 0}, "number", "a whole number, at least 1, at most 100"),
        ({"number": "7"}, "number", "got `str`"),
        ({"number": 7.5}, "number", "got `float`"),
        ({"number": None}, "number", "got `null`"),
        ({"number": 10**30}, "number", "at most 100"),
        ({"kind": "c"}, "kind", "one of a, b"),
        ({"code": "ABC"}, "code", "matching ^[A-Z]{2}$"),
        ({"at": "yesterday"}, "at", "a time without an offset, such as 2026-01-31T08:00:00"),
        ({"weight": 0}, "weight", "more than 0"),
        ({"code": MISSING}, "code", "is missing"),
    ],
)
def test_what_breaks_the_contract_is_named(
    caller: Caller, change: dict[str, Any], column: str, message: str
) -> None:
    row = {name: value for name, value in (ROW | change).items() if value is not MISSING}
    alone = caller.post("/predict", row)
    third = caller.post("/predict", [ROW, ROW, row])

    assert (alone.status, third.status) == (422, 422)
    assert (alone.json["row"], third.json["row"]) == (1, 3)
    assert alone.json["column"] == third.json["column"] == column
    assert third.json["error"].startswith(f"row 3, column `{column}`: ")
    assert message in third.json["error"]


def test_a_field_that_no_one_knows_is_passed_over_unless_that_is_forbidden(
    caller: Caller, tmp_path: Path
) -> None:
    row = ROW | {"colour": "red"}
    assert caller.post("/predict", row).status == 200

    with calling(tmp_path, Limits(strict=True)) as strict:
        strict.install()
        columns = {"columns": {name: [value] for name, value in row.items()}}
        refused = strict.post("/predict", row), strict.post("/predict/batch", columns)
    assert {answer.status for answer in refused} == {422}
    said = "column `colour`: is not a column of the contract"
    assert [answer.json["error"] for answer in refused] == [f"row 1, {said}", said]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'"x', b"nul", b'{"number": NaN}', b"\x00"])
def test_what_is_not_json_is_refused(caller: Caller, body: bytes) -> None:
    answer = caller.post("/predict", body)

    assert answer.status in (400, 422)
    assert answer.json["error"].startswith("The body")


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b"[7]", b"[[]]", b"[" * 9000])
def test_json_that_is_not_a_row_is_refused(caller: Caller, body: bytes) -> None:
    assert caller.post("/predict", body).status == 422


def test_what_is_too_large_is_refused(caller: Caller) -> None:
    announced = caller.post("/predict", b" " * 10_001, content_length="10001")
    unannounced = caller.post("/predict", b" " * 10_001)
    rows = caller.post("/predict", json.dumps([ROW] * 51, separators=(",", ":")).encode())

    assert [each.status for each in (announced, unannounced, rows)] == [413, 413, 413]
    assert "larger than 10,000 bytes" in announced.json["error"]
    assert "51 rows; at most 50 are allowed" in rows.json["error"]


@pytest.mark.parametrize("header", [{"x_request_id": "x" * 129}, {"x_key": "\x01"}])
def test_headers_that_cannot_be_logged_are_refused(caller: Caller, header: dict[str, str]) -> None:
    answer = caller.post("/predict", ROW, **header)

    assert answer.status == 400
    assert "printable ASCII" in answer.json["error"]


def test_a_row_that_breaks_the_model_takes_no_other_with_it(caller: Caller) -> None:
    numbers = [1, 2, 13, 4]
    answers = caller.together("/predict", [ROW | {"number": number} for number in numbers])

    assert [answer.status for answer in answers] == [200, 200, 500, 200]
    assert answers[2].json == {"error": "v1 cannot score this: 13 is unlucky"}
    assert 'outcome="failed"} 1.0' in caller.get("/metrics").body.decode()


def test_a_panic_of_polars_is_an_answer_too(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panics(rows: pl.DataFrame) -> Any:
        raise pl.exceptions.PanicException("index out of bounds")

    served = caller.service.held.serving
    assert served is not None
    with monkeypatch.context() as patch:
        patch.setattr(type(served.release), "score", lambda self, rows: panics(rows))
        failed = caller.post("/predict", ROW)

    assert failed.status == 500
    assert caller.post("/predict", ROW).status == 200


def test_a_stopped_model_answers_with_the_reason(caller: Caller) -> None:
    stopped = Stopped("Ada", "2026-01-31T08:00:00", "it refuses everybody")
    caller.install(state=State(2, "v1", stopped=stopped))
    answer, ready = caller.post("/predict", ROW), caller.get("/health/ready")

    assert (answer.status, ready.status) == (503, 503)
    assert answer.json["error"].endswith(
        "Stopped by Ada at 2026-01-31T08:00:00: it refuses everybody"
    )
    assert ready.json["stopped"]["reason"] == "it refuses everybody"


def test_too_many_at_once_are_refused_with_retry_after(tmp_path: Path) -> None:
    with calling(tmp_path, Limits(max_waiting_rows=5)) as made:
        made.install()
        answers = made.together("/predict", [ROW] * 40)
        busy = [answer for answer in answers if answer.status == 503]
        counted = made.get("/metrics").body.decode()

    assert {answer.status for answer in answers} == {200, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in busy)
    assert f'outcome="refused"}} {len(busy)}.0' in counted


def test_a_caller_that_hangs_up_does_not_affect_others(caller: Caller) -> None:
    async def hang_up() -> list[Any]:
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            messages.append(message)

        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
        await caller.app(scope, receive, send)
        return messages

    assert caller.runner.run(hang_up()) == []
    assert caller.post("/predict", ROW).status == 200


def test_a_fault_of_the_service_is_an_answer_and_in_the_log(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(caller.service, "identity", broken)
    answer = caller.post("/predict", ROW)

    assert answer.status == 500
    assert "The service failed" in answer.json["error"]
    assert "unexpected" in caplog.text


def on_trial(caller: Caller, contract: dict[str, Any] = CONTRACT) -> None:
    """Let v2, which says ten times as much, answer half of the keys."""
    state = State(2, "v1", canary=Canary("v2", 0, "2026-01-31T08:00:00"))
    canary = LoadedRelease(release("v2", 10.0, contract), "canary", strict=False)
    caller.install(state=state, canary=canary)
    caller.service._arms = TrafficSplit("v2", 0.5)


def answering(caller: Caller, body: Any) -> set[str]:
    """Name the releases that answer requests of twenty keys."""
    keys = map(str, range(20))
    return {caller.post("/predict", body, x_key=key).json["release"] for key in keys}


def test_without_a_key_the_rows_own_decides(caller: Caller) -> None:
    on_trial(caller)
    numbers = [number for number in range(1, 40) if number % 13]
    first = [caller.post("/predict", ROW | {"number": n}).json["release"] for n in numbers]
    tables = [{name: [value] for name, value in (ROW | {"number": n}).items()} for n in numbers]
    again = [caller.post("/predict/batch", {"columns": t}).json["release"] for t in tables]

    assert first == again
    assert set(first) == {"v1", "v2"}


@pytest.mark.parametrize("height", [1, 400], ids=["small", "decoded in slices"])
def test_rows_that_the_canary_does_not_understand_go_to_the_other(
    roomy: Caller, height: int
) -> None:
    column = CONTRACT["columns"][0] | {"name": "colour"}
    on_trial(roomy, CONTRACT | {"columns": [*CONTRACT["columns"], column]})

    assert answering(roomy, many_rows(height)) == {"v1"}
    assert answering(roomy, many_rows(height, colour=3)) == {"v1", "v2"}


def test_what_waits_is_answered_by_the_release_that_took_it(caller: Caller) -> None:
    async def swap_while_it_waits() -> list[str]:
        headers = {"content-type": "application/json"}
        waiting = asyncio.create_task(caller.ask("POST", "/predict", ROW, headers))
        while not caller.service.batcher.waiting:
            await asyncio.sleep(0)
        caller.install("v2")
        later = await caller.ask("POST", "/predict", ROW, headers)
        return [answer.json["release"] for answer in (await waiting, later)]

    assert caller.runner.run(swap_while_it_waits()) == ["v1", "v2"]


def many_rows(height: int, **change: Any) -> bytes:
    """Write rows whose body is larger than what is decoded at once."""
    return json.dumps([ROW | {"note": "x" * 2_000} | change] * height).encode()


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Caller]:
    """A service that takes large bodies."""
    with calling(tmp_path, Limits(max_rows=2_000)) as made:
        made.install()
        yield made


async def asked_in_turn(caller: Caller, bodies: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Send bodies at the same moment; name those that are answered, with status and waiting rows."""
    ends: list[tuple[str, int, int]] = []

    async def ask(name: str, body: Any) -> None:
        headers = {"content-type": "application/json"}
        path = "/predict/batch" if name == "columns" else "/predict"
        answer = await caller.ask("POST", path, body, headers)
        ends.append((name, answer.status, caller.service.batcher.waiting))

    await asyncio.gather(*(ask(name, body) for name, body in bodies.items()))
    return ends


def test_a_row_is_answered_while_large_bodies_are_decoded(roomy: Caller) -> None:
    columns = {name: [value] * 900 for name, value in ROW.items()} | {"note": ["x" * 2_000] * 900}
    bodies = {"rows": many_rows(900), "columns": {"columns": columns}, "row": ROW}
    ends = roomy.runner.run(asked_in_turn(roomy, bodies))

    assert ends[0] == ("row", 200, 0)  # no other is decoded yet
    assert {(name, status) for name, status, _ in ends} == {(name, 200) for name in bodies}


def test_a_large_body_for_which_there_is_no_room_is_refused_undecoded(roomy: Caller) -> None:
    bodies = {"first": many_rows(1_500), "second": many_rows(1_500, number=0)}
    ends = roomy.runner.run(asked_in_turn(roomy, bodies))

    assert [(name, status) for name, status, _ in ends] == [("second", 503), ("first", 200)]


def test_a_large_body_is_refused_by_its_length_while_many_rows_wait(
    roomy: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def receive() -> Any:
        raise AssertionError("the body is not read")

    async def send(message: Any) -> None:
        sent.append(message)

    sent: list[Any] = []
    monkeypatch.setattr(roomy.service.batcher._large, "seconds", 9.0)
    scope = {"type": "http", "method": "POST", "path": "/predict"}
    scope |= {"headers": [(b"content-length", b"1000000")]}
    roomy.runner.run(roomy.app(scope, receive, send))

    assert sent[0]["status"] == 503
    assert roomy.post("/predict", ROW).status == 200


def test_large_bodies_that_wait_for_their_turn_are_bounded(tmp_path: Path) -> None:
    body = many_rows(400)
    limits = Limits(max_body_mb=len(body) / 1e6, max_bodies_mb=2.5 * len(body) / 1e6)
    with calling(tmp_path, limits) as made:
        made.install()
        bodies = {str(number): body for number in range(4)}
        statuses = [status for _, status, _ in made.runner.run(asked_in_turn(made, bodies))]

    assert sorted(statuses) == [200, 200, 503, 503]


MOST = 1_000


class Sender:
    """Sends a body part by part."""

    def __init__(self, budget: BodyBudget) -> None:
        self.parts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task = asyncio.create_task(read_body(self.parts.get, 0, MOST, budget))

    async def send(self, size: int, more: bool = True) -> None:
        await self.parts.put({"type": "http.request", "body": b"x" * size, "more_body": more})
        for _ in range(5):  # until the reader waits again
            await asyncio.sleep(0)

    async def refused(self) -> Refusal:
        with pytest.raises(Refusal) as refusal:
            await self.task
        return refusal.value


def test_the_oldest_unfinished_body_gives_way() -> None:
    async def run() -> None:
        budget = BodyBudget(1_000)
        first, second, third = (Sender(budget) for _ in range(3))
        await first.send(400)
        await second.send(400)
        await third.send(400)

        refusal = await first.refused()
        assert (refusal.status, refusal.retry_after) == (503, 1)
        for each in (second, third):
            await each.send(100, more=False)
            assert len(await each.task) == 500
        assert first.task.cancelling() == 0

    asyncio.run(run())


def test_a_body_that_is_the_oldest_and_grows_too_large_is_refused_itself() -> None:
    async def run() -> None:
        budget = BodyBudget(500)
        first, second = Sender(budget), Sender(budget)
        await first.send(300)
        await second.send(100)
        small = Sender(budget)  # in one piece, which is not counted
        await small.send(500, more=False)
        assert len(await small.task) == 500
        await first.send(300)

        assert (await first.refused()).status == 503
        await second.send(400, more=False)
        assert len(await second.task) == 500

    asyncio.run(run())


def test_what_is_complete_refused_or_cut_off_counts_no_longer() -> None:
    async def run() -> None:
        budget = BodyBudget(1_000)
        for _ in range(20):
            complete, large, cut = (Sender(budget) for _ in range(3))
            for each in (complete, large, cut):
                await each.send(300)
            await complete.send(10, more=False)
            assert len(await complete.task) == 310
            await large.send(701)
            assert (await large.refused()).status in (413, 503)
            await cut.parts.put({"type": "http.disconnect"})
            with pytest.raises(ClientDisconnect):
                await cut.task
        everything = Sender(budget)
        await everything.send(500)
        await everything.send(500, more=False)
        assert len(await everything.task) == 1_000

    asyncio.run(run())


def test_a_cancellation_of_somebody_else_stays_one() -> None:
    async def run() -> None:
        sender = Sender(BodyBudget(1_000))
        await sender.send(10)
        sender.task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await sender.task

    asyncio.run(run())
