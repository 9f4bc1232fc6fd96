"""The service that a load test asks: one that runs somewhere, or one of its own.

A service of its own has a copy of the release that answers in an environment, and a folder of its
own: its predictions are in no log that anybody reads, and it moves no rollout.
"""

import contextlib
import os
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

from rung_ops.project.paths import REPOSITORY, ROOT
from rung_ops.release import paths, state
from rung_ops.serving import release as releases
from rung_ops.serving.settings import limits
from rung_ops.system import processes
from rung_ops.system.ports import free_port

HOST = "127.0.0.1"
READY_SECONDS = 60.0
LAST_WORDS = 15  # lines of a service that did not start


class Unreachable(Exception):
    """There is no service that could be tested; the message says why, and what to do."""


@dataclass(frozen=True)
class Target:
    """A service that answers.

    Attributes:
        url: where it is, without a slash at the end.
        release: the id of the release that answers.
        contract: of the release.
    """

    url: str
    release: str
    contract: dict[str, Any]


def running(url: str) -> Target:
    """Ask a service that runs what it serves.

    Raises:
        Unreachable: nothing answers there, or something else than the service.
    """
    url = url.rstrip("/")
    try:
        with urlopen(f"{url}/model", timeout=10) as answer:
            told = msgspec.json.decode(answer.read())
        return Target(url, told["release"]["id"], told["contract"])
    except HTTPError as error:
        said = error.read(500).decode(errors="replace")
        raise Unreachable(f"{url} does not serve: status {error.code}, {said}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(
            f"Nothing answers at {url} ({reason}). Is it running? `uv run poe serve` starts it."
        ) from error
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Unreachable(f"{url}/model is no answer of the prediction service.") from error


@contextlib.contextmanager
def own(environment: str) -> Iterator[Target]:
    """Start a service with the release that answers in an environment, and end it afterwards.

    Raises:
        Unreachable: nothing answers there, or the service does not start.
        bundle.BadBundle: the service would refuse the release.
        settings.BadSettings: ops/service.toml cannot be used.
        state.BadState: the state of the environment is damaged.
    """
    folder = paths.environment(environment)
    release = state.read(folder).serving
    if release is None:
        raise Unreachable(
            f"Nothing was deployed to {environment}, so there is nothing to test: "
            f"`uv run poe deploy {environment}` brings a release there."
        )
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        place = Path(name)
        there = place / "releases" / ROOT.relative_to(REPOSITORY) / environment  # see placed()
        try:
            copied = paths.bundle(there, release)
            shutil.copytree(paths.bundle(folder, release), copied, symlinks=True)
            state.serve(there, release, paths.person())
            # A service waits for a better release; this says at once what is wrong with this one.
            found = releases.load(copied, paths.public_key().read_bytes(), limits())
        except OSError as error:
            raise Unreachable(f"{release} of {environment} cannot be copied: {error}") from error
        with _started(place, environment) as url:
            yield Target(url, found.id, found.contract)


@contextlib.contextmanager
def _started(place: Path, environment: str) -> Iterator[str]:
    port = free_port()
    settings = {"RELEASES": str(place / "releases"), "LOGS": str(place / "logs")}
    words = place / "words.txt"
    with words.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "rung_ops", "serve", "--environment", environment]
            + ["--host", HOST, "--port", str(port)],
            cwd=ROOT,
            env=os.environ | settings | {"RELEASE_KEY": str(paths.public_key().resolve())},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    url = f"http://{HOST}:{port}"
    try:
        if not _ready(url, process):
            said = words.read_text(encoding="utf-8", errors="replace").splitlines()
            listed = "".join(f"\n  {line}" for line in said[-LAST_WORDS:])
            raise Unreachable(f"The service did not become ready. It said:{listed}")
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
