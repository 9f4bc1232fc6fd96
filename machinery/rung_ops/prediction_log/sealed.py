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

from rung_ops.errors import StageError
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
    except (tokens.TokensError, binascii.Error) as error:
        raise SealedError(f"{key_names.LOG} cannot be read: {error}") from error
    for name, key in keys.items():
        if len(key) != KEY_BYTES or not 0 < len(name.encode()) < 256:
            raise SealedError(
                f"{key_names.LOG}: {name} is not {KEY_BYTES} bytes in base64. {MAKING}"
            )
    return keys


def require(encrypted: bool) -> None:
    """Refuse to log if encryption is required and there is no key.

    Raises:
        SealedError: there is none, or the list of keys cannot be read.
    """
    if not keys() and encrypted:
        raise SealedError(
            "`encrypted` under [log] in ops/service.toml asks for a key: set "
            f'{key_names.LOG}="NAME:KEY". {MAKING}'
        )


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write a file of the log, encrypted where there is a key.

    Raises:
        SealedError: the keys cannot be read.
        OSError, polars.exceptions.PolarsError: it could not be written.
    """
    held = keys()
    if not held:
        frame.write_parquet(path, compression="zstd")
        return
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # not where nothing is encrypted

    name, key = next(iter(held.items()))
    written = io.BytesIO()
    frame.write_parquet(written, compression="zstd")
    header, nonce = MAGIC + bytes([len(name.encode())]) + name.encode(), os.urandom(NONCE_BYTES)
    path.write_bytes(header + nonce + AESGCM(key).encrypt(nonce, written.getvalue(), header))


def is_sealed(path: Path) -> bool:
    """Tell whether a file is encrypted."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read(path: Path) -> pl.DataFrame:
    """Read a file of the log, or another one of Parquet.

    Raises:
        SealedError: it is encrypted with a key that is not there, or was changed since.
        OSError, polars.exceptions.PolarsError: it cannot be read.
    """
    if not is_sealed(path):
        return pl.read_parquet(path, hive_partitioning=False)
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    content = path.read_bytes()
    start = len(MAGIC) + 1
    end = start + content[len(MAGIC)] if len(content) >= start else len(content)
    name, header = content[start:end].decode(errors="replace"), content[:end]
    key = keys().get(name)
    if key is None:
        raise SealedError(f"{path} is encrypted with the key {name!r}, which {key_names.LOG} lacks")
    nonce, encrypted = content[end : end + NONCE_BYTES], content[end + NONCE_BYTES :]
    try:
        return pl.read_parquet(io.BytesIO(AESGCM(key).decrypt(nonce, encrypted, header)))
    except (InvalidTag, ValueError) as error:
        raise SealedError(f"{path} was not encrypted with this key {name!r}, or changed") from error


def scan(paths: Sequence[Path]) -> pl.LazyFrame:
    """Read files of the log with the same columns; the encrypted ones are decrypted at once.

    Raises:
        as read().
    """
    sealed = {path for path in paths if is_sealed(path)}
    plain = [path for path in paths if path not in sealed]
    frames = [read(path).lazy() for path in paths if path in sealed]
    if plain:
        frames.append(pl.scan_parquet(plain, hive_partitioning=False))
    return frames[0] if len(frames) == 1 else pl.concat(frames)
