"""Whether this model is approved, according to an image for scoring.

It has no registry, no git and no OpenSSH: only the committed records of governance/, and the folder
of the releases where that is mounted, for what happened since the image was built.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rung_governance import (
    admission,
    approval,
    bound_facts,
    keys,
    plan,
    signatures,
    signed_approval,
)
from rung_governance.signed_log import Distrusted, SignedLog
from rung_ops import contract
from rung_ops.model import bundle
from rung_ops.project import current, release_folders
from rung_ops.release import source_hash, state

IN_THE_PROJECT = "`uv run poe predict` in the project knows"
MOUNT = "mount the folder of the releases at /app/releases"


def objections() -> Iterator[str]:
    """Say why this model is not approved, as far as that is known here."""
    signers = signatures.signers_file()
    if not signers.is_file():
        yield f"no signature says here which model was validated: {IN_THE_PROJECT}"
        return
    digest = bundle.digest(current().model_file)
    allowed = signers.read_text(encoding="utf-8")
    named = [
        (path, signed)
        for path in sorted((current().root / approval.RECORDS).glob("*.approval.json"))
        if (signed := _verified(path, allowed)).get("model_file") == digest
    ]
    if not named:
        yield f"no approval that a validator has signed names this model ({digest[:12]})"
        return
    source = source_hash.of_folder(current().root, contract.package())
    reasons = [list(_lapsed(path, signed, source)) for path, signed in named]
    yield from min(reasons, key=len)  # a model that was registered twice needs one approval


def _verified(path: Path, allowed: str) -> Mapping[str, Any]:
    """Return an approval; an empty one where its signature does not count."""
    try:
        text = path.read_bytes()
        proof = signed_approval.proof_of(path).read_text(encoding="utf-8")
        return admission.verified(text, proof, allowed)
    except (OSError, ValueError, admission.NotApproved):
        return {}


def _lapsed(path: Path, signed: Mapping[str, Any], source: str) -> Iterator[str]:
    if signed.get("source_hash") != source:
        yield "src/ is not the source that was approved"
    yield from bound_facts.overdue(signed)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if signed_approval.withdrawal_of(path, digest).is_file():
        yield "its approval was withdrawn"
        return
    if not plan.path(
        current().root
    ).is_file():  # before rung 3 nothing is served, so that there is no log
        return
    folder = release_folders.environment(release_folders.PRODUCTION)
    if not (folder / state.HISTORY).is_file():
        yield f"whether its approval was withdrawn since is not known here: {MOUNT}"
        return
    log = SignedLog(folder)
    try:
        log.follow()
    except (Distrusted, keys.NoKey, OSError) as error:
        yield f"whether its approval was withdrawn since is not known: {error}"
        return
    if digest in log.withdrawn:
        yield "its approval was withdrawn"
