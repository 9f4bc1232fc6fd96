"""A tracking server as a local process, for trials and tests."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import processes
from rung_ops.tracking import server_check

ADDRESS = "http://127.0.0.1:5000"


def server_folder() -> Path:
    """Return the folder of a tracking server on this machine."""
    return current().repository / ".tracking"


THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
WAIT = 180.0  # seconds; a slow machine takes 40 to load MLflow and to create the tables


class ServerStartError(StageError):
    """The server did not start; the message says why and what to do."""


def start(uri: str) -> str:
    """Start the server at an address of this machine, and wait until it responds.

    Returns:
        The result as a sentence.

    Raises:
        ServerStartError: the address is of another machine or in use, or the server ended.
    """
    address = urlsplit(uri)
    port = address.port or 5000
    if address.hostname not in THIS_MACHINE or address.scheme != "http":
        raise ServerStartError(
            f"tracking.toml names {uri}, which is not this machine. To try a local server, set "
            f"MLFLOW_TRACKING_URI={ADDRESS} and run the command again."
        )
    if server_check.problem(uri, 2.0) is None:
        return f"A tracking server runs at {uri} already."
    server_folder().mkdir(exist_ok=True)
    log = server_folder() / "server.log"
    process = _launched(port, log)
    _state().write_text(json.dumps({"pid": process.pid, "uri": uri}) + "\n", encoding="utf-8")
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        if process.poll() is not None:
            _state().unlink(missing_ok=True)
            raise ServerStartError(
                f"The server ended with exit code {process.returncode}. See {shown(log)}; often "
                f"another program uses port {port}. Last line: {_last_line(log)}"
            )
        if server_check.problem(uri, 2.0) is None:
            return (
                f"The tracking server is ready: {uri} (process {process.pid}, data and log in "
                f"{shown(server_folder())}/). `uv run poe tracking-server --local --stop` stops it."
            )
        time.sleep(0.5)
    stop()
    raise ServerStartError(f"The server did not respond within {WAIT:.0f} s; see {shown(log)}.")


def _launched(port: int, log: Path) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{server_folder() / 'mlflow.db'}"),
        *("--artifacts-destination", str(server_folder() / "artifacts")),
    ]
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=server_folder(),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _environment() -> dict[str, str]:
    # These variables configure clients; the server is not one.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_TRACKING_")}
    # Its jobs evaluate language models: five processes that a project does not use.
    return kept | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def stop() -> str:
    """Stop the server that start() started, with its workers; return the result as a sentence."""
    try:
        pid = int(json.loads(_state().read_bytes())["pid"])
        processes.stop_group(pid, 30)
    except FileNotFoundError:
        return "No tracking server was started in this project."
    except ProcessLookupError:
        _state().unlink(missing_ok=True)
        return "The tracking server had ended before."
    _state().unlink(missing_ok=True)
    return f"The tracking server is stopped; its data stay in {shown(server_folder())}/."


def _state() -> Path:
    return server_folder() / "server.json"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "(the log is empty)"
