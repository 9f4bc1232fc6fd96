"""The tracking server: started in containers or on this machine, checked, and opened in a browser."""

import json
import os
import shutil
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

import click

from rung_ops.command import verb
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import processes
from rung_ops.tracking import registry, store_address, sync

ADDRESS = "http://127.0.0.1:5000"


def _folder() -> Path:
    """Return the folder of a tracking server on this machine."""
    return current().repository / ".tracking"


THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
LOCAL_WAIT = 180.0  # seconds; a slow machine takes 40 to load MLflow and to create the tables


def start_local(uri: str) -> str:
    """Start the server at an address of this machine, and wait until it responds; return the result."""
    address = urlsplit(uri)
    port = address.port or 5000
    if address.hostname not in THIS_MACHINE or address.scheme != "http":
        raise StageError(
            f"tracking.toml names {uri}, which is not this machine. To try a local server, set "
            f"MLFLOW_TRACKING_URI={ADDRESS} and run the command again."
        )
    if registry.server_problem(uri, 2.0) is None:
        return f"A tracking server runs at {uri} already."
    _folder().mkdir(exist_ok=True)
    log = _folder() / "server.log"
    process = _launched(port, log)
    content = json.dumps({"pid": process.pid, "uri": uri}) + "\n"
    _process_file().write_text(content, encoding="utf-8")
    until = time.monotonic() + LOCAL_WAIT
    while time.monotonic() < until:
        if process.poll() is not None:
            _process_file().unlink(missing_ok=True)
            raise StageError(
                f"The server ended with exit code {process.returncode}. See {shown(log)}; often "
                f"another program uses port {port}. Last line: {_last_line(log)}"
            )
        if registry.server_problem(uri, 2.0) is None:
            return (
                f"The tracking server is ready: {uri} (process {process.pid}, data and log in "
                f"{shown(_folder())}/). `uv run poe tracking-server --local --stop` stops it."
            )
        time.sleep(0.5)
    stop_local()
    raise StageError(f"The server did not respond within {LOCAL_WAIT:.0f} s; see {shown(log)}.")


def _launched(port: int, log: Path) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{_folder() / 'mlflow.db'}"),
        *("--artifacts-destination", str(_folder() / "artifacts")),
    ]
    # These variables configure clients; the server is not one.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_TRACKING_")}
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=_folder(),
            # Its jobs evaluate language models: five processes that a project does not use.
            env=kept | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop_local() -> str:
    """Stop the server that start_local() started, with its workers; return the result."""
    result = f"The tracking server is stopped; its data stay in {shown(_folder())}/."
    try:
        pid = int(json.loads(_process_file().read_bytes())["pid"])
        processes.stop_group(pid, 30)
    except FileNotFoundError:
        return "No tracking server was started in this project."
    except ProcessLookupError:
        result = "The tracking server had ended before."
    _process_file().unlink(missing_ok=True)
    return result


def _process_file() -> Path:
    return _folder() / "server.json"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "(the log is empty)"


WAIT = 300  # seconds; the first start creates the tables of the database


@verb("poe tracking-server")
@click.option("--local", is_flag=True, help="run without containers; data in .tracking/")
@click.option("--stop", is_flag=True, help="stop the server; its data are kept")
def main(local: bool, stop: bool) -> int:
    """Start the tracking server of tracking/compose.yaml.

    With --local it runs on this machine without containers, with a SQLite file and a folder.
    """
    if local:
        print(stop_local() if stop else start_local(_own_address()))
    else:
        print(_compose(stop))
    return 0


def _own_address() -> str:
    uri = store_address.tracking_uri()
    if not registry.is_server(uri):
        uri = store_address.policy().uri or ADDRESS
    return str(uri)


def _compose(stop: bool) -> str:
    if shutil.which("docker") is None:
        raise StageError(
            "Docker is not installed; the server of tracking/compose.yaml needs it. Install Docker "
            "with its compose plug-in, or start the server without containers: "
            "`uv run poe tracking-server --local`."
        )
    file, passwords = current().repository / "tracking/compose.yaml", current().repository / ".env"
    if not passwords.is_file():
        raise StageError(
            f"{shown(passwords)} with the passwords of database and store is missing: copy "
            ".env.example to .env and fill it in. git ignores it."
        )
    command = ["docker", "compose", "--file", str(file), "--env-file", str(passwords)]
    start = ["up", "--build", "--detach", "--wait", "--wait-timeout", str(WAIT)]
    command += ["down"] if stop else start
    if subprocess.run(command, cwd=current().repository, check=False).returncode != 0:
        raise StageError(
            "The containers did not start; see the lines above. For their logs, run "
            "`docker compose --file tracking/compose.yaml --env-file .env logs`."
        )
    if stop:
        return "The server is stopped; its data stay in the volumes."
    reason = registry.server_problem(_own_address())
    if reason:
        raise StageError(f"The containers are healthy, but: {reason}")
    return f"The tracking server is ready: {_own_address()}"


@verb("poe runs")
def open_runs() -> int:
    """Print the address of the training runs and open it in a browser."""
    uri = store_address.tracking_uri()
    if not registry.is_server(uri):
        print(f"Runs are recorded in {uri}. Run `uv run mlflow ui --backend-store-uri {uri}`.")
        return 0
    registry.require_server(uri, store_address.policy().timeout_seconds)
    print(f"Training runs: {uri}/#/experiments")
    webbrowser.open(f"{uri}/#/experiments")
    return 0


@verb("rung-ops tracking ready")
@click.option(
    "--say",
    is_flag=True,
    help="only print the problem and exit with 0, before commands that record no run",
)
def check_ready(say: bool) -> int:
    """Check that the tracking server is ready, before training starts; copy waiting runs to it."""
    uri = store_address.tracking_uri()
    if not registry.is_server(uri):
        return 0
    reason = registry.server_problem(uri, store_address.policy().timeout_seconds)
    if reason is None:
        return sync.run_copy(sync.copy_waiting) if not say and sync.waiting() else 0
    print(reason, file=sys.stderr)
    if say:
        print("Training continues: only the pipeline records a run.", file=sys.stderr)
    elif registry.continues_without_server():
        print(
            'Training continues, as ops/tracking.toml says (when_down = "continue"): the run is '
            "recorded locally and copied to the server when it is back.",
            file=sys.stderr,
        )
    else:
        print(
            "Nothing was trained. To train without the server and record the run later, set "
            'when_down = "continue" in ops/tracking.toml.',
            file=sys.stderr,
        )
        return 1
    return 0
