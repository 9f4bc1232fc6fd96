"""Verify the signature of a release before it is loaded.

The signature follows OpenSSF Model Signing: a DSSE envelope in a Sigstore bundle, which lists the
hash of every file. The model-signing library verifies the same, but importing it costs a service
half a second and 30 MB at each start.
"""

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rung_ops.model.bundle import (
    MANIFEST,
    SIGNATURE,
    BundleError,
    ReleaseFiles,
    digest,
    parse_json,
    parse_manifest,
    paths_of,
    read_small,
)
from rung_ops.project import release_folders
from rung_ops.system.files import read_regular

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MAX_KEY_BYTES = 64_000


def public_key() -> bytes:
    """Read the key that releases are verified with."""
    path = release_folders.public_key()
    try:
        return read_regular(path, MAX_KEY_BYTES, follow=True)  # a mounted secret is a link
    except OSError as error:
        raise BundleError(
            f"the public key {path} cannot be read ({error.strerror or error}): "
            "`uv run poe keys` makes one"
        ) from error


def verify(folder: Path, public_key: bytes) -> dict[str, Any]:
    """Check a release as open_verified() does; return its manifest."""
    return open_verified(folder, public_key)[0]


def open_verified(folder: Path, public_key: bytes) -> tuple[dict[str, Any], ReleaseFiles]:
    """Check the signature, the files and the manifest of a release.

    Returns:
        The manifest, and the files, which are checked again whenever they are read.

    Raises:
        BundleError: it is unsigned, signed by another key, or its files are not those that were
        signed.
    """
    paths = paths_of(folder)
    if SIGNATURE not in paths:
        raise BundleError(
            f"{folder.name} is not signed: {SIGNATURE} is missing. "
            "`uv run poe release` writes signed releases."
        )
    signed = _signed_files(folder, _signed_payload(folder, _key(public_key)))
    manifest_text = read_small(folder / MANIFEST)
    present = {
        path: hashlib.sha256(manifest_text).hexdigest() if path == MANIFEST else None
        for path in paths
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


def _key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BundleError(
            f"The public key is not valid PEM ({error}). `uv run poe keys` creates a key pair."
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise BundleError("The public key is not an EC P-256 key. `uv run poe keys` creates one.")
    return key


def _signed_payload(folder: Path, key: ec.EllipticCurvePublicKey) -> bytes:
    """Check the signature of the envelope; return its payload."""
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
