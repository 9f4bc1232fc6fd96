"""What was signed is loaded, anything else refused, by our verifier as by the library's.

`rung-ops sign` signs what another job built, or nothing; it runs none of the project's code.
"""

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from model_signing import hashing, verifying

from machinery.tests.conftest import RunVerb, private_key
from rung_ops.errors import VersionError
from rung_ops.model import bundle
from rung_ops.model.bundle import BundleError, verify
from rung_ops.project import current, paths
from rung_ops.release import signing


@pytest.fixture
def release(release_folder: Path, tmp_path: Path) -> Path:
    """A release that may be spoilt."""
    return Path(shutil.copytree(release_folder, tmp_path / release_folder.name))


def reference_verifier(folder: Path, public_key: bytes) -> None:
    """Verify with the library that defines the format."""
    path = folder.parent / "key.pub"
    path.write_bytes(public_key)
    config = verifying.Config().use_elliptic_key_verifier(public_key=path)
    every_file = hashing.Config().set_ignored_paths(
        paths=[bundle.SIGNATURE], ignore_git_paths=False
    )
    config.set_hashing_config(every_file).verify(folder, folder / bundle.SIGNATURE)


def refused(folder: Path, public_key: bytes) -> str:
    """Assert that both verifiers refuse a folder; return our reason."""
    with pytest.raises(Exception):  # noqa: B017  the library raises what it likes
        reference_verifier(folder, public_key)
    with pytest.raises(BundleError) as reason:
        verify(folder, public_key)
    return str(reason.value)


def test_what_was_signed_is_accepted_by_both(release: Path, release_key: bytes) -> None:
    manifest = verify(release, release_key)
    reference_verifier(release, release_key)

    assert manifest["id"] == release.name
    assert manifest["files"] == bundle.files_of(release)


def test_any_file_that_is_changed_cut_short_or_missing_is_refused(
    release: Path, release_key: bytes
) -> None:
    for name in bundle.paths_of(release):
        path = release / name
        before = path.read_bytes()
        at = len(before) // 2
        for content in (before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :], before[:-1]):
            path.write_bytes(content)
            assert release.name in refused(release, release_key), name
        path.unlink()
        refused(release, release_key)
        path.write_bytes(before)
    verify(release, release_key)


@pytest.mark.parametrize(
    "name",
    [".gitignore", ".git/config", "extra.txt", "src/__pycache__/features.pyc", "model.sig.old"],
)
def test_a_file_that_was_not_signed_is_refused(
    release: Path, release_key: bytes, name: str
) -> None:
    (release / name).parent.mkdir(parents=True, exist_ok=True)
    (release / name).write_text("something")

    assert f"{name} was not signed" in refused(release, release_key)


def test_a_link_is_refused_even_to_the_same_content(release: Path, release_key: bytes) -> None:
    for name in bundle.paths_of(release):
        moved = (release / name).rename(release.parent / "moved")
        (release / name).symlink_to(moved)
        if name != bundle.SIGNATURE:  # the library reads a signature from anywhere
            refused(release, release_key)
        with pytest.raises(BundleError, match=f"{name} is a link"):
            verify(release, release_key)
        (release / name).unlink()
        moved.rename(release / name)


def test_a_link_to_a_folder_is_refused(release: Path, release_key: bytes) -> None:
    (release / bundle.SOURCE).rename(release.parent / "src")
    (release / bundle.SOURCE).symlink_to(release.parent / "src")

    assert "src is a link" in refused(release, release_key)


def test_what_is_not_a_file_is_refused_and_not_waited_for(
    release: Path, release_key: bytes
) -> None:
    (release / bundle.CARD).unlink()
    os.mkfifo(release / bundle.CARD)

    assert "not a regular file" in refused(release, release_key)


def test_a_release_signed_again_by_somebody_else_is_refused(
    release: Path, release_key: bytes
) -> None:
    (release / bundle.CARD).write_text("# A better model\n")
    signing.sign(release, private_key())

    assert "signed with another private key" in refused(release, release_key)


def test_a_signature_that_belongs_to_other_files_is_refused(
    release: Path, release_key: bytes, release_private_key: bytes
) -> None:
    other = Path(shutil.copytree(release, release.parent / "other"))
    (other / bundle.CARD).write_text("# Another\n")
    signing.sign(other, release_private_key)
    shutil.copy(other / bundle.SIGNATURE, release)

    assert "card.md was changed" in refused(release, release_key)


def test_a_manifest_that_tells_of_other_files_is_refused_though_signed(
    release: Path, release_key: bytes, release_private_key: bytes
) -> None:
    manifest = bundle.read_manifest(release)
    manifest["files"]["card.md"] = "0" * 64
    (release / bundle.MANIFEST).write_text(json.dumps(manifest))
    signing.sign(release, release_private_key)

    with pytest.raises(BundleError, match="not the list that was signed"):
        verify(release, release_key)


def _envelope(change: Callable[[dict], None]) -> Callable[[dict], None]:
    def edit(signature: dict) -> None:
        change(signature["dsseEnvelope"])

    return edit


def _statement(change: Callable[[dict], None]) -> Callable[[dict], None]:
    def edit(envelope: dict) -> None:
        statement = json.loads(base64.b64decode(envelope["payload"]))
        change(statement)
        envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()

    return _envelope(edit)


