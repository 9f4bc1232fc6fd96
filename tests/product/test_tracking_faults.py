"""What goes wrong with a tracking server: a clear message, nothing lost, and a re-run completes.

PostgreSQL, SeaweedFS and MLflow are real. Each answer that a server may give, and what it is put into,
is in machinery/tests/tracking/server.
"""

import json
import shutil
import signal
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.product import stores
from tests.product.conftest import environment, run
from tests.product.processes import end_group, start_process
from tests.product.serving import eventually, free_port
from tests.product.small_disk import fill, resize, small_disk
from tests.product.tracking_client import (
    PATIENCE,
    has_to_record,
    project_on_few_rows,
    settings,
    when,
)
from tests.product.tracking_server import Server, running
from tests.product.variants import take_another_seed

pytestmark = pytest.mark.slow

RECORD = ("-m", "rung_ops", "track")
LARGE = 65536  # megabytes, of which nothing is taken before it is written: never full by itself


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a server that fails once more, and not three times, for which a client waits 15 s."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """A disk of its own for all that the server keeps, where one may be mounted."""
    folder = Path("/tmp") / f"tracking-disk-{free_port()}"
    try:
        with small_disk(folder, LARGE):
            yield folder
    except pytest.skip.Exception:
        yield None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def started(
    copier_template: Path, tmp_path_factory: pytest.TempPathFactory, disk: Path | None
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tracking")
    tools = stores.tools(folder / "tools")
    project = project_on_few_rows(copier_template, folder / "project")
    with running(project, tools, disk) as server:
        settings(project, uri=server.uri)
        project.commit("Use our server")
        project.run("uv run poe pipeline")
        yield server


@pytest.fixture
def server(started: Server) -> Server:
    """A server that runs, and a project that has a run to record and nothing to train."""
    started.up()
    has_to_record(started.project)
    return started


def while_recording(server: Server, act: Callable[[], object]) -> tuple[int, str]:
    """Record a run, and do something as soon as the server has it and it is not at its end."""
    before = len(server.runs("RUNNING"))
    process = server.project.begin(*RECORD)
    return when(process, lambda: len(server.runs("RUNNING")) > before, act)


def completes(server: Server, versions: int) -> None:
    """Type the pipeline again: it trains nothing, and records the run once."""
    again = server.project.run("uv run poe pipeline")
    assert "Stage 'train' didn't change, skipping" in again
    assert len(server.versions()) == versions + 1
    assert server.aliases()["challenger"] == server.versions()[-1]["version"]


def tells(message: str, *arguments: str) -> None:
    """Hold a message against what a person needs to know."""
    assert [word for word in arguments if word not in message] == [], message
    assert "Traceback" not in message, message


def test_a_server_that_is_down_is_reported_before_anything_is_trained(server: Server) -> None:
    project, versions = server.project, len(server.versions())
    path = project.folder / "params.toml"
    before, trained = path.read_text(), (project.folder / "model/model.skops").stat().st_mtime_ns
    take_another_seed(project.folder)
    server.end(signal.SIGKILL)
    began = time.monotonic()

    output = project.fail("uv run poe pipeline")

    tells(output, "does not answer: connection refused", "uv run poe tracking-server")
    tells(output, "Nothing was trained")
    assert trained == (project.folder / "model/model.skops").stat().st_mtime_ns
    for task in ("tune --trials 1", "lineage", "track-migrate"):
        if task == "track-migrate":
            (project.folder / "mlflow.db").touch()
        tells(project.fail(f"uv run poe {task}"), "does not answer")
    (project.folder / "mlflow.db").unlink()
    assert time.monotonic() - began < 120

    path.write_text(before)
    server.up()
    completes(server, versions)


def test_a_server_that_is_killed_while_a_run_is_recorded(server: Server) -> None:
    versions = len(server.versions())

    code, reported = while_recording(server, lambda: server.end(signal.SIGKILL))

    assert code == 1
    tells(reported, "The MLflow server at", "failed during the command", "are kept")
    server.up()
    completes(server, versions)


def test_a_database_that_is_killed_while_a_run_is_recorded(server: Server) -> None:
    """MLflow itself goes on, and finds the database again when it is back."""
    versions = len(server.versions())

    code, reported = while_recording(server, lambda: server.database.stop("immediate"))
    down = server.project.fail("uv run poe pipeline")

    assert code == 1
    tells(reported, "failed during the command", "its database does not answer", "are kept")
    tells(down, "responds with an error", "its database does not answer", "Nothing was trained")
    server.database.start()
    completes(server, versions)


def test_a_key_of_the_store_that_was_replaced(server: Server) -> None:
    versions = len(server.versions())
    mine = server.store.identity
    server.store.kill()
    server.store.identity = mine | {"AWS_SECRET_ACCESS_KEY": "another"}
    server.store.start()
    try:
        output = run(*python(server), *RECORD, cwd=server.project.folder, expect=1).stdout
    finally:
        server.store.kill()
        server.store.identity = mine
        server.store.start()

    tells(output, "failed during the command", "its artifact store", "are kept")
    completes(server, versions)


def test_a_disk_of_the_server_that_is_full(server: Server, disk: Path | None) -> None:
    if disk is None:
        pytest.skip("no disk may be mounted here")
    versions = len(server.versions())
    fill(disk)
    try:
        output = run(*python(server), *RECORD, cwd=server.project.folder, expect=1).stdout
    finally:
        resize(disk, LARGE)

    tells(output, "The MLflow server at", "its disk is full")
    for start in (server.database_again, server.store_again):
        start()
    completes(server, versions)


def python(server: Server) -> tuple[Path]:
    return (server.project.folder / ".venv/bin/python",)


@pytest.fixture
def guarded(server: Server, tmp_path: Path) -> Iterator[str]:
    """A second server, with MLflow's own basic authentication, which needs a package more."""
    room, project = tmp_path / "room", server.project
    run("uv", "venv", "--quiet", room, cwd=tmp_path)
    code = "import importlib.metadata as found; print(found.version('mlflow'))"
    pin = run(*python(server), "-c", code, cwd=tmp_path).stdout.strip()
    install = ("uv", "pip", "install", "--quiet", "--python", room, f"mlflow[auth]=={pin}")
    done = run(*install, cwd=tmp_path, expect=None)
    if done.returncode != 0:
        pytest.skip(f"mlflow[auth] cannot be installed here: {done.stdout[-300:]}")
    (tmp_path / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{tmp_path}/users.db\n"
        "admin_username = ada\nadmin_password = the-right-password\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    port = free_port()
    process = start_process(
        [
            *(str(room / "bin/mlflow"), "server", "--app-name", "basic-auth"),
            *("--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{tmp_path}/guarded.db"),
            *("--artifacts-destination", str(tmp_path / "files")),
        ],
        tmp_path,
        tmp_path / "guarded.log",
        environment(
            MLFLOW_AUTH_CONFIG_PATH=str(tmp_path / "auth.ini"),
            MLFLOW_FLASK_SERVER_SECRET_KEY="of-a-test",
            MLFLOW_DISABLE_TELEMETRY="true",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        ),
    )
    address = f"http://127.0.0.1:{port}"
    check = ("curl", "-fs", f"{address}/health")
    try:
        assert eventually(
            lambda: run(*check, cwd=project.folder, expect=None).returncode == 0, PATIENCE
        ), (tmp_path / "guarded.log").read_text()
        yield address
    finally:
        end_group(process)


def asked(address: str, path: str, body: object, password: str, method: str = "POST") -> object:
    """Ask the guarded server for something, as ada."""
    basic = b64encode(f"ada:{password}".encode()).decode()
    headers = {"content-type": "application/json", "authorization": f"Basic {basic}"}
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{path}", json.dumps(body).encode(), headers, method=method
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"{}")


