"""The content of state.json. Every value is checked: others may write to the folder of releases."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rung_ops.release import history_line

Value = TypeVar("Value")

# One component of a path, not hidden: an id becomes the name of a folder.
RELEASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
MAX_PREVIOUS = 100  # ids; the functions of rung_ops.release.state keep fewer
MAX_STEPS = 1_000


class InvalidStateError(ValueError):
    """state.json holds something that no command writes; the message says what."""


@dataclass(frozen=True)
class Shadow:
    """A release that scores a share of the requests, in (0, 1]; callers never see its answers."""

    release: str
    share: float


@dataclass(frozen=True)
class Canary:
    """A release that answers some of the requests: `step` counts from 0 and began at `since`."""

    release: str
    step: int
    since: str


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

    generation: int = 0
    serving: str | None = None
    previous: tuple[str, ...] = ()
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


def check_release_id(value: object) -> str:
    """Return `value` if it is the id of a release.

    Raises:
        InvalidStateError: it is not.
    """
    if not isinstance(value, str) or not RELEASE_ID.fullmatch(value):
        raise InvalidStateError(f"{_shown(value)} is not the id of a release")
    return value


def parse(content: bytes) -> tuple[State, dict[str, Any]]:
    """Parse a state and the history line of its last change.

    Raises:
        InvalidStateError: it is not JSON, or a value is invalid.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidStateError(f"it is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidStateError("it is not a JSON object")
    state = state_of(data)
    return state, _field(data, "entry", lambda value: _entry(value, state))


def state_of(data: dict[str, Any]) -> State:
    """Read a state as state.json and the lines of the history hold it.

    Raises:
        InvalidStateError: a value is invalid.
    """
    return State(
        generation=_field(data, "generation", _count),
        serving=_field(data, "serving", _optional(check_release_id)),
        previous=_field(data, "previous", _previous),
        shadow=_field(data, "shadow", _optional(_shadow)),
        canary=_field(data, "canary", _optional(_canary)),
        stopped=_field(data, "stopped", _optional(_stopped)),
    )


def _field(data: dict[str, Any], name: str, read: Callable[[Any], Value]) -> Value:
    if name not in data:
        raise InvalidStateError(f"`{name}` is missing")
    try:
        return read(data[name])
    except InvalidStateError as error:
        raise InvalidStateError(f"`{name}`: {error}") from error


def _optional(read: Callable[[Any], Value]) -> Callable[[Any], Value | None]:
    return lambda value: None if value is None else read(value)


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise InvalidStateError(f"got {_shown(value)}; expected a whole number, at least 0")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidStateError(f"got {_shown(value)}; expected a text")
    return value


def _previous(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_PREVIOUS:
        raise InvalidStateError(f"expected a list of at most {MAX_PREVIOUS} ids")
    return tuple(check_release_id(each) for each in value)


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidStateError(f"got {_shown(value)}; expected an object")
    return value


def _shadow(value: object) -> Shadow:
    table = _table(value)
    return Shadow(_field(table, "release", check_release_id), _field(table, "share", _share))


def _share(value: object) -> float:
    if type(value) not in (int, float) or not 0 < value <= 1:  # type: ignore[operator]
        raise InvalidStateError(f"got {_shown(value)}; expected a number in (0, 1]")
    return float(value)  # type: ignore[arg-type]


def _canary(value: object) -> Canary:
    table = _table(value)
    step = _field(table, "step", _count)
    if step > MAX_STEPS:
        raise InvalidStateError(f"`step`: expected at most {MAX_STEPS}")
    return Canary(_field(table, "release", check_release_id), step, _field(table, "since", _text))


def _stopped(value: object) -> Stopped:
    table = _table(value)
    return Stopped(*(_field(table, name, _text) for name in ("by", "at", "reason")))


def _entry(value: object, state: State) -> dict[str, Any]:
    entry = _table(value)
    if not history_line.is_event(entry):
        raise InvalidStateError("it is not a line of the history")
    if not history_line.is_unchanged(entry):
        raise InvalidStateError("it was changed: its hash differs")
    detail = entry["detail"]
    if (detail.get("generation"), detail.get("serving")) != (state.generation, state.serving):
        raise InvalidStateError("it belongs to another state")
    if _field(detail, "state", lambda value: state_of(_table(value))) != state:
        raise InvalidStateError("it belongs to another state")
    return entry


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
