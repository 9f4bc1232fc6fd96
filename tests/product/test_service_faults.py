"""What the service leans on is killed, filled or spoiled, and no prediction fails."""

import asyncio
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.product.conftest import environment
from tests.product.mlflow_server import mlflow_server
from tests.product.processes import end_group
from tests.product.service_trials import Steady, while_happening
from tests.product.serving import (
    Served,
    eventually,
    own,
    released,
    serving,
)
from tests.product.small_disk import resize, small_disk
from tests.product.traffic import RESET, UNREACHED, Reply, closed_loop, during

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow

DRAIN = 1.5  # seconds after the signal in which whoever comes is answered
NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
# Again and again the thread that writes the log is made to end; now and then it had time to write.
DYING_WRITER = """
import ctypes, itertools, sys, threading, time

def kill():
    for seconds in itertools.cycle((0.5, 0.5, 1.5)):
        time.sleep(seconds)
        for thread in threading.enumerate():
            if thread.name == "prediction-log":
                number, ending = ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ending)

threading.Thread(target=kill, daemon=True).start()
from rung_ops.serving.serve import main

sys.exit(main())
"""


def hold(observed: Steady) -> None:
    """Assert that every request was answered."""
    print(f"\n{observed}")

    assert not observed.failed
    assert observed.answers > 100


@pytest.fixture
def registry(own: Served) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the registry as a server of its own; give its address and process."""
    with mlflow_server(own.folder) as started:
        yield started


def test_killing_the_registry_fails_no_prediction(
    own: Served, registry: tuple[str, subprocess.Popen[bytes]]
) -> None:
    address, server = registry
    own.deploy("good")
    with serving(own, settings={"MLFLOW_TRACKING_URI": address}) as service:

        def work() -> None:
            time.sleep(1)
            end_group(server)
            time.sleep(2)

        hold(while_happening(service, work))


def test_killing_the_monitor_fails_no_prediction(own: Served) -> None:
    own.deploy("good")
    with serving(own) as service:

        def work() -> None:
            time.sleep(2)  # there is something to look at
            for seconds in (0.5, 1.5, 3.0):
                monitor = subprocess.Popen(
                    [own.folder / ".venv/bin/python", "-m", "rung_ops", "monitor"],
                    cwd=own.folder,
                    env=environment(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                time.sleep(seconds)
                end_group(monitor)

        hold(while_happening(service, work))
        assert service.get("/metrics")[0] == 200


def logged(served: Served, folder: Path) -> int:
    """Count the predictions in a log, each once."""
    code = (
        "import sys, polars as pl; from pathlib import Path; from rung_ops import prediction_log\n"
        "print(prediction_log.read(Path(sys.argv[1]))"
        ".select(pl.col('id').n_unique()).collect().item())"
    )
    return int(served.python("-c", code, folder).split()[-1])


def test_a_log_writer_that_dies_again_and_again_fails_no_prediction(own: Served) -> None:
    own.deploy("good")
    with serving(own, before=("-c", DYING_WRITER)) as service:
        observed = while_happening(service, lambda: time.sleep(6))
        restarts = service.metric("prediction_log_restarts_total")
        assert service.stop() == 0
    written = logged(own, own.folder / "logs/production/predictions")
    print(f"\n{restarts:.0f} restarts, {written} of {observed.answers} predictions in the log")

    hold(observed)
    assert restarts >= 2
    assert written >= observed.answers


def test_a_full_disk_fails_no_prediction_and_the_log_catches_up(
    own: Served, tmp_path: Path
) -> None:
    own.deploy("good")
    disk = tmp_path / "disk"
    with small_disk(disk, 0.3), serving(own, settings={"LOGS": str(disk)}) as service:
        observed = while_happening(
            service,
            lambda: eventually(lambda: service.metric("prediction_log_failures_total") >= 2, 60),
        )
        failures = service.metric("prediction_log_failures_total")
        waiting = service.metric("prediction_log_waiting_rows")
        resize(disk, 200)
        caught_up = eventually(lambda: service.metric("prediction_log_waiting_rows") == 0, 30)
        dropped = service.metric("prediction_log_rows_total", outcome="dropped")
    print(f"\n{failures:.0f} writes failed, {waiting:.0f} rows waited, {dropped:.0f} were dropped")

    hold(observed)
    assert failures >= 2
    assert caught_up


def test_with_the_registry_down_a_cold_start_serves(own: Served) -> None:
    own.deploy("good")
    with serving(own, settings=NOWHERE) as service:
        status, answer = service.predict(own.rows[0])

    assert status == 200
    assert answer["release"] == own.names["good"]


def spoil(file: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def test_a_cold_start_with_a_spoilt_newest_release_serves_the_last_good_one(own: Served) -> None:
    own.deploy("good")
    own.deploy("alike", "--at-once")
    (model,) = own.bundle("alike").glob("model.[otl]*")
    spoil(model)
    with serving(own, ready=False, settings=NOWHERE) as service:
        assert eventually(lambda: service.predict(own.rows[0])[0] == 200), service.log.read_text()
        answer = service.predict(own.rows[0])[1]
        reported = service.get("/health/ready")[1]
        refused = service.metric("service_swaps_total", outcome="refused")

    print(f"\n{reported}")
    assert answer["release"] == own.names["good"]
    assert own.names["alike"] in reported
    assert refused >= 1


def test_a_rollback_while_the_registry_is_down_changes_the_answers_under_load(
    own: Served,
) -> None:
    own.deploy("good")
    own.deploy("other", "--at-once")
    took: list[float] = []
    with serving(own, settings=NOWHERE) as service:

        def back(name: str) -> bool:
            return bool(service.predict(own.rows[0])[1]["release"] == own.names[name])

        def work() -> None:
            assert eventually(lambda: back("other"))
            start = time.perf_counter()
            own.python("-m", "rung_ops", "rollback", "production", settings=NOWHERE)
            took.append(time.perf_counter() - start)
            assert eventually(lambda: back("good")), service.log.read_text()
            took.append(time.perf_counter() - start)

        observed = while_happening(service, work)
    print(f"\nthe command took {took[0]:.2f} s, until the answers changed {took[1]:.2f} s")

    hold(observed)
    assert own.state()["serving"] == own.names["good"]


def test_when_stopped_it_answers_requests_that_have_begun(own: Served) -> None:
    own.set("ops/service.toml", "service", drain_seconds=2 * DRAIN)
    own.deploy("slow")
    with serving(own, settings={"SLOW_ROUNDS": "12000"}) as service:
        bodies = service.bodies()
        messages: list[float] = []

        async def traffic(stop: Callable[[], bool]) -> list[Reply]:
            return await closed_loop(service.port, bodies, 16, stop)

        def work() -> int:
            time.sleep(2)
            messages.append(time.perf_counter())
            return service.stop(signal.SIGTERM)

        replies, code = asyncio.run(during(traffic, work))
    under_way = [reply for reply in replies if reply.due < messages[0] < reply.due + reply.seconds]
    # Who still comes when it has said for long that it is going may find the door closing.
    early = [reply.status for reply in replies if reply.due < messages[0] + DRAIN]
    late = [reply.status for reply in replies if reply.due >= messages[0] + DRAIN]
    print(f"\n{len(under_way)} were under way; later {Counter(early)}, at the end {Counter(late)}")

    assert code == 0
    assert under_way
    assert set(early) == {200}
    assert set(late) <= {200, 503, RESET, UNREACHED}
    answered = sum(reply.status == 200 for reply in replies)
    written = logged(own, own.folder / "logs/production/predictions")
    assert answered <= written <= answered + late.count(RESET)
