"""What an environment serves, as state.json and the lines of its history hold it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeGuard

import msgspec

from rung_ops.errors import OpsError
from rung_ops.release import history

# One component of a path, not hidden: an id becomes the name of a folder.
RELEASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")

# What state.json may hold. Every value is checked: others may write to the folder of releases.
ReleaseId = Annotated[str, msgspec.Meta(pattern=rf"\A{RELEASE_ID.pattern}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class StateError(OpsError):
    """state.json, or a value for it, is nothing that a command writes; the message says what."""


class ChangeRefusedError(OpsError):
    """The current state does not allow the change; the message says why."""


class UncertainChangeError(OpsError, OSError):
    """A change was sent to a bucket, and it is not known whether it was made."""


PartOfRequests = Annotated[float, msgspec.Meta(gt=0, le=1)]


@dataclass(frozen=True)
class Plan:
    """How a trial goes, as it was decided when the release was deployed.

    Attributes:
        steps: shares of the requests that the canary answers, one after the other.
        passed_gate: whether the gate passed the release: if not, no time ends a stage.
    """

    steps: Annotated[tuple[PartOfRequests, ...], msgspec.Meta(min_length=1, max_length=20)]
    passed_gate: bool = True


@dataclass(frozen=True)
class Shadow:
    """A release that scores a share of the requests; callers never see its answers.

    Earlier versions wrote neither `since`, when it began, nor `plan`.
    """

    release: ReleaseId
    share: PartOfRequests
    since: str | None = None
    plan: Plan | None = None


@dataclass(frozen=True)
class Canary:
    """A release that answers some of the requests: `step` counts from 0 and began at `since`.

    Earlier versions wrote no `plan`.
    """

    release: ReleaseId
    step: Annotated[int, msgspec.Meta(ge=0, le=1_000)]
    since: str
    plan: Plan | None = None


@dataclass(frozen=True)
class Stopped:
    """The service refuses all requests: who stopped it, when, and why."""

    by: str
    at: str
    reason: str


@dataclass(frozen=True)
class State:
    """The releases that an environment serves.

    Attributes:
        generation: grows by one with each change; 0 before the first deployment.
        serving: the release that answers requests, if any.
        previous: releases that were served before, newest first.
        shadow: the release in shadow, if any.
        canary: the release that answers some of the requests, if any.
        stopped: set while the service refuses all requests.
    """

    generation: Count = 0
    serving: ReleaseId | None = None
    previous: Annotated[tuple[ReleaseId, ...], msgspec.Meta(max_length=100)] = ()
    shadow: Shadow | None = None
    canary: Canary | None = None
    stopped: Stopped | None = None

    @property
    def on_trial(self) -> tuple[str, ...]:
        """Return the releases in canary and shadow, in this order."""
        return tuple(each.release for each in (self.canary, self.shadow) if each)

    def releases(self) -> set[str]:
        """Return every release that is in use or that a rollback can restore."""
        return set(self.on_trial) | set(self.previous) | ({self.serving} if self.serving else set())

    def role_of(self, release: str) -> str | None:
        """Describe the role of a release; None if it has none."""
        if self.serving == release:
            return "is the current release"
        if self.canary and self.canary.release == release:
            return f"is the canary, at step {self.canary.step}"
        if self.shadow and self.shadow.release == release:
            return f"is the shadow, for {self.shadow.share:.0%} of the requests"
        return None


def is_release_id(value: object) -> TypeGuard[str]:
    """Return whether a value is the id of a release."""
    return isinstance(value, str) and RELEASE_ID.fullmatch(value) is not None


def parse(content: bytes) -> tuple[State, dict[str, Any]]:
    """Parse a state and the history line of its last change; StateError says what is wrong."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StateError(f"it is not JSON: {error}") from error
    state = state_of(data)
    if "entry" not in data:
        raise StateError("`entry` is missing")
    entry = data["entry"]
    if not isinstance(entry, dict) or not history.is_event(entry):
        raise StateError("`entry`: it is not a line of the history")
    if not history.is_unchanged(entry):
        raise StateError("`entry`: it was changed: its hash differs")
    detail = entry["detail"]
    served = (detail.get("generation"), detail.get("serving"))
    if served != (state.generation, state.serving) or state_of(detail.get("state")) != state:
        raise StateError("`entry`: it belongs to another state")
    return state, entry


def state_of(data: object) -> State:
    """Read a state as state.json and the lines of the history hold it; StateError names a wrong value."""
    if isinstance(data, dict) and (missing := {field.name for field in fields(State)} - set(data)):
        raise StateError(f"`{min(missing)}` is missing")
    try:
        return msgspec.convert(data, State)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        name = f"`{where.rstrip('`')}`"
        if "matching regex" in what:
            raise StateError(f"{name} is not the id of a release") from error
        raise StateError(f"{name}: {what}" if where else what) from error


Changed = tuple[State, dict[str, Any]]  # the new state, and the details for the history
# Takes a state, the line of its change, and the hash of the last line; returns the state after an event.
Make = Callable[[State, dict[str, Any] | None, str], Changed]


def changed_meanwhile(folder: Path, last: dict[str, Any] | None) -> ChangeRefusedError:
    """Refuse a change because of the last line of the history."""
    change = f": {last['event']} by {last['by']} at {last['at']}" if last else ""
    return ChangeRefusedError(
        f"{folder.name} was changed in the meantime{change}. Check `uv run poe releases` and "
        "run the command again."
    )
