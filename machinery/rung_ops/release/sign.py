"""Sign the releases that `poe release --unsigned FOLDER` wrote: `rung-ops sign FOLDER`.

The job of CI that holds the private key runs this and nothing else. It hashes files and imports none of
them, so neither the project nor a release can read the key.
"""

import argparse
import sys
from pathlib import Path

from rung_ops.model import bundle
from rung_ops.model.bundle import MANIFEST, SIGNATURE, BundleError
from rung_ops.model.verification import verify
from rung_ops.release import keys, signing
from rung_ops.system.printable import printable


def check(folder: Path) -> None:
    """Compare an unsigned release with its own manifest.

    Raises:
        BundleError: it is signed already, or its files are not those that the manifest lists.
    """
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
    """Sign every release of a folder, or none; return their ids.

    Raises:
        BundleError: there is none, or one cannot be signed.
        signing.BadKey: the key cannot sign.
    """
    releases = sorted(folder.glob("[!.]*"))
    if not releases:
        raise BundleError(
            f"{folder} holds no release: `poe release --unsigned {folder}` writes one."
        )
    for release in releases:
        check(release)
    public_key = signing.public_key_of(private_key)
    for release in releases:
        signing.sign(release, private_key)
        verify(release, public_key)
    return [release.name for release in releases]


def main(arguments: list[str] | None = None) -> int:
    """Sign; return the exit code."""
    parser = argparse.ArgumentParser(prog="rung-ops sign", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds the unsigned releases, a folder each")
    folder = parser.parse_args(arguments).folder
    try:
        names = sign_all(folder, keys.private_key())
    except (BundleError, keys.NoKey, signing.BadKey, OSError) as error:
        print(f"Nothing was signed. {printable(str(error))}", file=sys.stderr)
        return 1
    for name in names:
        print(f"signed {printable(name)}")
    return 0
