"""Signed releases that differ by a fault, and an environment of a test's own to put them in."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rung_ops.model import bundle

Change = Callable[[Path], object]


def unchanged(path: Path) -> None:
    """Leave a bundle as it is."""


@dataclass(frozen=True)
class Environment:
    """The folder of an environment, and what makes releases for it."""

    folder: Path
    original: Path
    key: bytes

    def add(self, name: str, before: Change = unchanged, after: Change = unchanged) -> Path:
        """Put a release into the environment.

        Args:
            name: its id.
            before: changes it before it is signed.
            after: changes it after it was signed.
        """
        from rung_ops.release import signing

        path = self.folder / "bundles" / name
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.original, path)
        (path / bundle.SIGNATURE).unlink()
        before(path)
        manifest = bundle.read_manifest(path)
        manifest |= {"id": name, "files": bundle.files_of(path)}
        (path / bundle.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        signing.sign(path, self.key)
        after(path)
        return path


@pytest.fixture
def production(
    release_folder: Path,
    release_private_key: bytes,
    release_key: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Environment:
    """An environment with release v1 in its bundles, in which nothing was deployed."""
    public = tmp_path / "release.pub"
    public.write_bytes(release_key)
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("RELEASE_KEY", str(public))
    made = Environment(tmp_path / "releases/production", release_folder, release_private_key)
    made.add("v1")
    return made
