"""Sign a release with the model-signing library, in OpenSSF Model Signing's format."""

import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from model_signing import hashing, signing

from rung_ops.release.bundle import SIGNATURE


class BadKey(Exception):
    """The private key cannot sign; the message says why."""


def sign(folder: Path, private_key: bytes) -> None:
    """Write the signature of all files of a folder into it.

    Args:
        folder: the release; its name becomes the name of what is signed.
        private_key: PEM text of an EC P-256 key without a password.

    Raises:
        BadKey: it is none.
    """
    public_key_of(private_key)  # refuses what is no such key
    config = signing.Config().set_hashing_config(every_file())
    # The library takes the key from a file only. This one is readable by nobody else.
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(private_key)
        file.flush()
        config.use_elliptic_key_signer(private_key=file.name)
    config.sign(folder, folder / SIGNATURE)


def every_file() -> hashing.Config:
    """Have every file count but the signature; the library leaves out git's own unless told."""
    return hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def public_key_of(private_key: bytes) -> bytes:
    """Derive the PEM text of the public key.

    Raises:
        BadKey: the private key is no EC P-256 key in PEM without a password.
    """
    try:
        key = serialization.load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError) as error:
        raise BadKey(f"The private key is no PEM text without a password: {error}") from error
    if getattr(getattr(key, "curve", None), "name", "") != "secp256r1":
        raise BadKey("The private key is no EC P-256 key. `uv run poe keys` makes one.")
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