@pytest.mark.parametrize(
    "edit",
    [
        lambda signature: signature.pop("dsseEnvelope"),
        lambda signature: signature.update(mediaType="application/json"),
        _envelope(lambda envelope: envelope.update(payloadType="text/plain")),
        _envelope(lambda envelope: envelope.update(payload="!")),
        _envelope(lambda envelope: envelope.update(signatures=[])),
        _envelope(lambda envelope: envelope["signatures"][0].update(sig="")),
        _envelope(lambda envelope: envelope["signatures"][0].update(sig="AAAA")),
        _statement(lambda statement: statement["predicate"]["resources"].pop()),
        _statement(lambda statement: statement.update(predicateType="something")),
        _statement(lambda statement: statement["predicate"]["resources"].clear()),
    ],
)
def test_an_edited_signature_is_refused(
    release: Path, release_key: bytes, edit: Callable[[dict], None]
) -> None:
    path = release / bundle.SIGNATURE
    signature = json.loads(path.read_text())
    edit(signature)
    path.write_text(json.dumps(signature))

    refused(release, release_key)


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b"{" * 100_000, b'{"a": 1}'])
def test_an_invalid_signature_is_refused(release: Path, release_key: bytes, text: bytes) -> None:
    (release / bundle.SIGNATURE).write_bytes(text)

    refused(release, release_key)


def test_a_folder_that_holds_too_much_is_refused(
    release: Path, release_key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MAX_FILES", 5)
    with pytest.raises(BundleError, match="more than 5 files"):
        verify(release, release_key)

    monkeypatch.undo()
    monkeypatch.setattr(bundle, "MAX_JSON_BYTES", 100)
    with pytest.raises(BundleError, match="larger than 100 bytes"):
        verify(release, release_key)


@pytest.mark.parametrize("text", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_an_invalid_public_key_is_named(release: Path, text: bytes) -> None:
    with pytest.raises(BundleError, match="public key"):
        verify(release, text)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where `poe keys` puts the keys, in a folder of this test."""
    private, public = tmp_path / ".keys/release.pem", tmp_path / "release.pub"
    monkeypatch.setattr(signing, "private_key_file", lambda: private)
    monkeypatch.setenv("RELEASE_KEY", str(public))
    monkeypatch.delenv("RELEASE_PRIVATE_KEY", raising=False)
    return private, public


def test_keys_are_made_once_and_the_private_one_is_kept_to_its_owner(
    pair: tuple[Path, Path], run_verb: RunVerb
) -> None:
    private, public = pair

    code, output = run_verb(signing.create_keys)
    assert (code, "RELEASE_PRIVATE_KEY" in output) == (0, True)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert signing.private_key() == private.read_bytes()
    assert signing.public_key_of(private.read_bytes()) == public.read_bytes()

    before = private.read_bytes()
    code, output = run_verb(signing.create_keys)
    assert (code, "was not changed" in output) == (1, True)
    assert private.read_bytes() == before


def test_a_key_that_the_service_does_not_trust_signs_nothing(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    signing.make_pair(*pair)
    monkeypatch.setenv("RELEASE_PRIVATE_KEY", private_key().decode())

    with pytest.raises(VersionError, match="RELEASE_PRIVATE_KEY does not belong to"):
        signing.private_key()

    monkeypatch.setenv("RELEASE_PRIVATE_KEY", pair[0].read_text())
    assert signing.private_key() == pair[0].read_bytes().strip()
    assert paths.public_key() == pair[1]


@pytest.mark.parametrize(
    "value",
    [lambda text: base64.b64encode(text).decode(), lambda _: "$(RELEASE_PRIVATE_KEY)"],
    ids=["a line of base64", "a variable that the vendor did not fill"],
)
def test_the_key_is_read_whatever_ci_makes_of_the_secret(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, value: Callable[[bytes], str]
) -> None:
    signing.make_pair(*pair)
    monkeypatch.setenv("RELEASE_PRIVATE_KEY", value(pair[0].read_bytes()))

    assert signing.private_key().strip() == pair[0].read_bytes().strip()


BEGUN = b"-----BEGIN PRIVATE KEY-----\nAAAA\n"  # pragma: allowlist secret


@pytest.mark.parametrize("text", [b"", b"no key", BEGUN])
def test_an_invalid_private_key_is_named(text: bytes) -> None:
    with pytest.raises(VersionError, match="private key"):
        signing.public_key_of(text)


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


def unsigned(built: Path, run_verb: RunVerb) -> str:
    """Assert that nothing is signed; return the reason."""
    code, output = run_verb(signing.sign_releases, str(built.parent))
    assert code == 1
    assert not list(built.parent.rglob(bundle.SIGNATURE))
    return output


def test_what_was_built_is_signed(built: Path, release_key: bytes, run_verb: RunVerb) -> None:
    code, output = run_verb(signing.sign_releases, str(built.parent))

    assert (code, output) == (0, f"signed {built.name}\n")
    assert verify(built, release_key)["id"] == built.name


HARMS: dict[str, Callable[[Path], object]] = {
    "under another name": lambda built: shutil.copytree(built, built.parent / "v2-aaaaaaaa-bbbbbb"),
    "src/more.py is not the file that": lambda built: (built / "src/more.py").write_text(
        "more = 1"
    ),
    "card.md is not the file that": lambda built: (built / bundle.CARD).unlink(),
    "metrics.json is not the file that": lambda built: (built / bundle.METRICS).write_text("{ }"),
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

    assert reason in unsigned(built, run_verb)


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
