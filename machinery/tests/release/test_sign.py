"""`rung-ops sign` signs what another job built, or nothing; it runs none of the project's code."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from machinery.tests.conftest import RunVerb
from rung_ops.model import bundle
from rung_ops.model.verification import verify
from rung_ops.project import current
from rung_ops.release import signing

LOADED = """
import sys
from rung_ops.release import signing
code = signing.sign_releases([sys.argv[1]])
print(code, *sorted({name.split(".")[0] for name in sys.modules}))
"""


@pytest.fixture
def built(
    release_folder: Path,
    release_key: bytes,
    release_private_key: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """An unsigned release in a folder of its own, and the key pair as CI gives it."""
    made = tmp_path / "built" / release_folder.name
    shutil.copytree(release_folder, made)
    (made / bundle.SIGNATURE).unlink()
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    monkeypatch.setenv("RELEASE_PRIVATE_KEY", release_private_key.decode())
    return made


def refused(built: Path, run_verb: RunVerb) -> str:
    """Assert that nothing is signed; return the reason."""
    code, output = run_verb(signing.sign_releases, str(built.parent))
    assert code == 1
    assert not list(built.parent.rglob(bundle.SIGNATURE))
    return output


def test_what_was_built_is_signed(built: Path, release_key: bytes, run_verb: RunVerb) -> None:
    code, output = run_verb(signing.sign_releases, str(built.parent))

    assert (code, output) == (0, f"signed {built.name}\n")
    assert verify(built, release_key)["id"] == built.name


def test_a_changed_byte_of_any_file_is_not_signed(built: Path, run_verb: RunVerb) -> None:
    for name in bundle.files_of(built):
        path = built / name
        before = path.read_bytes()
        path.write_bytes(before + b" ")

        assert f"{name} is not the file that" in refused(built, run_verb)

        path.write_bytes(before)


HARMS: dict[str, Callable[[Path], object]] = {
    "under another name": lambda built: shutil.copytree(built, built.parent / "v2-aaaaaaaa-bbbbbb"),
    "src/more.py is not the file that": lambda built: (built / "src/more.py").write_text(
        "more = 1"
    ),
    "card.md is not the file that": lambda built: (built / bundle.CARD).unlink(),
    "is a link": lambda built: (
        (built / bundle.CARD).replace(built.parent.parent / "card")
        and (built / bundle.CARD).symlink_to("/etc/hostname")
    ),
}


@pytest.mark.parametrize("reason", HARMS)
def test_what_differs_from_its_manifest_is_not_signed(
    built: Path, run_verb: RunVerb, reason: str
) -> None:
    HARMS[reason](built)

    assert reason in refused(built, run_verb)


def test_a_release_with_a_signature_is_not_signed_again(built: Path, run_verb: RunVerb) -> None:
    (built / bundle.SIGNATURE).write_text("{}")

    code, output = run_verb(signing.sign_releases, str(built.parent))

    assert (code, "has a signature already" in output) == (1, True)
    assert (built / bundle.SIGNATURE).read_text() == "{}"


def test_a_folder_without_releases_is_an_error(built: Path, run_verb: RunVerb) -> None:
    code, output = run_verb(signing.sign_releases, str(built.parent / "elsewhere"))

    assert (code, "holds no release" in output) == (1, True)


def test_signing_imports_nothing_of_the_project(built: Path) -> None:
    output = subprocess.run(
        [sys.executable, "-c", LOADED, str(built.parent)],
        cwd=current().repository,
        env=os.environ,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    code, *modules = output[-1].split()

    assert code == "0"
    package = bundle.read_manifest(built)["package"]
    heavy = {package, "pipeline", "dvc", "mlflow", "onnx", "pandas", "polars", "sklearn", "skops"}
    assert not heavy & set(modules)
