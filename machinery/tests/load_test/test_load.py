"""A load test says what a service does under load, keeps its promises or not, and harms nothing."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import polars as pl
import pytest

from rung_ops.features.store import store_file
from rung_ops.load_test import load_test
from rung_ops.load_test.load_test import BROKEN, Answers, Load, figures, missed_parts
from rung_ops.project import paths, service_settings
from rung_ops.project.service_settings import SLO
from rung_ops.release import state

KIND = SLO(p50_ms=1e6, p99_ms=1e6)


def answers(seconds: dict[int, list[float]], unmade: int = 0) -> Answers:
    return Answers(seconds, unmade=unmade, elapsed=1.0)


@pytest.mark.parametrize(
    ("result", "promise", "rate", "fault"),
    [
        (answers({200: [0.01] * 99}), SLO(p50_ms=5), None, "p50 is 10.0 ms"),
        (answers({200: [0.01] * 98 + [0.4] * 2}), SLO(), None, "p99 is 400.0 ms"),
        (answers({200: [0.01] * 99, 500: [0.01]}), SLO(), None, "1 of 100 requests failed"),
        (answers({200: [0.01] * 99, BROKEN: [0.01]}), SLO(), None, "1 of 100 requests failed"),
        (answers({200: [0.01] * 99, 422: [0.01]}), SLO(), None, "1 of 100 requests failed"),
        (answers({200: [0.01] * 99, 503: [0.01]}), SLO(), None, "1 of 100 requests were refu"),
        (answers({503: [0.01]}), SLO(max_refused=1), None, "no request was answered"),
        (
            answers({200: [0.01] * 50}),
            SLO(min_requests_per_second=100),
            None,
            "50 requests per second were answered",
        ),
        (answers({200: [0.01] * 50}, unmade=50), SLO(), 100, "50 requests could not be sent"),
    ],
)
def test_a_broken_promise_is_named(
    result: Answers, promise: SLO, rate: float | None, fault: str
) -> None:
    (reported,) = missed_parts(figures(result, 1), promise, rate)

    assert reported.startswith(fault)


@pytest.mark.parametrize(
    ("result", "promise", "rate", "rows"),
    [
        (answers({200: [0.01] * 100}), SLO(), None, 1),
        (answers({200: [0.01] * 99, 503: [0.5]}), SLO(max_refused=0.01), None, 1),
        (answers({200: [0.01] * 10}), SLO(min_requests_per_second=100), 10, 1),
        (answers({200: [5.0] * 10}), SLO(min_requests_per_second=100), None, 1000),
    ],
)
def test_a_promise_that_is_kept_or_was_not_tried_is_not_missed(
    result: Answers, promise: SLO, rate: float | None, rows: int
) -> None:
    assert missed_parts(figures(result, rows), promise, rate, rows) == []


def test_the_figures_are_written_beside_their_limits() -> None:
    result = figures(answers({200: [0.002] * 10, 503: [0.004], 500: [0.1]}), 1)

    written = "\n".join(load_test.lines(result, SLO(p50_ms=25), 1))

    assert "answered          10     10 per second" in written
    assert "refused            1     p99 4.0 ms" in written
    assert "p50           2.0 ms     at most 25 ms" in written


class Answering(ThreadingHTTPServer):
    """A service that answers every request with the same bytes, or hangs up without any."""

    def __init__(self, answer: bytes | None, wait: float = 0.0) -> None:
        self.answer, self.wait = answer, wait
        self.requests: list[tuple[str, bytes]] = []  # id and body
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a connection that the load test has closed."""


class Handler(BaseHTTPRequestHandler):
    server: Answering
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append((self.headers["x-request-id"], body))
        time.sleep(self.server.wait)
        if self.server.answer is None:
            self.close_connection = True
        else:
            self.wfile.write(self.server.answer)


@pytest.fixture
def answering() -> Iterator[Callable[..., Answering]]:
    with ExitStack() as stack:

        def make(answer: bytes | None, wait: float = 0.0) -> Answering:
            made = stack.enter_context(Answering(answer, wait))
            Thread(target=made.serve_forever, daemon=True).start()
            stack.callback(made.shutdown)
            return made

        yield make


FINE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
WRONG = b"HTTP/1.1 422 Unprocessable Content\r\ncontent-length: 8\r\n\r\nno good!"


def test_each_request_has_a_row_and_an_id_of_its_own(answering: Callable[..., Answering]) -> None:
    service = answering(FINE)
    run = Load(service.url, [b'{"row": 1}', b'{"row": 2}'])

    result = asyncio.run(run.run(3, 0.2))

    ids, bodies = ({each[part] for each in service.requests} for part in (0, 1))
    assert set(result.seconds) == {200}
    assert len(service.requests) == len(result.seconds[200]) == len(ids)
    assert all(each.startswith(run.name) for each in ids)
    assert bodies == {b'{"row": 1}', b'{"row": 2}'}


