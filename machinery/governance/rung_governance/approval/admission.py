"""Whether a release may answer in production: as the signed log and the validator's signature say.

It needs neither registry nor repository nor network: `poe promote` writes the signed approval into
the audit log, and the service was built with governance/allowed_signers and governance/audit.pub.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rung_governance.approval import bound_facts, signatures, ssh_signature
from rung_governance.approval.bound_facts import NotApprovedError
from rung_governance.approval.signed_log import SignedLog
from rung_ops.model import bundle
from rung_ops.release import library
from rung_ops.serving.state_reader import Objection
from rung_ops.system.files import read_regular

MAX_BYTES = 1_000_000  # of allowed_signers
# What to type if this version lacks approval, and if an earlier library let it answer.
ADD = "`uv run poe promote {version}` writes it"
AGAIN = (
    "`uv sync --reinstall` installs it as it is locked; where it was edited on purpose, release and "
    "approve again"
)
APPROVE = "`uv run poe approve {version}`, then `uv run poe promote {version}`"


class Admission:
    """Decides which releases may answer, by the log of an environment."""

    def __init__(self, log: SignedLog, signers: Path) -> None:
        self._log = log
        self._signers = signers
        self._last: tuple[object, Mapping[str, Any] | None] | None = None  # what was verified last

    def objection(self, manifest: Mapping[str, Any]) -> Objection | None:
        """Say what speaks against the release of a verified manifest."""
        release = str(manifest["id"])
        try:
            approval = self._approval(release, manifest)
        except NotApprovedError as error:
            return Objection(f"{release} may not answer: {error}")
        return self._lapsed(release, approval) or _of_library(release, manifest)

    def _lapsed(self, release: str, approval: Mapping[str, Any] | None) -> Objection | None:
        ahead = self._log.signed.ahead()
        if approval is None:  # and so nothing that expires
            return Objection(f"{release} answers, but {ahead}", False) if ahead else None
        lapsed = list(bound_facts.overdue(approval))
        text = str(self._log.signed.approvals[release]["approval"])
        if hashlib.sha256(text.encode()).hexdigest() in self._log.withdrawn:
            lapsed.append("its approval was withdrawn")
        if ahead:
            lapsed.append(ahead)
        if not lapsed:
            return None
        if approval.get("lapsed") == bound_facts.REPORT:
            return Objection(f"{release} answers, as the plan says, but {lapsed[-1]}", False)
        return Objection(f"{release} may not answer any more: {lapsed[-1]}")

    def terms(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the signed approval of a release without objection; in a team of one the log's line."""
        release = str(manifest["id"])
        return self._approval(release, manifest) or self._log.signed.approvals[release]

    def _approval(self, release: str, manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
        line = self._log.signed.approvals.get(release)
        if line is None:
            raise NotApprovedError(
                f"no signed line of the audit log approves of it: {_typed(ADD, manifest)}"
            )
        allowed = self._allowed()
        if allowed is None and self._log.signed.by_key:
            raise NotApprovedError(
                f"approvals were signed, and {signatures.SIGNERS} is missing here"
            )
        facts = line, manifest, allowed
        if self._last is None or self._last[0] != facts:
            self._last = facts, approved(*facts)
        return self._last[1]

    def _allowed(self) -> str | None:
        try:
            return read_regular(self._signers, MAX_BYTES, follow=True).decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NotApprovedError(f"{signatures.SIGNERS} cannot be read: {error}") from error


def _of_library(release: str, manifest: Mapping[str, Any]) -> Objection | None:
    """Say that another library serves a release than made it, or one that was edited."""
    found = sorted(library.differences(manifest.get("library")), key=lambda each: not each[1])
    for reason, is_edited in found:
        if is_edited:
            return Objection(f"{release} may not answer: {reason}. {AGAIN}")
        return Objection(f"{release} answers, but {reason}", refuses=False)
    return None


def approved(
    line: Mapping[str, Any], manifest: Mapping[str, Any], allowed: str | None
) -> Mapping[str, Any] | None:
    """Return the approval of a release that a validator has signed; None in a team of one.

    Args:
        line: details of the audit log's line that approves of it.
        manifest: of the release, verified.
        allowed: text of governance/allowed_signers; None if there is none.

    Raises:
        NotApprovedError: it does not count, or is not about just this release.
    """
    if allowed is None:
        if line.get("approval_hash"):
            raise NotApprovedError(
                f"its approval is signed, and {signatures.SIGNERS} is missing here"
            )
        _refuse_another_release(line, manifest)
        return None
    text, proof = line.get("approval"), line.get("approval_signature")
    if not isinstance(text, str) or not isinstance(proof, str):
        raise NotApprovedError(
            f"the audit log holds no signed approval of it: {_typed(ADD, manifest)}"
        )
    approval = verified(text.encode(), proof, allowed)
    # The files that were verified, and not what the manifest says of them.
    made_of = dict(manifest) | {"source_hash": bundle.source_hash(manifest.get("files", {}))}
    for name in ("model", "version", *bound_facts.MADE_OF):
        of, released = approval.get(name), made_of.get(name)
        if not of:
            reason = f"its approval names no {name}, as one of an earlier library"
            raise NotApprovedError(f"{reason}: {_typed(APPROVE, manifest)}")
        if of != released:
            raise NotApprovedError(f"its approval is of {name} {of}, and it is {released}")
    _refuse_another_release(line, manifest)
    return approval


def _refuse_another_release(line: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Refuse what the model was not exported to when `poe deploy` compared it with the estimator."""
    approved_hash, is_ = line.get(bound_facts.RELEASE), bound_facts.release_hash(manifest)
    if not approved_hash:
        raise NotApprovedError(
            f"the audit log does not name the hash of its files: {_typed(ADD, manifest)}"
        )
    if approved_hash != is_:
        raise NotApprovedError(
            f"the audit log approves of other files under this id ({str(approved_hash)[:12]}, and "
            f"these are {is_[:12]})"
        )


def _typed(command: str, manifest: Mapping[str, Any]) -> str:
    return command.format(version=manifest.get("version"))


def verified(text: bytes, proof: str, allowed: str) -> dict[str, Any]:
    """Return an approval whose signature counts now."""
    now = datetime.now().astimezone()
    try:
        approval = dict(json.loads(text))
        # What it says itself: `poe promote` has asked the plan, which is not here.
        needs_touch = approval.get(bound_facts.TOUCH) != bound_facts.NO_TOUCH
        ssh_signature.verify(text, proof, allowed, signatures.NAMESPACE, now, needs_touch)
        return approval
    except NotApprovedError as error:
        raise NotApprovedError(f"its approval does not count: {error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise NotApprovedError("its approval cannot be read") from error
