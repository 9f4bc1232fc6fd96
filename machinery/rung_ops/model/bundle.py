"""The bundle of a release: a folder of files with a manifest of their hashes, and a signature over these.

Anyone who can write to the folder of releases may replace a file between its verification and its use.
So nothing of a verified release is used by its path: ReleaseFiles.read() and copy() hash the very
bytes that they return.

The signature follows OpenSSF Model Signing: a DSSE envelope in a Sigstore bundle, which lists the
hash of every file. The model-signing library verifies the same, but importing it costs a service
half a second and 30 MB at each start.

The source of a model has a hash of its own: of a release, of a folder, and of a commit. The three are equal
where the files are. A validator signs that of the commit, and the service compares that of the release with
it: neither believes what another tool has unpacked.
"""

import base64
import binascii
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung_ops.errors import OpsError
from rung_ops.project import paths
from rung_ops.system import git
from rung_ops.system.files import read_regular, sha256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

SCHEMA = 1  # version of the manifest; readers refuse others

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
CONTRACT = "contract.json"
SOURCE = "src"
METRICS = "metrics.json"
SLICES = "slices.json"
COMPARISON = "comparison.json"
CARD = "card.md"
REFERENCE = "reference.parquet"
PARITY = "parity.parquet"
REASONS = "reasons.json"

# Keys of a version's origin, as the manifest records them.
FACTS = (
    *("model", "version", "run_id", "git_commit", "git_author", "git_dirty"),
    *("data_hash", "params_hash"),
)
# Those that versions of an earlier library do not have.
LATER_FACTS = ("git_trainer", "model_hash", "predictions_hash", "refit_hash")

# The model, in one of four formats. ONNX: one input [None, 1] for each feature, by its name,
# of type float, double or string; the first output is the prediction: [None, 2] with the
# probability of the positive class last, or [None, 1] with the value; for the task of several
# classes [None, n_classes] with their probabilities, in the order of contract.json's `classes`.
ONNX = "model.onnx"
# LightGBM's own text format; its inputs are the columns that the encoder describes.
LIGHTGBM = "model.txt"
ENCODER = "encoder.json"
# The estimator; its input is the frame of features. Types that skops does not trust are loaded
# only if TRUSTED in src/<package>/model.py lists them.
SKOPS = "model.skops"
# A file or folder that save() in src/<package>/model.py wrote; its load() reads it.
CUSTOM = "model.custom"

# Replaces a missing text in ONNX, which has no missing texts: a private-use character, which no
# real value contains.
MISSING_TEXT = "\ue000"

MAX_FILES = 2_000
MAX_BYTES = 4 * 1024**3
MAX_JSON_BYTES = 8 * 1024**2  # of manifest.json, contract.json and model.sig each

# Required keys of the manifest.
REQUIRED: dict[str, type] = dict.fromkeys(
    ("id", "model", "version", "git_commit", "data_hash", "created", "package", "format", "task"),
    str,
) | dict.fromkeys(("parity", "files"), dict)


class BundleError(OpsError):
    """The folder is not a valid release; the message says why and what to do."""


