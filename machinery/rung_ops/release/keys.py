"""Create the key pair that signs releases, and read its private key: `uv run poe keys`."""

import argparse
import os
import sys
from pathlib import Path

from rung_ops.project import current, release_folders
from rung_ops.project.paths import shown
from rung_ops.release import secret
from rung_ops.release.signing import new_key, public_key_of
from rung_ops.system import key_names


def private_key_file() -> Path:
    """Return the path of the private key that signs releases."""
    return current().repository / ".keys/release.pem"


VARIABLE = key_names.RELEASE
MAKE = "`uv run poe keys`"


class NoKey(Exception):
    """The private key is missing or does not match release.pub; the message says what to do."""


def private_key() -> bytes:
    """Read the private key from $RELEASE_PRIVATE_KEY, or else from .keys/release.pem.

    Returns:
        PEM text.

    Raises:
        NoKey: there is no private key, or it does not belong to the public key.
        signing.BadKey: it cannot sign.
    """
    text = secret.read(VARIABLE)
    where = VARIABLE if text else shown(private_key_file())
    if not text and private_key_file().is_file():
        text = private_key_file().read_bytes()
    if not text:
        raise NoKey(
            f"There is no key to sign with: {shown(private_key_file())} is missing, and {VARIABLE} is not "
            f"set. {MAKE} creates a key pair and explains what CI needs."
        )
    public = release_folders.public_key()
    if not public.is_file():
        raise NoKey(
            f"{shown(public)} is missing, and the service trusts no other key. Restore it from "
            f"git, or remove {where} and create a new pair with {MAKE}."
        )
    if public.read_bytes().split() != public_key_of(text).split():
        raise NoKey(
            f"The key in {where} does not belong to {shown(public)}, which the service trusts. "
            "Use the private key of that pair."
        )
    return text


def make(private: Path, public: Path) -> None:
    """Create a pair of EC P-256 keys in PEM; only the owner can read the private one.

    Raises:
        FileExistsError: one of the files exists; releases signed with it would become invalid.
    """
    for path in (private, public):
        if path.exists():
            raise FileExistsError(path)
    text = new_key()
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    public.write_bytes(public_key_of(text))


def main(arguments: list[str] | None = None) -> int:
    """Create the pair; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe keys", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    private, public = private_key_file(), release_folders.public_key()
    try:
        make(private, public)
    except FileExistsError as error:
        print(
            f"{shown(Path(str(error)))} exists and was not changed: with another key, the service "
            "would refuse releases that were signed with it. To change keys on purpose, move "
            f"{shown(private)} and {shown(public)} away, run {MAKE} and release again.",
            file=sys.stderr,
        )
        return 1
    print(f"{shown(private)} signs: keep it secret; git ignores it")
    print(f"{shown(public)} verifies: commit it, the service reads it")
    print(
        f"in CI: put the text of {shown(private)} into a secret named {VARIABLE} of the environment "
        "`signing`"
    )
    print(f"if a secret must be one line: `{secret.ONE_LINE.format(path=shown(private))}`")
    return 0