def test_what_comes_back_instead_of_an_answer_is_a_failed_request_and_kept(
    answering: Callable[..., Answering],
) -> None:
    wrong = asyncio.run(Load(answering(WRONG).url, [b"{}"]).run(1, 0.1))
    broken = asyncio.run(Load(answering(None).url, [b"{}"]).run(2, 0.1))

    assert (set(wrong.seconds), wrong.failures[422]) == ({422}, "no good!")
    assert set(broken.seconds) == {BROKEN}
    assert figures(broken, 1).failed == len(broken.seconds[BROKEN])


def test_at_a_given_rate_so_many_requests_are_made(answering: Callable[..., Answering]) -> None:
    result = asyncio.run(Load(answering(FINE).url, [b"{}"], rate=50).run(2, 1.0))

    assert len(result.seconds[200]) + result.unmade == 50


def test_waiting_for_a_connection_counts_as_waiting(answering: Callable[..., Answering]) -> None:
    service = answering(FINE, wait=0.1)

    result = asyncio.run(Load(service.url, [b"{}"], rate=100).run(1, 1.0))

    assert max(result.seconds[200]) > 0.3  # the tenth was due after 0.1 s, and sent after 0.9 s
    assert result.unmade > 50


def test_rows_are_sent_in_turn_in_requests_of_any_size() -> None:
    rows = [{"a": number} for number in range(7)]

    alone = [json.loads(body) for body in load_test.bodies(rows, 1)]
    together = [json.loads(body) for body in load_test.bodies(rows, 3)]

    assert alone == rows
    assert together[0] == rows[:3]
    assert together[2] == [rows[6], rows[0], rows[1]]


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release_folder: Path, release_key: bytes
) -> Path:
    """Separate releases, with one that answers in staging; its id is the folder's name."""
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    monkeypatch.setattr(load_test, "report_file", lambda: tmp_path / "load.json")
    monkeypatch.setattr(service_settings, "read_slo", lambda: KIND)
    bundle = paths.bundle(paths.environment(paths.STAGING), release_folder.name)
    bundle.parent.mkdir(parents=True)
    bundle.symlink_to(release_folder)
    state.serve(paths.environment(paths.STAGING), release_folder.name, "a test")
    return bundle


def test_rows_are_those_that_the_release_carries(place: Path) -> None:
    contract = json.loads((place / "contract.json").read_text(encoding="utf-8"))
    names = [column["name"] for column in contract["columns"]]

    rows = load_test.rows_of(place.name, contract)

    assert msgspec.to_builtins(rows) == msgspec.to_builtins(
        pl.read_parquet(place / "parity.parquet").select(names).to_dicts()
    )
    assert load_test.rows_of("v7-unknown", contract) == [contract["example"]]


def test_a_service_of_its_own_is_tested_and_nothing_else_is_touched(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state.read(paths.environment(paths.STAGING))

    code = load_test.main(["--seconds", "1", "--connections", "4"])

    output = capsys.readouterr()
    report = json.loads((tmp_path / "load.json").read_text(encoding="utf-8"))
    assert code == 0, output.out + output.err
    assert report["release"] == place.name
    assert report["found"]["answered"] > 0
    assert (report["found"]["failed"], report["missed"]) == (0, [])
    assert state.read(paths.environment(paths.STAGING)) == before
    assert not (tmp_path / "logs").exists()


def test_a_service_of_its_own_looks_up_entity_features(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_file().write_bytes(b"values")
    seen = []

    @contextmanager
    def started(folder: Path, _: str) -> Iterator[str]:
        monkeypatch.setenv("RELEASES", str(folder / "releases"))
        seen.append(store_file().read_bytes())
        yield "http://127.0.0.1:9"

    monkeypatch.setattr(load_test, "_started", started)

    with load_test.own(paths.STAGING):
        assert seen == [b"values"]


def test_what_cannot_be_tested_or_is_not_kept_fails_the_test_with_the_reason(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: str) -> str:
        assert load_test.main(list(arguments)) == 1
        output = capsys.readouterr()
        return output.out + output.err

    monkeypatch.setattr(service_settings, "read_slo", lambda: SLO(p50_ms=1e-6, p99_ms=1e6))
    assert "p50_ms allows 1e-06 ms" in refused("--seconds", "0.5", "--connections", "1")
    assert "`uv run poe deploy production`" in refused("--environment", "production")
    assert "Nothing answers at http://127.0.0.1:9" in refused("http://127.0.0.1:9")
    place.unlink()
    place.mkdir()
    (place / "manifest.json").write_text("{}", encoding="utf-8")
    assert f"Nothing was tested: {place.name}" in refused()


@pytest.mark.parametrize(
    "wrong",
    [["localhost:8000"], ["http://a:b"], ["--seconds", "0"], ["--rows", "x"], ["--rate", "inf"]],
)
def test_what_means_nothing_is_refused(wrong: list[str]) -> None:
    assert load_test.main(wrong) == 2
