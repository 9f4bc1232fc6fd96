"""A project to test in, and a small signed release of its model.

The library works on a project. In an ejected project that is the project itself; in Rung's own
repository one is rendered from the template: of the game that RUNG_GAME names, else velocity.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from machinery.tests import in_project  # noqa: F401, I001  first: changes to a project
from rung_ops.project import current
from rung_ops.project.paths import project_name
from rung_ops.system import key_names

# With a developer's agent or a CI's token, code of the project would run out of the tests' reach.
for name in (*key_names.HOSTS, key_names.AGENT):
    os.environ.pop(name, None)
# As rung_ops.ray.connect: pytest imports Ray when it looks for the folder `ray`, and Ray reads it once.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

# Folders of tests, and what they need of the project.
NEEDS = {"kubernetes": "deploy/kubernetes/overlays/scheduled", "ray": "ops/ray.toml"}
# What the suites call the types of pytest's own fixtures.
Capture = pytest.CaptureFixture[str]
LogCapture = pytest.LogCaptureFixture
Patch = pytest.MonkeyPatch
ROWS = 3_000
FACTS = {
    "model": project_name(),
    "version": "1",
    "run_id": "0" * 32,
    "git_commit": "a" * 40,
    "git_author": "Ada Lovelace <ada@example.org>",
    "git_dirty": "false",
    "data_hash": "b" * 32,
    "params_hash": "c" * 64,
    "model_hash": "d" * 64,
}


@dataclass(frozen=True)
class Trained:
    """A model, and the rows it learned from and did not."""

    estimator: Any
    train: pl.DataFrame
    test: pl.DataFrame


def _left_out() -> dict[Path, str]:
    """Return the folders of tests for what the project does not have, as an ejected one may not."""
    folders = {Path(__file__).parent / folder: need for folder, need in NEEDS.items()}
    return {
        folder: need
        for folder, need in folders.items()
        if not (current().repository / need).exists()
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for folder, need in _left_out().items():
        terminalreporter.write_line(f"left out: {folder.name}/, which needs a project with {need}")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave them out: to import them would take seconds."""
    return True if collection_path in _left_out() else None


def private_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="session")
def release_private_key() -> bytes:
    """PEM text of the private key that signed the release."""
    return private_key()


@pytest.fixture(scope="session")
def release_key(release_private_key: bytes) -> bytes:
    """PEM text of the public key that belongs to it, as in release.pub."""
    from rung_ops.release.signing import public_key_of

    return public_key_of(release_private_key)


@pytest.fixture(scope="session")
def trained() -> Trained:
    """This project's model, fitted to some rows of the sample."""
    # Imported here and below, as not every test needs them, and they take seconds.
    from machinery.tests.in_project import fit, split
    from rung_ops.data.ingest import sample_rows
    from rung_ops.project.paths import params

    rows = sample_rows()
    rows = rows.sample(min(ROWS, rows.height), seed=params()["seed"])
    train, test = split(rows, 0.3, params()["seed"])
    return Trained(fit(train), train, test)


@pytest.fixture(scope="session")
def saved_model(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of that model."""
    from rung_ops.training import estimator

    path = tmp_path_factory.mktemp("model") / "model.skops"
    estimator.save(trained.estimator, path)
    return path


@pytest.fixture(scope="session")
def release_folder(
    trained: Trained, tmp_path_factory: pytest.TempPathFactory, release_private_key: bytes
) -> Path:
    """A release of that model. Copy it before changing anything in it."""
    from rung_ops.release import make
    from rung_ops.training import baseline, estimator
    from rung_ops.training.slice_scores import score_by_slice

    train, test = trained.train, trained.test
    predicted = estimator.predict(trained.estimator, test)
    simple = baseline.baseline(train, test)
    comparison = baseline.compare(estimator.truth(test), predicted, simple)
    documents = {
        "comparison.json": json.dumps(comparison),
        "slices.json": json.dumps(score_by_slice(test, predicted).to_dicts()),
        "card.md": "# Model card of a release for tests\n",
    }
    folder = tmp_path_factory.mktemp("candidates")
    return make.write(folder, trained.estimator, train, test, FACTS, release_private_key, documents)


RunVerb = Callable[..., tuple[int, str]]


@pytest.fixture
def run_verb(capsys: Capture) -> RunVerb:
    """Run a verb with arguments; return its exit code and what it printed."""

    def run(verb: Callable[[list[str]], int], *arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = verb(list(arguments))
        output = capsys.readouterr()
        return code, output.out + output.err

    return run


@pytest.fixture
def row(trained: Trained) -> bytes:
    """A row of this project as a caller sends it."""
    from rung_ops import contract

    rows = trained.test.drop(contract.TARGET).head(1)
    return json.dumps(rows.to_dicts()[0], default=lambda value: value.isoformat()).encode()