def test_credentials_that_are_wrong_or_change_while_a_run_is_recorded(
    server: Server, guarded: str
) -> None:
    project, first, second = server.project, "the-right-password", "another-password"
    named = f"MLFLOW_TRACKING_URI={guarded} MLFLOW_TRACKING_USERNAME=ada"

    output = project.fail(f"{named} MLFLOW_TRACKING_PASSWORD=wrong-password uv run poe pipeline")

    user = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    tells(output, "refuses the credentials (401", user, "Nothing was trained")

    def recording() -> bool:
        result = asked(guarded, "runs/search", {"experiment_ids": ["1"]}, first)
        return isinstance(result, dict) and bool(result.get("runs"))

    process = project.begin(
        *RECORD,
        MLFLOW_TRACKING_URI=guarded,
        MLFLOW_TRACKING_USERNAME="ada",
        MLFLOW_TRACKING_PASSWORD=first,
    )
    change = {"username": "ada", "password": second, "current_password": first}
    code, output = when(
        process,
        recording,
        lambda: asked(guarded, "users/update-password", change, first, "PATCH"),
    )

    assert code == 1
    tells(output, "refuses the credentials", user, "are kept")
    right = f"{named} MLFLOW_TRACKING_PASSWORD={second}"
    project.run(f"{right} uv run poe pipeline")
    assert "version 1, challenger" in project.run(f"{right} uv run poe lineage")
