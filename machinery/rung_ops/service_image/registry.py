"""Docker, a registry, and the reference of an image in it: REPOSITORY@sha256:DIGEST."""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rung_ops.errors import OpsError
from rung_ops.project import current

LOGIN = ("REGISTRY_USER", "REGISTRY_PASSWORD")  # variables
# With the registry's host: `team/service` would be a host `team`, and Docker's own registry.
REPOSITORY = re.compile(
    r"(?=localhost/|[^/]*[.:])[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)+"
)
REFERENCE = re.compile(rf"{REPOSITORY.pattern}@sha256:[0-9a-f]{{64}}")
# By the names that Docker's configuration has for registries, where they are not their hosts.
KEYS = {"docker.io": "https://index.docker.io/v1/"}


class ImageError(OpsError):
    """The image cannot be built, checked, pushed or started; nothing was promoted."""


def reference_file() -> Path:
    """Return the path of the reference of the image that was pushed."""
    return current().repository / "reports/image/reference.txt"


def docker(*words: str, is_shown: bool = False) -> str:
    """Run Docker in the repository and return its output; with is_shown it is printed instead."""
    if not shutil.which("docker"):
        raise ImageError("`docker` is not on PATH. Install Docker, with its plugin buildx.")
    done = subprocess.run(
        ["docker", *words],
        cwd=current().repository,
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


def pushed(image: str) -> str:
    """Push an image, and return the digest by which the registry has it."""
    printed = docker("push", image)
    if not (found := re.search(r"digest: (sha256:\S+) ", printed)):
        raise ImageError(f"`docker push {image}` did not print the digest")
    return found[1]


@contextlib.contextmanager
def logged_in(repository: str) -> Iterator[None]:
    """Give Docker REGISTRY_PASSWORD, where it is set, for the registry of a repository alone.

    In a temporary configuration: jobs on the same machine share the user's, and a credential store
    would keep it.
    """
    user, password = map(os.environ.get, LOGIN)
    if not password:
        yield
        return
    host = repository.split("/")[0]
    before = os.environ.get("DOCKER_CONFIG")
    own = Path(before or Path.home() / ".docker")
    settings = {}
    with contextlib.suppress(OSError, ValueError):
        settings = json.loads((own / "config.json").read_text(encoding="utf-8"))
    kept = {key: settings[key] for key in settings if key not in ("credsStore", "credHelpers")}
    auth = base64.b64encode(f"{user or 'token'}:{password}".encode()).decode()
    # GitHub empties its folder before each job, also after one that was killed.
    with TemporaryDirectory(dir=os.environ.get("RUNNER_TEMP")) as folder:
        text = json.dumps(kept | {"auths": {KEYS.get(host, host): {"auth": auth}}})
        Path(folder, "config.json").write_text(text, encoding="utf-8")
        if (own / "contexts").is_dir():  # one may say where the daemon is
            shutil.copytree(own / "contexts", Path(folder, "contexts"))
        os.environ["DOCKER_CONFIG"] = folder
        try:
            yield
        finally:
            del os.environ["DOCKER_CONFIG"]
            if before is not None:
                os.environ["DOCKER_CONFIG"] = before
