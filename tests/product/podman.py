"""Podman with a store of its own: it runs the pods of Kubernetes' manifests, without a cluster."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.product.conftest import run, tool

USER = 10001  # of the pods
# Podman says at each command that it will not support old control groups for ever.
QUIET = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


class NoPodsError(Exception):
    """Podman cannot run a container on this machine; the message says why."""


class Podman:
    """Plays manifests. There is no network but the machine's own, so ports are the machine's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "pods.log"
        self._played: list[Path] = []
        self._volumes: list[Path] = []
        self._program = (
            *(tool("podman"), "--runtime", tool("runc"), "--root", str(folder / "root")),
            *("--runroot", str(folder / "run"), "--tmpdir", str(folder / "tmp")),
        )

    def run(self, *arguments: str | Path, expect: int | None = 0) -> str:
        return run(*self._program, *arguments, cwd=self.folder, expect=expect, **QUIET).stdout

    def load(self, address: str, image: str) -> None:
        with subprocess.Popen(
            [tool("docker"), "--host", address, "save", image], stdout=subprocess.PIPE
        ) as saved:
            done = subprocess.run(
                [*self._program, "load", "--quiet"],
                stdin=saved.stdout,
                env=os.environ | QUIET,
                capture_output=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr.decode()

    def volume(self, name: str, content: Path | None = None) -> Path:
        """Make a volume, as a claim of its name will find it."""
        self.run("volume", "create", name)
        directory = Path(self.run("volume", "inspect", name, "--format", "{{.Mountpoint}}").strip())
        if content:
            shutil.copytree(content, directory, symlinks=True, dirs_exist_ok=True)
        self._volumes.append(directory)
        return directory

    def play(self, name: str, *manifests: dict[str, Any], expect: int = 0) -> str:
        """Play manifests; return what Podman said. Volumes belong to the pods' user then."""
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump_all(manifests))
        self._played.append(file)
        self.give_volumes()
        output = self.run("kube", "play", "--network", "host", file, expect=expect)
        self.give_volumes()
        return output

    def give_volumes(self) -> None:
        """Make the volumes the pods' user's, as Podman gives one to another when it is first used."""
        for location in self._volumes:
            give_to_pods(location)

    def down(self, name: str) -> str:
        return self.run("kube", "down", self.folder / f"{name}.yaml")

    def inspect(self, container: str) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.run("inspect", container))[0]
        return result

    def clear(self) -> None:
        """Take down everything, whatever its state, and give the disk back."""
        for file in self._played:
            self.run("kube", "down", file, expect=None)
        self.run("rm", "--all", "--force", "--time", "0", expect=None)
        self.run("system", "reset", "--force", expect=None)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def podman() -> Iterator[Podman]:
    """Give a Podman that has proved to run here, and clear it away."""
    # Paths of sockets below it have to be short.
    made = Podman(Path(tempfile.mkdtemp(prefix="podman-")))
    try:
        try:
            made.run("info")
        except AssertionError as error:
            raise NoPodsError(f"podman does not run here: {error}") from error
        yield made
    finally:
        made.clear()


def give_to_pods(folder: Path) -> None:
    """Make the pods' user the owner of a folder; `fsGroup` does that in a cluster."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, USER, USER, follow_symlinks=False)
