"""Sign a release with the model-signing library, in the format of OpenSSF Model Signing."""

import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

from rung_ops.model.bundle import SIGNATURE


class BadKey(Exception):
    """The private key cannot sign; the message says why."""


def sign(folder: Path, private_key: bytes) -> None:
    """Sign all files of a folder and write the signature into the folder.

    Args:
        folder: of the release; its name becomes the signed subject's name.
        private_key: PEM text of an EC P-256 key without a password.

    Raises:
        BadKey: the key is of another kind.
    """
    public_key_of(private_key)  # raises BadKey
    config = signing.Config().set_hashing_config(every_file())
    # The library reads the key only from a file. Only the current user can enter this folder; Windows
    # opens no temporary file a second time.
    with tempfile.TemporaryDirectory() as closed:
        file = Path(closed) / "key.pem"
        file.write_bytes(private_key)
        config.use_elliptic_key_signer(private_key=file)
    config.sign(folder, folder / SIGNATURE)


def new_key() -> bytes:
    """Create an EC P-256 private key; return its PEM text."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def every_file() -> hashing.Config:
    """Return a configuration that hashes every file but the signature, also git's own files."""
    return hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def public_key_of(private_key: bytes) -> bytes:
    """Derive the PEM text of the public key.

    Raises:
        BadKey: the private key is not an EC P-256 key in PEM without a password.
    """
    try:
        key = serialization.load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError) as error:
        raise BadKey(f"The private key is not valid PEM without a password: {error}") from error
    if getattr(getattr(key, "curve", None), "name", "") != "secp256r1":
        raise BadKey("The private key is not an EC P-256 key. `uv run poe keys` creates one.")
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
