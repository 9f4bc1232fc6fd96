"""The keys that sign and verify the audit log: `uv run poe keys [--audit]` makes them."""

import sys
from pathlib import Path

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rung_ops.command import verb
from rung_ops.errors import OpsError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import key_names

VARIABLE = key_names.AUDIT


class AuditLogError(OpsError):
    """An audit log cannot be relied on: it is not what was signed, or a key is missing or invalid."""


def private_key_file() -> Path:
    """Return the path of the private key that signs the audit log."""
    return current().repository / ".keys/audit.pem"


def public_key_file() -> Path:
    """Return the path of the public key that verifies the audit log."""
    return current().repository / "governance/audit.pub"


def private_key() -> ec.EllipticCurvePrivateKey:
    """Read the key that signs the audit log: the variable AUDIT_PRIVATE_KEY, or .keys/audit.pem."""
    text, file = key_names.key_from(VARIABLE), private_key_file()
    if not text and not file.is_file():
        raise AuditLogError(
            f"there is no key to sign it with: set {VARIABLE} to the text of {shown(file)}, which "
            "`uv run poe keys --audit` makes"
        )
    where = VARIABLE if text else shown(file)
    try:
        key = serialization.load_pem_private_key(text or file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AuditLogError(
            f"{where} is not the PEM text of a private key without a password"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise AuditLogError(f"{where} is not an EC P-256 key")
    return key


def public_key() -> ec.EllipticCurvePublicKey:
    """Read the key that the audit log is verified with, governance/audit.pub."""
    file = public_key_file()
    if not file.is_file():
        raise AuditLogError(
            f"{shown(file)} is missing, so nothing can be verified: `uv run poe keys --audit` makes "
            "the pair; commit this file"
        )
    try:
        key = serialization.load_pem_public_key(file.read_bytes())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuditLogError(f"{shown(file)} is not the PEM text of a public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise AuditLogError(f"{shown(file)} is not an EC P-256 key")
    return key


@verb("poe keys")
@click.option("--audit", is_flag=True, help="only the pair of the audit log, not the releases'")
def main(audit: bool) -> int:
    """Create the key pairs of releases and audit log that do not exist yet."""
    from rung_ops.release import signing

    code = 1 if audit else signing.create_keys([])
    private, public = private_key_file(), public_key_file()
    try:
        signing.make_pair(private, public)
    except FileExistsError as error:
        print(
            f"{shown(Path(str(error)))} is there already, and was left alone: what was signed with "
            "it could not be verified with another. To change keys on purpose, verify the log "
            f"(`uv run poe audit-log`), keep a copy of it with {shown(public)}, and move the keys "
            "and the anchors away.",
            file=sys.stderr,
        )
        return code
    print(f"{shown(private)} signs the audit log: keep it secret; git ignores it")
    print(f"{shown(public)} verifies the audit log: commit it")
    print(f"where the service runs and in CI: the text of {shown(private)} as {VARIABLE}")
    print(f"where it has to be one line: `{key_names.ONE_LINE.format(path=shown(private))}`")
    return 0
