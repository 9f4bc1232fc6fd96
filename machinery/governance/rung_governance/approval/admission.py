"""What may answer in production: as the signed log and the validator's signature say.

A release is admitted without registry, repository or network: `poe promote` writes the signed approval into
the audit log, and the service was built with governance/allowed_signers and governance/audit.pub.

The state of production is that of its signed audit log; state.json decides nothing. An unsigned line can
only stop: it ends no stop, and lets no release answer. Hooks that the approval does not name, or of another
source, refuse the release, or are reported if the plan says so.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rung_governance.approval import bound_facts, signatures, ssh_signature
from rung_governance.approval.bound_facts import NotApprovedError
from rung_governance.approval.keys import AuditLogError
from rung_governance.approval.signed_log import Event, SignedLog
from rung_ops import contract
from rung_ops.model import bundle
from rung_ops.project import active_addons, current
from rung_ops.release import state as states
from rung_ops.release.history import State, StateError, Stopped, state_of
from rung_ops.serving.state_reader import Objection, Reading, StateReader
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
    found = sorted(
        active_addons.library_differences(manifest.get("library")), key=lambda each: not each[1]
    )
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


GRACE = 5.0  # seconds within which a line is signed that was just written
STOPS = (states.STOP, "abort")  # changes that let nothing answer that did not before
SEE = "See `uv run poe audit-log`."


class SignedStateReader(StateReader):
    """Follows an environment in which the signed log decides, and only approved releases answer."""

    is_guarded = True

    def __init__(self, folder: Path, remembers: bool = False) -> None:
        super().__init__(folder)
        self._log = SignedLog(folder, remembers)
        self._admission = Admission(self._log, signatures.signers_file())
        self._hooks = HookSource()
        self._since: float | None = None  # when something began to be wrong
        self._stops: dict[str, Stopped] = {}  # unsigned ones that were read, by hash of the line

    def read(self) -> Reading:
        """Read the state out of the log; say what is not as it was signed."""
        fault = self._follow()
        try:
            signed = _state_of(self._log.signed.change)
        except StateError as error:
            signed, fault = State(), str(error)
        state = self._stopped(signed)
        fault = fault or self._difference()
        if not fault or (self._log.signed.change is not None and self._has_just_begun()):
            self._since = self._since if fault else None
            return Reading(state, () if state == signed else (self._unsigned(),))
        return Reading(state, (f"{fault}. {SEE}",), is_valid=False)

    def current(self) -> State:
        """Read the state once more."""
        return self.read().state

    def is_resumed(self, line: str) -> bool:
        """Return whether a signed resumption follows the line of a stop, named by its hash."""
        return self._log.signed.stops.get(line, False)

    def objection(self, manifest: dict[str, Any]) -> Objection | None:
        """Say what speaks against the release of a verified manifest."""
        admitted = self._admission.objection(manifest)
        if admitted is not None and admitted.refuses:
            return admitted
        hooked = self._hooks.objection(manifest, self._admission.terms(manifest))
        return hooked if hooked is not None and hooked.refuses else admitted or hooked

    def _follow(self) -> str:
        """Read what is new in the log; return what is wrong with it."""
        try:
            self._log.follow()
        except AuditLogError as error:
            return f"The audit log cannot be relied on: {error}"
        except OSError as error:
            return f"The audit log cannot be read: {error}"
        return ""

    def _difference(self) -> str:
        """Say which change is not signed, or that state.json is not of the last change."""
        for line in self._log.unsigned:
            if line.event is not None and line.changes and line.event["event"] not in STOPS:
                return (
                    f"line {line.number} of the audit log ({line.event['event']} by "
                    f"{line.event['by']} at {line.event['at']}) is not signed, and not followed"
                )
        try:
            entry = states.read_with_entry(self.folder)[1]
        except StateError as error:
            return f"{states.STATE} is damaged, and not followed: {error.__cause__}"
        except OSError as error:
            return f"{states.STATE} cannot be read: {error}"
        change = self._log.signed.change
        known = [each.hash for each in self._log.unsigned] + ([change["hash"]] if change else [])
        if entry is None and not known:
            return ""
        if entry is None or entry["hash"] not in known:
            return (
                f"{states.STATE} is not of the last change in the audit log, and not followed: it was "
                "edited, replaced or deleted"
            )
        return ""

    def _stopped(self, state: State) -> State:
        """Apply to a signed state what stops, as anybody may stop; a stop that was read holds."""
        for line in self._log.unsigned:
            if line.event is not None and line.is_of(states.STOP):
                self._stops[line.hash] = states.stopped_by(line.event)
            elif line.event is not None and line.is_of("abort"):
                state = _ended(state, line.event["detail"].get("release"))
        signed = self._log.signed.stops  # which the log itself does not forget
        self._stops = {line: stop for line, stop in self._stops.items() if line not in signed}
        return replace(state, stopped=next(reversed(self._stops.values()), state.stopped))

    def _unsigned(self) -> str:
        """Say that what stops is not signed, or not in the log any more."""
        known = {line.hash for line in self._log.unsigned}
        for line, stop in self._stops.items():
            if line not in known:
                what = f"The stop by {stop.by} at {stop.at}"
                return f"{what} is gone from the audit log, and holds in this process. {SEE}"
        return f"A stop is not signed. {SEE}"

    def _has_just_begun(self) -> bool:
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        return now - self._since < GRACE


def _state_of(change: Event | None) -> State:
    if change is None:
        return State()
    if not isinstance(change["detail"].get("state"), dict):
        raise StateError(
            "The last signed change is of an earlier version and does not hold the state: "
            "`uv run poe stop`, then `uv run poe resume`, writes one that does"
        )
    return state_of(change["detail"]["state"])


def _ended(state: State, release: object) -> State:
    """Return a state in which a release is on trial no more."""
    canary, shadow = state.canary, state.shadow
    return replace(
        state,
        canary=None if canary and canary.release == release else canary,
        shadow=None if shadow and shadow.release == release else shadow,
    )


class HookSource:
    """The hooks of this service, as they were when it started."""

    def __init__(self) -> None:
        self._named = bound_facts.hooks_of_service()
        self._hash = (
            bundle.source_hash_of_folder(current().root, contract.package()) if self._named else ""
        )

    def objection(self, manifest: Mapping[str, Any], terms: Mapping[str, Any]) -> Objection | None:
        """Say that a release answers through other hooks than the approved ones.

        An approval of an earlier library says nothing of hooks: such hooks are reported.
        """
        what = self._other_hooks(manifest, terms.get(bound_facts.HOOKS))
        if not what:
            return None
        release, version = manifest["id"], manifest.get("version")
        if terms.get(bound_facts.OTHER_HOOKS) == bound_facts.REFUSE:
            typed = f"`uv run poe promote {version}`"
            if "signed_by" not in terms:  # a line of the log, in a team of one
                typed = f"`uv run poe approve {version}`, then {typed}"
            return Objection(
                f"{release} may not answer: the service has {what}: start it with those, or {typed}"
            )
        return Objection(f"{release} answers through {what}", refuses=False)

    def _other_hooks(self, manifest: Mapping[str, Any], approved: object) -> str:
        """Say what is not as it was approved; empty if all is."""
        if approved is None and self._named:
            return f"{self._shown()}, and its approval, of an earlier library, names no hooks"
        if approved is not None and approved != self._named:
            return f"{self._shown()}, and its approval names {_listed(approved) or 'none'}"
        for name, target in self._named.items():
            module = target.partition(":")[0]
            if module.partition(".")[0] != contract.package():
                return f"the hook {name} of {module}, whose source no approval names"
        if self._named and self._hash != bundle.source_hash(manifest.get("files", {})):
            return f"{self._shown()} of other source in src/ than was approved with it"
        return ""

    def _shown(self) -> str:
        return f"the hooks {_listed(self._named)}" if self._named else "no hooks"


def _listed(hooks: object) -> str:
    if not isinstance(hooks, Mapping):
        return str(hooks)
    return ", ".join(f"{name} ({target})" for name, target in hooks.items())
