"""The service that a load test sends requests to: a running one, or one that the test starts.

The test starts a service with a copy of an environment's serving release and with temporary folders,
so the test does not affect prediction logs or a rollout.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec

from rung_ops.model import released as released
from rung_ops.project import current, release_folders
from rung_ops.project.service_settings import limits
from rung_ops.release import state
from rung_ops.serving import access
from rung_ops.system import processes
from rung_ops.system.ports import free_port

HOST = "127.0.0.1"
READY_SECONDS = 60.0
OWN_TOKEN = secrets.token_urlsafe()  # of a service that the test starts
SHOWN = 15  # lines of output of a service that did not start


class Unreachable(Exception):
    """No service can be tested; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """A running service.

    Attributes:
        url: its address, without a trailing slash.
        release: id of the serving release.
        contract: of the release.
        token: that requests carry; None if there is none.
    """

    url: str
    release: str
    contract: dict[str, Any]
    token: str | None = None


def running(url: str) -> Target:
    """Read what a running service serves.

    Raises:
        Unreachable: nothing answers at the address, or another kind of service.
    """
    url = url.rstrip("/")
    try:
        with urlopen(access.authorized_request(f"{url}/model"), timeout=10) as answer:
            model = msgspec.json.decode(answer.read())
        token = access.token_for(url)
        return Target(url, model["release"]["id"], model["contract"], token)
    except HTTPError as error:
        if error.code == 401:
            raise Unreachable(
                f"{url} asks who calls: set {access.VARIABLE} to a token of its {access.PREDICT}."
            ) from error
        text = error.read(500).decode(errors="replace")
        raise Unreachable(f"{url} does not serve: status {error.code}, {text}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(
            f"Nothing answers at {url} ({reason}). `uv run poe serve` starts the service."
        ) from error
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Unreachable(f"{url} is not a prediction service: see {url}/model.") from error


@contextlib.contextmanager
def own(environment: str) -> Iterator[Target]:
    """Start a service with the serving release of an environment, and stop it at the end.

    Raises:
        Unreachable: the environment serves nothing, or the service does not start.
        bundle.BundleError: the service would refuse the release.
        settings.SettingsError: ops/service.toml is invalid.
        state.BadState: the state of the environment is damaged.
    """
    folder = release_folders.environment(environment)
    release = state.read(folder).serving
    if release is None:
        raise Unreachable(
            f"{environment} serves no release that could be tested: run "
            f"`uv run poe deploy {environment}`."
        )
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        temporary = Path(name)
        copy = (
            temporary / "releases" / current().root.relative_to(current().repository) / environment
        )  # see placed()
        try:
            copied = release_folders.bundle(copy, release)
            shutil.copytree(release_folders.bundle(folder, release), copied, symlinks=True)
            state.serve(copy, release, release_folders.person())
            # Raises at once if the release is invalid; the service would wait for another one.
            loaded = released.load(copied, release_folders.public_key().read_bytes(), limits())
        except OSError as error:
            raise Unreachable(f"{release} of {environment} cannot be copied: {error}") from error
        with _started(temporary, environment) as url:
            yield Target(url, loaded.id, loaded.contract, OWN_TOKEN)


@contextlib.contextmanager
def _started(folder: Path, environment: str) -> Iterator[str]:
    port = free_port()
    settings = {
        **{"RELEASES": str(folder / "releases"), "LOGS": str(folder / "logs")},
        # It asks as the real one does, which belongs to what is measured.
        access.PREDICT: f"load test:{OWN_TOKEN}",
    }
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "rung_ops", "serve", "--environment", environment]
            + ["--host", HOST, "--port", str(port)],
            cwd=current().root,
            env=os.environ
            | settings
            | {"RELEASE_KEY": str(release_folders.public_key().resolve())},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://{HOST}:{port}"
    try:
        if not _ready(url, process):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            listed = "".join(f"\n  {line}" for line in lines[-SHOWN:])
            raise Unreachable(f"The service did not become ready. Its output:{listed}")
        yield url
    finally:
        processes.stop(process, 10)


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, HTTPException):
            with urlopen(f"{url}/health/ready", timeout=5):
                return True
        time.sleep(0.05)
    return False
