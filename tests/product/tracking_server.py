"""A real tracking server: PostgreSQL, SeaweedFS and MLflow as processes.

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
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.product import postgres
from tests.product.conftest import environment
from tests.product.processes import end_group, start_process
from tests.product.serving import eventually, free_port
from tests.product.stores import Store
from tests.product.tracking_client import PATIENCE, model_name
from tests.product.variants import Project

SECRETS = {
    "TRACKING_DB_PASSWORD": "a1b2c3",
    "TRACKING_S3_KEY": "d4e5f6",
    "TRACKING_S3_SECRET": "0718293a",
}
API = "/api/2.0/mlflow"


class Server:
    """The three programs of tracking/compose.yaml, on ports of their own."""

    def __init__(self, project: Project, folder: Path, tools: Path) -> None:
        self.project, self.folder = project, folder
        text = (project.folder / "tracking/compose.yaml").read_text()
        for name, value in SECRETS.items():
            text = re.sub(r"\$\{" + name + r":\?[^}]*\}", value, text)
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
        assert "${" not in text
        self.services = yaml.safe_load(text)["services"]
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        given = self.services["database"]["environment"]
        self.database = postgres.Server(
            postgres.programs(),
            folder / "database",
            postgres.owner(),
            given["POSTGRES_USER"],
            given["POSTGRES_PASSWORD"],
        )
        self.store = self._store(tools)
        self.process: subprocess.Popen[bytes] | None = None

    def _store(self, tools: Path) -> Store:
        service, port, folder = self.services["store"], free_port(), self.folder / "store"
        assert service["entrypoint"] == ["weed"]
        here = {"-dir=/data": f"-dir={folder}", "-s3.port=8333": f"-s3.port={port}"}
        command = [here.get(part, part) for part in service["command"]]
        # Ports that only the container sees.
        for inner in ("s3.port.grpc", "master.port", "master.port.grpc", "volume.port"):
            command.append(f"-{inner}={free_port()}")
        for inner in ("volume.port.grpc", "filer.port", "filer.port.grpc"):
            command.append(f"-{inner}={free_port()}")
        return Store(tools, [str(tools / "bin/weed"), *command], folder, port, self.store_keys)

    @property
    def store_keys(self) -> dict[str, str]:
        return {name: str(it) for name, it in self.services["store"]["environment"].items()}

    def make(self) -> None:
        """Make the files of both, as their images do at the first start."""
        for location in (self.database.folder, self.store.folder):
            location.mkdir(exist_ok=True)
        self.database.make()

    def up(self) -> None:
        """Start what does not run, in the order of depends_on."""
        if not self.database.runs():
            self.database.start()
            name = self.services["database"]["environment"]["POSTGRES_DB"]
            if name not in self.database.sql("SELECT datname FROM pg_database").split():
                self.database.sql(f"CREATE DATABASE {name}")
        if self.store.process is None:
            self.store.start()
            path = urllib.parse.urlsplit(self.services["store"]["healthcheck"]["test"][-1]).path
            with urllib.request.urlopen(f"{self.store.endpoint}{path}", timeout=30) as answer:
                assert answer.status == 200
        if self.process is None or self.process.poll() is not None:
            self.begin()

    def begin(self) -> None:
        """Start MLflow with compose.yaml's command line, and wait until its check passes."""
        service, beside = self.services["mlflow"], self.project.folder / ".venv/bin"
        here = {
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={self.port}",
            "start.py": str(self.project.folder / "tracking/start.py"),
        }
        program, *arguments = (here.get(part, part) for part in service["command"])
        variables = environment(**self._variables())
        variables["PATH"] = f"{beside}{os.pathsep}{variables['PATH']}"
        command = [str(beside / program), *arguments]
        self.process = start_process(command, self.folder, self.folder / "mlflow.log", variables)
        assert eventually(self._healthy, PATIENCE), self.log()
        _, check, *rest, code = service["healthcheck"]["test"]
        request = [str(beside / check), *rest, code.replace("5000", str(self.port))]
        # It allows itself few seconds, and is asked again and again.
        assert eventually(lambda: subprocess.run(request, check=False).returncode == 0, PATIENCE)

    def _variables(self) -> dict[str, str]:
        database, store = f"@127.0.0.1:{self.database.port}", self.store.endpoint
        return {
            name: str(value)
            .replace("@database:5432", database)
            .replace("http://store:8333", store)
            .replace("127.0.0.1:*", f"127.0.0.1:{self.port}")
            for name, value in self.services["mlflow"]["environment"].items()
        }

    def _healthy(self) -> bool:
        assert self.process and self.process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def log(self) -> str:
        return (self.folder / "mlflow.log").read_text(errors="replace")[-3000:]

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            end_group(self.process, how)
            self.process = None

    def down(self) -> None:
        self.end(signal.SIGKILL)
        self.store.kill()
        with contextlib.suppress(AssertionError, OSError):
            self.database.stop("immediate")

    def ask(self, path: str, body: Any = None, **query: str) -> dict[str, Any]:
        """Ask the server over its REST interface; a body is posted."""
        address = f"{self.uri}{API}/{path}?{urllib.parse.urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))

    def versions(self) -> list[dict[str, Any]]:
        name = model_name(self.project)
        reported = self.ask("model-versions/search", filter=f"name='{name}'", max_results="1000")
        result = reported.get("model_versions", [])
        for each in result:
            each["tags"] = {tag["key"]: tag["value"] for tag in each.get("tags", [])}
        return sorted(result, key=lambda each: int(each["version"]))

    def aliases(self) -> dict[str, str]:
        reported = self.ask("registered-models/get", name=model_name(self.project))
        return {each["alias"]: each["version"] for each in reported["registered_model"]["aliases"]}

    def runs(self, status: str = "FINISHED", condition: str = "") -> list[dict[str, Any]]:
        try:
            named = self.ask("experiments/get-by-name", experiment_name=model_name(self.project))
        except urllib.error.HTTPError:
            return []  # none was recorded yet
        condition = " and ".join(filter(None, [f"status = '{status}'", condition]))
        number = named["experiment"]["experiment_id"]
        body = {"experiment_ids": [number], "filter": condition, "max_results": 1000}
        result = self.ask("runs/search", body).get("runs", [])
        for each in result:
            each["tags"] = {tag["key"]: tag["value"] for tag in each["data"].get("tags", [])}
        return list(result)


@contextlib.contextmanager
def running(project: Project, tools: Path) -> Iterator[Server]:
    """Start a project's server, and take it away."""
    # PostgreSQL runs as somebody else, who has to reach the folder.
    folder = Path(tempfile.mkdtemp(prefix="tracking-", dir="/tmp"))
    folder.chmod(0o755)
    server = Server(project, folder, tools)
    try:
        server.make()
        server.up()
        yield server
    finally:
        server.down()
        shutil.rmtree(folder, ignore_errors=True)