def release_id(version: str | int, commit: str, data_hash: str) -> str:
    """Return the id of a release: registered version, commit and data hash, shortened."""
    return f"v{version}-{commit[:8]}-{data_hash[:6]}"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read manifest.json without verifying its signature; verify() does that."""
    return parse_manifest(folder, read_small(folder / MANIFEST))


def parse_manifest(folder: Path, content: bytes) -> dict[str, Any]:
    """Parse manifest.json and check its required keys."""
    manifest = parse_json(folder / MANIFEST, content)
    if manifest.get("schema") != SCHEMA:
        raise BundleError(
            f"{folder.name}/{MANIFEST}: got schema {manifest.get('schema')!r}; expected {SCHEMA}. "
            "Release the version again with `uv run poe release`."
        )
    for name, kind in REQUIRED.items():
        if not isinstance(manifest.get(name), kind):
            raise BundleError(
                f"{folder.name}/{MANIFEST}: `{name}` is missing or not a {kind.__name__}"
            )
    return manifest


def known_until(manifest: Mapping[str, Any]) -> tuple[str, datetime | None]:
    """Return since when the world may have changed without a release knowing, and what was then."""
    # Rows that judged the release count as well: it could not have been made of newer ones. Releases of
    # earlier versions say only which row was the last to train on.
    if manifest.get("data_until"):
        return "the newest row when the model was made", moment(manifest["data_until"])
    if manifest.get("trained_until"):
        return "the newest row the model learned from", moment(manifest["trained_until"])
    return "the model", moment(manifest["created"])


def moment(value: str | date | datetime | None) -> datetime | None:
    """Read a moment, as UTC where it names no zone; a day counts from its beginning."""
    if value is None:
        return None
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def read_small(path: Path) -> bytes:
    """Read a regular file of at most MAX_JSON_BYTES."""
    return ReleaseFiles(path.parent).read(path.name, MAX_JSON_BYTES)


def parse_json(path: Path, content: bytes) -> dict[str, Any]:
    """Parse the JSON object of a file."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path.parent.name}/{path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BundleError(f"{path.parent.name}/{path.name} is not a JSON object")
    return value


def files_of(folder: Path) -> dict[str, str]:
    """Hash every file of a release but the signature and the manifest.

    Returns:
        SHA-256 in hexadecimal by path, relative to the folder, with slashes; sorted.
    """
    signed = (path for path in paths_of(folder) if path not in (MANIFEST, SIGNATURE))
    return {path: digest(folder / path) for path in signed}


