"""Decide whether a release is what the holder of the private key signed, before it is loaded.

The signature is one of OpenSSF Model Signing: a DSSE envelope in a Sigstore bundle, which lists
the hash of every file. The model-signing library verifies the same, and takes half a second and
30 MB more to be imported, which a service pays at each start.
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

from rung_ops.release.bundle import (
    MANIFEST,
    SIGNATURE,
    BadBundle,
    digest,
    parse_json,
    parse_manifest,
    paths_of,
    read_small,
)

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"


def verify(folder: Path, public_key: bytes) -> dict[str, Any]:
    """Check signature, files and manifest of a release.

    Args:
        folder: the release.
        public_key: PEM text of an EC P-256 key, as in release.pub.

    Returns:
        The manifest.

    Raises:
        BadBundle: it is unsigned, signed by another key, changed since, or holds anything else
            than what was signed.
    """
    paths = paths_of(folder)
    if SIGNATURE not in paths:
        raise BadBundle(
            f"{folder.name} is not signed: {SIGNATURE} is missing. "
            "`uv run poe release` writes signed releases."
        )
    signed = _signed_files(folder, _signed_payload(folder, _key(public_key)))
    manifest_text = read_small(folder / MANIFEST)
    there = {
        path: hashlib.sha256(manifest_text).hexdigest() if path == MANIFEST else None
        for path in paths
        if path != SIGNATURE
    }
    for path in sorted(there.keys() | signed.keys()):
        if path not in signed:
            raise BadBundle(f"{folder.name}: {path} is there and was not signed")
        if path not in there:
            raise BadBundle(f"{folder.name}: {path} was signed and is missing")
        if (there[path] or digest(folder / path)) != signed[path]:
            raise BadBundle(f"{folder.name}: {path} was changed after it was signed")
    manifest = parse_manifest(folder, manifest_text)
    if manifest["files"] != {path: hash_ for path, hash_ in signed.items() if path != MANIFEST}:
        raise BadBundle(f"{folder.name}: the table of files in {MANIFEST} is not what was signed")
    return manifest


def _key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadBundle(
            f"The public key is no PEM text ({error}). `uv run poe keys` makes a pair of keys."
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise BadBundle("The public key is no EC P-256 key. `uv run poe keys` makes one.")
    return key


def _signed_payload(folder: Path, key: ec.EllipticCurvePublicKey) -> bytes:
    """Check the envelope's signature and return what it covers."""
    signature = parse_json(folder / SIGNATURE, read_small(folder / SIGNATURE))
    try:
        media_type = signature["mediaType"]
        envelope = signature["dsseEnvelope"]
        payload_type = envelope["payloadType"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        (written,) = envelope["signatures"]
        proof = base64.b64decode(written["sig"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise BadBundle(f"{folder.name}/{SIGNATURE} is no signature of a model") from error
    if (media_type, payload_type) != (MEDIA_TYPE, PAYLOAD_TYPE):
        raise BadBundle(f"{folder.name}/{SIGNATURE} is of another kind: {media_type!s:.80}")
    # DSSE's pre-authentication encoding: the type is signed too.
    kind = payload_type.encode()
    covered = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    try:
        key.verify(proof, covered, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise BadBundle(
            f"{folder.name} was not signed with the private key that belongs to this public key, "
            f"or {SIGNATURE} was changed"
        ) from None
    return payload


def _signed_files(folder: Path, payload: bytes) -> dict[str, str]:
    """Take the table of files out of the signed statement: path to SHA-256."""
    broken = BadBundle(f"{folder.name}/{SIGNATURE} signs something else than the files of a model")
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
        whole = subject["digest"]["sha256"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise broken from error
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE) or how != ("files", "sha256"):
        raise broken
    # A path that leaves the folder needs no rule of its own: only files found below the folder
    # are ever compared, so such a path counts as missing.
    if total.hexdigest() != whole or MANIFEST not in files:
        raise broken
    return files
