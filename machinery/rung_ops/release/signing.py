"""Keys and signatures of releases, in the format of OpenSSF Model Signing (library model-signing)."""

import os
import tempfile
from pathlib import Path

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

from rung_ops.command import verb
from rung_ops.errors import OpsError, VersionError
from rung_ops.model import bundle
from rung_ops.model.bundle import MANIFEST, SIGNATURE, BundleError, verify
from rung_ops.project import current, paths
from rung_ops.project.paths import shown
from rung_ops.system import key_names
from rung_ops.system.printable import printable


def private_key_file() -> Path:
    """Return the path of the private key that signs releases."""
    return current().repository / ".keys/release.pem"


VARIABLE = key_names.RELEASE
MAKE = "`uv run poe keys`"


def private_key() -> bytes:
    """Read the private key, as PEM text, from $RELEASE_PRIVATE_KEY, or else from .keys/release.pem."""
    text = key_names.key_from(VARIABLE)
    where = VARIABLE if text else shown(private_key_file())
    if not text and private_key_file().is_file():
        text = private_key_file().read_bytes()
    if not text:
        raise VersionError(
            f"There is no key to sign with: {shown(private_key_file())} is missing, and {VARIABLE} is not "
            f"set. {MAKE} creates a key pair and explains what CI needs."
        )
    public = paths.public_key()
    if not public.is_file():
        raise VersionError(
            f"{shown(public)} is missing, and the service trusts no other key. Restore it from "
            f"git, or remove {where} and create a new pair with {MAKE}."
        )
    if public.read_bytes().split() != public_key_of(text).split():
        raise VersionError(
            f"The key in {where} does not belong to {shown(public)}, which the service trusts. "
            "Use the private key of that pair."
        )
    return text


def make_pair(private: Path, public: Path) -> None:
    """Create a pair of EC P-256 keys in PEM, the private one for its owner alone, where neither exists."""
    for path in (private, public):
        if path.exists():
            raise FileExistsError(path)
    text = new_key()
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    public.write_bytes(public_key_of(text))


@verb("poe keys")
def create_keys() -> int:
    """Create the key pair that signs releases."""
    private, public = private_key_file(), paths.public_key()
    try:
        make_pair(private, public)
    except FileExistsError as error:
        raise OpsError(
            f"{shown(Path(str(error)))} exists and was not changed: with another key, the service "
            "would refuse releases that were signed with it. To change keys on purpose, move "
            f"{shown(private)} and {shown(public)} away, run {MAKE} and release again."
        ) from error
    print(f"{shown(private)} signs: keep it secret; git ignores it")
    print(f"{shown(public)} verifies: commit it, the service reads it")
    print(
        f"in CI: put the text of {shown(private)} into a secret named {VARIABLE} of the environment "
        "`signing`"
    )
    print(f"if a secret must be one line: `{key_names.ONE_LINE.format(path=shown(private))}`")
    return 0


def sign(folder: Path, private_key: bytes) -> None:
    """Sign all files of a folder and write the signature into it; the folder's name is the subject's."""
    public_key_of(private_key)  # raises VersionError
    # Every file but the signature, also git's own files.
    hashed = hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
    config = signing.Config().set_hashing_config(hashed)
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


def public_key_of(private_key: bytes) -> bytes:
    """Derive the PEM text of the public key of an EC P-256 key in PEM without a password."""
    try:
        key = serialization.load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError) as error:
        raise VersionError(
            f"The private key is not valid PEM without a password: {error}"
        ) from error
    if getattr(getattr(key, "curve", None), "name", "") != "secp256r1":
        raise VersionError("The private key is not an EC P-256 key. `uv run poe keys` creates one.")
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def check_unsigned(folder: Path) -> None:
    """Refuse a release that is signed already, or whose files are not those of its manifest."""
    if SIGNATURE in bundle.paths_of(folder):
        raise BundleError(f"{folder.name} has a signature already: {SIGNATURE}")
    manifest = bundle.read_manifest(folder)
    if manifest["id"] != folder.name:
        raise BundleError(f"{folder.name} is release {manifest['id']} under another name")
    listed, present = manifest["files"], bundle.files_of(folder)
    for path in sorted(listed.keys() | present.keys()):
        if listed.get(path) != present.get(path):
            raise BundleError(f"{folder.name}: {path} is not the file that {MANIFEST} lists")


def sign_all(folder: Path, private_key: bytes) -> list[str]:
    """Sign every release of a folder, or none; return their ids."""
    releases = sorted(folder.glob("[!.]*"))
    if not releases:
        raise BundleError(
            f"{folder} holds no release: `poe release --unsigned {folder}` writes one."
        )
    for release in releases:
        check_unsigned(release)
    public_key = public_key_of(private_key)
    for release in releases:
        sign(release, private_key)
        verify(release, public_key)
    return [release.name for release in releases]


@verb("rung-ops sign")
@click.argument("folder", type=Path)
def sign_releases(folder: Path) -> int:
    """Sign the releases of FOLDER, which `poe release --unsigned FOLDER` wrote."""
    # The job of CI that holds the private key runs this and nothing else. It hashes files and imports
    # none of them, so neither the project nor a release can read the key.
    try:
        names = sign_all(folder, private_key())
    except (BundleError, VersionError, OSError) as error:
        raise OpsError(f"Nothing was signed. {printable(str(error))}") from error
    for name in names:
        print(f"signed {printable(name)}")
    return 0
