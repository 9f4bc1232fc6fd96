"""The keys of the audit log are made once; an invalid key is detected."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from machinery.governance.tests.conftest import Capture, Patch, pem
from rung_governance.approval import keys
from rung_governance.approval.keys import AuditLogError
from rung_ops.release import signing as release_keys


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A project without keys."""
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    monkeypatch.setattr(keys, "private_key_file", lambda: tmp_path / ".keys/audit.pem")
    monkeypatch.setattr(keys, "public_key_file", lambda: tmp_path / "audit.pub")
    monkeypatch.setattr(release_keys, "private_key_file", lambda: tmp_path / ".keys/release.pem")
    return tmp_path


def test_one_command_makes_both_pairs(folder: Path) -> None:
    assert keys.main([]) == 0
    assert keys.private_key().public_key() == keys.public_key()
    assert (folder / ".keys/release.pem").exists()
    assert (folder / ".keys/audit.pem").stat().st_mode & 0o077 == 0


def test_the_audit_logs_pair_can_be_made_alone_where_the_releases_have_theirs(folder: Path) -> None:
    assert release_keys.create_keys([]) == 0
    before = (folder / "release.pub").read_bytes()

    assert keys.main(["--audit"]) == 0

    assert keys.public_key()
    assert (folder / "release.pub").read_bytes() == before


def test_keys_that_are_there_are_left_alone(folder: Path, capsys: Capture) -> None:
    keys.main([])
    before = keys.public_key()

    assert keys.main([]) == keys.main(["--audit"]) == 1

    assert keys.public_key() == before
    assert "exists and was not changed" in capsys.readouterr().err


def test_without_keys_the_command_that_makes_them_is_named(folder: Path) -> None:
    for read in (keys.private_key, keys.public_key):
        with pytest.raises(AuditLogError, match="`uv run poe keys --audit`"):
            read()


@pytest.mark.parametrize(
    "text",
    ["no key", pem(ec.generate_private_key(ec.SECP384R1())).decode()],
    ids=["no PEM text", "another curve"],
)
def test_an_invalid_key_is_named_by_its_place(folder: Path, text: str, monkeypatch: Patch) -> None:
    monkeypatch.setenv(keys.VARIABLE, text)
    with pytest.raises(AuditLogError, match=keys.VARIABLE):
        keys.private_key()
    monkeypatch.delenv(keys.VARIABLE)
    keys.private_key_file().parent.mkdir()
    keys.private_key_file().write_text(text, encoding="utf-8")
    with pytest.raises(AuditLogError, match=r"audit\.pem"):
        keys.private_key()


def test_the_key_that_ci_hands_over_counts_before_the_file(
    folder: Path, monkeypatch: Patch
) -> None:
    keys.main(["--audit"])
    other = ec.generate_private_key(ec.SECP256R1())
    monkeypatch.setenv(keys.VARIABLE, pem(other).decode())
    assert keys.private_key().public_key() == other.public_key()
