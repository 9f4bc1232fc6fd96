"""Start the tracking server of tracking/compose.yaml: `uv run poe tracking-server`.

With --local it runs on this machine without containers, with a SQLite file and a folder.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.tracking import local, server_check, store_address


def compose_file() -> Path:
    """Return the path of the tracking server's compose file."""
    return current().repository / "tracking/compose.yaml"


def env_file() -> Path:
    """Return the path of the file of passwords."""
    return current().repository / ".env"


WAIT = 300  # seconds; the first start creates the tables of the database


def main(arguments: list[str] | None = None) -> int:
    """Start or stop the server; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe tracking-server", description=__doc__.split(":")[0])
    parser.add_argument(
        "--local", action="store_true", help="run without containers; data in .tracking/"
    )
    parser.add_argument("--stop", action="store_true", help="stop the server; its data are kept")
    options = parser.parse_args(arguments)
    try:
        if options.local:
            result = local.stop() if options.stop else local.start(_own_address())
        else:
            result = _compose(options.stop)
    except local.ServerStartError as error:
        print(error, file=sys.stderr)
        return 1
    print(result)
    return 0


def _own_address() -> str:
    uri = store_address.tracking_uri()
    if not server_check.is_server(uri):
        uri = store_address.policy().get("uri", local.ADDRESS)
    return str(uri)


def _compose(stop: bool) -> str:
    if shutil.which("docker") is None:
        raise local.ServerStartError(
            "Docker is not installed; the server of tracking/compose.yaml needs it. Install Docker "
            "with its compose plug-in, or start the server without containers: "
            "`uv run poe tracking-server --local`."
        )
    if not env_file().is_file():
        raise local.ServerStartError(
            f"{shown(env_file())} with the passwords of database and store is missing: copy "
            ".env.example to .env and fill it in. git ignores it."
        )
    command = ["docker", "compose", "--file", str(compose_file()), "--env-file", str(env_file())]
    command += ["down"] if stop else ["up", "--build", "--detach", "--wait"]
    command += [] if stop else ["--wait-timeout", str(WAIT)]
    if subprocess.run(command, cwd=current().repository, check=False).returncode != 0:
        raise local.ServerStartError(
            "The containers did not start; see the lines above. For their logs, run "
            "`docker compose --file tracking/compose.yaml --env-file .env logs`."
        )
    if stop:
        return "The server is stopped; its data stay in the volumes."
    reason = server_check.problem(_own_address())
    if reason:
        raise local.ServerStartError(f"The containers are healthy, but: {reason}")
    return f"The tracking server is ready: {_own_address()}"
