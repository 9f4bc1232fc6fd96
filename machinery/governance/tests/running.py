"""A service in a separate process, in a production whose log is signed and which is approved."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from machinery.governance.tests.conftest import Patch, pem, public_pem
from machinery.governance.tests.signing import approved_line, new_key, source_of
from machinery.tests.in_project import copied
from rung_governance.approval import audit, signatures
from rung_governance.approval.signed_log import APPROVED
from rung_ops.model import bundle
from rung_ops.release import state
from rung_ops.system.processes import free_port

TOKEN = "a-token-for-tests-only"  # pragma: allowlist secret
CALLER = "a-token-of-a-caller-for-tests"  # pragma: allowlist secret
PATIENCE = 60.0  # seconds for what takes one; a busy machine takes longer


class Running:
    """A service in a separate process."""

    def __init__(
        self, folder: Path, key: Path, environ: dict[str, str], host: str = "127.0.0.1"
    ) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        place, words = folder.parents[1], ["serve", "--port", str(port), "--host", host]
        variables = {"RELEASES": str(folder.parent), "LOGS": str(place / "logs")}
        variables |= {"RELEASE_KEY": str(key), "SERVICE_ENVIRONMENT": folder.name}
        variables |= {"PREDICT_TOKENS": f"tests:{CALLER}"} | environ
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rung_ops", *words],
            cwd=place / "project",
            env=os.environ | variables,
        )

    def ask(
        self, path: str, body: Any = None, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send JSON, or ask without; return status and answer."""
        if token is None:
            token = CALLER if path in ("/predict", "/model") else TOKEN
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{self.url}{path}", content, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def ready(self) -> bool:
        assert self.process.poll() is None, "the service ended"
        return self._says("/health/ready")

    def lives(self) -> bool:
        assert self.process.poll() is None, "the service ended"
        return self._says("/health/live")

    def _says(self, path: str) -> bool:
        try:
            return self.ask(path)[0] == 200
        except OSError:
            return False


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@contextmanager
def started(
    environment: Path, environ: dict[str, str], host: str = "127.0.0.1"
) -> Iterator[Running]:
    """Start a service in an environment, and end it."""
    running = Running(environment, environment.parent / "release.pub", environ, host)
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(timeout=PATIENCE)


def trusting(place: Path, key: ec.EllipticCurvePrivateKey) -> str:
    """Copy the project for services of the releases below a place; return a validator's key."""
    validator = new_key(place / "vera.key")
    project = copied(place / "project")
    (project / "governance/audit.pub").write_bytes(public_pem(key))
    line = signatures.line_for(validator, "vera@example.org")
    (project / signatures.SIGNERS).write_text(line)
    return validator


def deployed(
    folder: Path,
    release: Path,
    public_key: bytes,
    key: ec.EllipticCurvePrivateKey,
    validator: str | None,
) -> Path:
    """Let a release answer in an environment with a signed log; None leaves it unapproved."""
    shutil.copytree(release, folder / "bundles" / release.name)
    (folder.parent / "release.pub").write_bytes(public_key)
    with Patch.context() as patch:
        patch.setenv("AUDIT_PRIVATE_KEY", pem(key).decode())
        with audit.signed(folder) as problems:
            if validator is not None:
                of, source = bundle.read_manifest(release), source_of(release)
                line = approved_line(release.name, validator, of, source_hash=source)
                state.note(folder, APPROVED, "Vera", **line)
            state.serve(folder, release.name, "Ada")
        assert problems == []
    return folder


def row_of(folder: Path) -> dict[str, Any]:
    """Return a row that the service of an environment answers."""
    path = next((folder / "bundles").glob("[!.]*")) / bundle.CONTRACT
    example: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["example"]
    return example