def paths_of(folder: Path) -> list[str]:
    """List every file below a folder, relative to it and with slashes; sorted.

    Raises:
        BundleError: it has a link or a special file, exceeds MAX_FILES or MAX_BYTES, or changes
            while it is listed.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise BundleError(f"{folder.name} is not a folder")
    try:
        return _listed(folder)
    except OSError as error:  # a file may go between its name and its size
        raise BundleError(f"{folder.name} cannot be listed: {error}") from error


def _listed(folder: Path) -> list[str]:
    found: list[str] = []
    total = 0
    folders = [""]
    while folders:
        parent = folders.pop()
        with os.scandir(folder / parent) as entries:
            for entry in entries:
                path = f"{parent}/{entry.name}" if parent else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif entry.is_file(follow_symlinks=False):
                    found.append(path)
                    total += entry.stat(follow_symlinks=False).st_size
                else:
                    raise BundleError(f"{folder.name}: {path} is a link or not a regular file")
                if len(found) + len(folders) > MAX_FILES or total > MAX_BYTES:
                    raise BundleError(
                        f"{folder.name} has more than {MAX_FILES:,} files "
                        f"or {MAX_BYTES / 1024**3:.0f} GiB"
                    )
    return sorted(found)


def digest(path: Path) -> str:
    """Hash a file with SHA-256, in hexadecimal."""
    try:
        return sha256(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}") from error


class ReleaseFiles:
    """The files of a folder: those of a verified release, or of one that is still being made.

    Attributes:
        folder: where they lie.
        is_verified: they are checked each time that they are read.
    """

    def __init__(self, folder: Path, hashes: Mapping[str, str] | None = None) -> None:
        """Describe a folder by the SHA-256 of each signed file; None if none was signed."""
        self.folder = folder
        self.is_verified = hashes is not None
        self._hashes = hashes or {}

    @classmethod
    def wrap(cls, release: "Path | ReleaseFiles") -> "ReleaseFiles":
        """Return the files of a release; those of a folder are not verified."""
        return release if isinstance(release, ReleaseFiles) else cls(release)

    @property
    def name(self) -> str:
        """The name of the folder, which is the id of a release."""
        return self.folder.name

    def __contains__(self, path: str) -> bool:
        """Return whether the release has a file."""
        return path in self._hashes if self.is_verified else (self.folder / path).is_file()

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        """Read a file, named with slashes.

        Raises:
            BundleError: it is missing, larger than `limit` bytes, not a regular file, or not what
            was signed.
        """
        name = f"{self.folder.name}/{path}"
        try:
            content = read_regular(self.folder / path, limit)
        except FileNotFoundError:
            raise BundleError(f"{name} is missing") from None
        except OSError as error:
            raise BundleError(f"{name} cannot be read: {error}") from error
        if self.is_verified and hashlib.sha256(content).hexdigest() != self._hashes.get(path):
            raise BundleError(f"{self.folder.name}: {path} was changed after it was signed")
        return content

    def json(self, path: str) -> dict[str, Any]:
        """Read the JSON object of a file of at most MAX_JSON_BYTES."""
        return parse_json(self.folder / path, self.read(path, MAX_JSON_BYTES))

    def below(self, prefix: str) -> list[str]:
        """List the files below a folder of the release, or the file of that name; sorted."""
        if self.is_verified:
            return sorted(p for p in self._hashes if p == prefix or p.startswith(f"{prefix}/"))
        folder = self.folder / prefix
        files = [path for path in (folder, *folder.rglob("*")) if path.is_file()]
        return sorted(path.relative_to(self.folder).as_posix() for path in files)

    def copy(self, prefix: str) -> "PrivateCopy":
        """Copy a file or a folder to a place that only this process uses."""
        return PrivateCopy({path: self.read(path) for path in self.below(prefix)})


class PrivateCopy:
    """Files in a temporary folder, which is removed with the last reference to this object.

    Attributes:
        folder: readable by this user only.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        # Its finalizer removes the folder, at the latest when the process ends.
        self._temporary = tempfile.TemporaryDirectory(prefix="release-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        for path, content in contents.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MAX_KEY_BYTES = 64_000


def public_key() -> bytes:
    """Read the key that releases are verified with."""
    path = paths.public_key()
    try:
        return read_regular(path, MAX_KEY_BYTES, follow=True)  # a mounted secret is a link
    except OSError as error:
        raise BundleError(
            f"the public key {path} cannot be read ({error.strerror or error}): "
            "`uv run poe keys` makes one"
        ) from error


def verify(folder: Path, key: bytes) -> dict[str, Any]:
    """Check a release as open_verified() does; return its manifest."""
    return open_verified(folder, key)[0]


def open_verified(folder: Path, key: bytes) -> tuple[dict[str, Any], ReleaseFiles]:
    """Check the signature, the files and the manifest of a release.

    Returns:
        The manifest, and the files, which are checked again whenever they are read.

    Raises:
        BundleError: it is unsigned, signed by another key, or its files are not those that were
        signed.
    """
    listed = paths_of(folder)
    if SIGNATURE not in listed:
        raise BundleError(
            f"{folder.name} is not signed: {SIGNATURE} is missing. "
            "`uv run poe release` writes signed releases."
        )
    signed = _signed_files(folder, _signed_payload(folder, _key(key)))
    manifest_text = read_small(folder / MANIFEST)
    present = {
        path: hashlib.sha256(manifest_text).hexdigest() if path == MANIFEST else None
        for path in listed
        if path != SIGNATURE
    }
    for path in sorted(present.keys() | signed.keys()):
        if path not in signed:
            raise BundleError(f"{folder.name}: {path} was not signed")
        if path not in present:
            raise BundleError(f"{folder.name}: {path} was signed and is missing")
        if (present[path] or digest(folder / path)) != signed[path]:
            raise BundleError(f"{folder.name}: {path} was changed after it was signed")
    manifest = parse_manifest(folder, manifest_text)
    if manifest["files"] != {path: hash_ for path, hash_ in signed.items() if path != MANIFEST}:
        raise BundleError(f"{folder.name}: `files` in {MANIFEST} is not the list that was signed")
    return manifest, ReleaseFiles(folder, signed)


def _key(pem: bytes) -> "ec.EllipticCurvePublicKey":
    # Imported here: who only reads a bundle need not wait for it.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BundleError(
            f"The public key is not valid PEM ({error}). `uv run poe keys` creates a key pair."
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise BundleError("The public key is not an EC P-256 key. `uv run poe keys` creates one.")
    return key


def _signed_payload(folder: Path, key: "ec.EllipticCurvePublicKey") -> bytes:
    """Check the signature of the envelope; return its payload."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    signature = parse_json(folder / SIGNATURE, read_small(folder / SIGNATURE))
    try:
        media_type = signature["mediaType"]
        envelope = signature["dsseEnvelope"]
        payload_type = envelope["payloadType"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        (entry,) = envelope["signatures"]
        signature_bytes = base64.b64decode(entry["sig"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise BundleError(f"{folder.name}/{SIGNATURE} is not a model signature") from error
    if (media_type, payload_type) != (MEDIA_TYPE, PAYLOAD_TYPE):
        raise BundleError(
            f"{folder.name}/{SIGNATURE}: got media type {media_type!s:.80}; expected {MEDIA_TYPE}"
        )
    # DSSE's pre-authentication encoding: the type is signed too.
    kind = payload_type.encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    try:
        key.verify(signature_bytes, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise BundleError(
            f"{folder.name} was signed with another private key, or {SIGNATURE} was changed"
        ) from None
    return payload


def _signed_files(folder: Path, payload: bytes) -> dict[str, str]:
    """Parse the signed statement; return the SHA-256 of each file by its path."""
    broken = BundleError(f"{folder.name}/{SIGNATURE} does not sign the files of a model")
    try:
        statement = json.loads(payload)
        serialization_ = statement["predicate"]["serialization"]
        kinds = statement["_type"], statement["predicateType"]
        how = serialization_["method"], serialization_["hash_type"]
        (subject,) = statement["subject"]
        total = hashlib.sha256()
        files: dict[str, str] = {}
        for resource in statement["predicate"]["resources"]:
            name, value = resource["name"], resource["digest"]
            if resource["algorithm"] != "sha256" or not isinstance(name, str) or name in files:
                raise broken
            files[name] = str(value)
            total.update(bytes.fromhex(value))
        subject_digest = subject["digest"]["sha256"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise broken from error
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE) or how != ("files", "sha256"):
        raise broken
    # A path outside the folder counts as missing: only files below the folder are compared.
    if total.hexdigest() != subject_digest or MANIFEST not in files:
        raise broken
    return files


def source_hash(files: Mapping[str, str]) -> str:
    """Hash the source of a release; `files` has the SHA-256 by path, as in its manifest."""
    source = {path: hash_ for path, hash_ in files.items() if path.startswith(f"{SOURCE}/")}
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()


def source_hash_of_folder(root: Path, package: str) -> str:
    """Hash a package as it is in src/ of a model's folder."""
    folder = root / SOURCE / package
    return source_hash(
        {
            path.relative_to(root).as_posix(): digest(path)
            for path in folder.rglob("*")
            if path.is_file() and not left_out(path.relative_to(folder).parts)
        }
    )


def source_hash_of_commit(root: Path, commit: str, package: str) -> str:
    """Hash a package as a commit has it; empty if this clone lacks the commit."""
    try:
        return source_hash(dict(_blobs(root, commit, f"{SOURCE}/{package}")))
    except git.GitError:
        return ""


def _blobs(root: Path, commit: str, folder: str) -> Iterator[tuple[str, str]]:
    """Hash the files of a folder as they were committed, without filters and attributes."""
    run = partial(git.content, root, *git.NO_GRAPH, variables=git.PLAIN)
    listed = run("ls-tree", "-r", "-z", commit, "--", folder).decode()
    for entry in filter(None, listed.split("\0")):
        about, path = entry.split("\t", 1)
        if not left_out(path.removeprefix(f"{folder}/").split("/")):
            yield path, hashlib.sha256(run("cat-file", "blob", about.split()[2])).hexdigest()


def left_out(names: Iterable[str]) -> set[str]:
    """Say which names of files and folders below a package no release carries."""
    return {name for name in names if name == "__pycache__" or name.startswith(".")}
