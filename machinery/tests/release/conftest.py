"""A folder of releases with two candidates, and nothing deployed yet."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machinery.tests.conftest import FACTS, Patch, Trained
from rung_ops.model import bundle
from rung_ops.project import paths
from rung_ops.release import signing

FIRST = "v1-aaaaaaaa-bbbbbb"
SECOND = "v2-aaaaaaaa-bbbbbb"


def copy_as(release: Path, folder: Path, name: str, private_key: bytes, **changes: str) -> Path:
    """Copy a release under another name and version, with changes of its manifest, and sign it."""
    made = folder / name
    shutil.copytree(release, made)
    manifest = bundle.read_manifest(made)
    manifest |= {"id": name, "version": name[1 : name.index("-")]} | changes
    (made / bundle.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    (made / bundle.SIGNATURE).unlink()
    signing.sign(made, private_key)
    return made


Write = Callable[..., Path]


@pytest.fixture
def write(trained: Trained, release_private_key: bytes, tmp_path: Path) -> Write:
    """Write a release of this project's model, or of another one, into the folder of the test."""
    from rung_ops.release import make  # which takes seconds

    def written(
        estimator: Any = trained.estimator, key: bytes | None = release_private_key, **more: Any
    ) -> Path:
        return make.write(tmp_path, estimator, trained.train, trained.test, FACTS, key, **more)

    return written


@pytest.fixture(scope="session")
def two_candidates(
    release_folder: Path, release_private_key: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with two signed releases. Copy it before changing anything in it."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(release_folder, folder / FIRST)
    copy_as(release_folder, folder, SECOND, release_private_key)
    return folder


@pytest.fixture
def releases(two_candidates: Path, release_key: bytes, tmp_path: Path, monkeypatch: Patch) -> Path:
    """The folder of releases, with both candidates and the key that they are verified with."""
    folder = tmp_path / "releases"
    shutil.copytree(two_candidates, folder / "candidates")
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASES", str(folder))
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    return folder


@pytest.fixture
def production(releases: Path) -> Path:
    """The folder of production, where nothing is served."""
    return paths.environment(paths.PRODUCTION)


@pytest.fixture
def untouched(tmp_path: Path, monkeypatch: Patch) -> Path:
    """The folder of production in releases of their own, where nothing has happened yet."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    return paths.environment(paths.PRODUCTION)
