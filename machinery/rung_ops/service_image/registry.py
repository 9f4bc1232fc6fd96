"""Docker, a registry, and the reference of an image in it: REPOSITORY@sha256:DIGEST."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from rung_ops.errors import OpsError
from rung_ops.project import current

USER, PASSWORD = "REGISTRY_USER", "REGISTRY_PASSWORD"
REFERENCE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")


class ImageError(OpsError):
    """The image cannot be built, checked, pushed or started; nothing was promoted."""


def reference_file() -> Path:
    """Return the path of the reference of the image that was pushed."""
    return current().repository / "reports/image/reference.txt"


def docker(*words: str, stdin: str | None = None, is_shown: bool = False) -> str:
    """Run Docker in the repository and return its output; with is_shown it is printed instead."""
    if not shutil.which("docker"):
        raise ImageError("`docker` is not on PATH. Install Docker, with its plugin buildx.")
    done = subprocess.run(
        ["docker", *words],
        cwd=current().repository,
        input=stdin,
        stdout=None if is_shown else subprocess.PIPE,
        stderr=None if is_shown else subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        said = "see above" if is_shown else (done.stderr + done.stdout).strip()
        raise ImageError(f"`docker {words[0]}` failed: {said}")
    # A container writes its log to both.
    return (done.stdout or "") + (done.stderr if words[0] == "logs" else "")


@contextlib.contextmanager
def logged_in(repository: str) -> Iterator[None]:
    """Log in to the registry of a repository where REGISTRY_PASSWORD is set, and out again."""
    password = os.environ.get(PASSWORD)
    if not password:
        yield
        return
    host = repository.split("/")[0]
    user = os.environ.get(USER) or "token"
    docker("login", "--username", user, "--password-stdin", host, stdin=password)
    try:
        yield
    finally:
        docker("logout", host)
