"""Files of the prediction log at rest: Parquet, encrypted as a whole where there is a key.

LOG_KEYS="2027:KEY, 2026:KEY" lists keys by name, each 32 bytes in base64, or LOG_KEYS_FILE names a
file with one in each line. The first encrypts (AES-256-GCM); all of them decrypt, so a key that is
replaced stays in the list until retention has deleted the files that it encrypted.
"""

import base64
import binascii
import io
import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from rung_ops.errors import SettingsError, StageError
from rung_ops.system import key_names, tokens

MAKING = (
    '`python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"` makes one'
)
# Before the name of the key, its length in one byte; then the nonce and the encrypted file.
MAGIC = b"RUNGLOG1"
NONCE_BYTES = 12
KEY_BYTES = 32


class SealedError(OSError, StageError):
    """A file cannot be encrypted or decrypted; the message says why."""


def keys() -> dict[str, bytes]:
    """Read the keys by name, the one that encrypts first; empty if nothing is encrypted.

    Raises:
        SealedError: the list cannot be read; the message holds no key.
    """
    try:
        listed = tokens.named(key_names.LOG)
        keys = {name: base64.b64decode(key, validate=True) for key, name in listed.items()}
    except (SettingsError, binascii.Error) as error:
        raise SealedError(f"{key_names.LOG} cannot be read: {error}") from error
    for name, key in keys.items():
        if len(key) != KEY_BYTES or not 0 < len(name.encode()) < 256:
            raise SealedError(
                f"{key_names.LOG}: {name} is not {KEY_BYTES} bytes in base64. {MAKING}"
            )
    return keys


def require(encrypted: bool) -> None:
    """Refuse to log if encryption is required and there is no key."""
    if not keys() and encrypted:
        raise SealedError(
            "`encrypted` under [log] in ops/service.toml asks for a key: set "
            f'{key_names.LOG}="NAME:KEY". {MAKING}'
        )


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write a file of the log, encrypted where there is a key."""
    if not keys():
        frame.write_parquet(path, compression="zstd")
        return
    written = io.BytesIO()
    frame.write_parquet(written, compression="zstd")
    path.write_bytes(seal(written.getvalue()))


def seal(content: bytes) -> bytes:
    """Encrypt where there is a key."""
    held = keys()
    if not held:
        return content
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # not where nothing is encrypted

    name, key = next(iter(held.items()))
    header, nonce = MAGIC + bytes([len(name.encode())]) + name.encode(), os.urandom(NONCE_BYTES)
    return header + nonce + AESGCM(key).encrypt(nonce, content, header)


def is_sealed(path: Path) -> bool:
    """Tell whether a file is encrypted."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read(path: Path) -> pl.DataFrame:
    """Read a file of the log, or another one of Parquet.

    Raises:
        SealedError: it is encrypted with a key that is not there, or was changed since.
    """
    if not is_sealed(path):
        return pl.read_parquet(path, hive_partitioning=False)
    return pl.read_parquet(io.BytesIO(unseal(path.read_bytes(), path)))


def unseal(content: bytes, path: Path) -> bytes:
    """Decrypt what seal() made, as read(); what is not encrypted is returned as it is."""
    if not content.startswith(MAGIC):
        return content
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    start = len(MAGIC) + 1
    end = start + content[len(MAGIC)] if len(content) >= start else len(content)
    name, header = content[start:end].decode(errors="replace"), content[:end]
    key = keys().get(name)
    if key is None:
        raise SealedError(f"{path} is encrypted with the key {name!r}, which {key_names.LOG} lacks")
    nonce, encrypted = content[end : end + NONCE_BYTES], content[end + NONCE_BYTES :]
    try:
        return AESGCM(key).decrypt(nonce, encrypted, header)
    except (InvalidTag, ValueError) as error:
        raise SealedError(f"{path} was not encrypted with this key {name!r}, or changed") from error


def scan(paths: Sequence[Path]) -> pl.LazyFrame:
    """Read files of the log with the same columns; the encrypted ones are decrypted at once."""
    sealed = dict.fromkeys(filter(is_sealed, paths))
    frames = [read(path).lazy() for path in sealed]
    if plain := [path for path in paths if path not in sealed]:
        frames.append(pl.scan_parquet(plain, hive_partitioning=False))
    return pl.concat(frames)
