"""The state of an environment and its files, state.json and history.jsonl.

A change takes effect when state.json is replaced. The file also holds the history line of that
change: if a process is killed before it appends the line, the next change appends it.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rung_ops.release import history
from rung_ops.system import atomic, locks

STATE = "state.json"
HISTORY = "history.jsonl"


class Refused(Exception):
    """The current state does not allow the change; the message says why."""


class Overtaken(Refused):
    """The state has changed since it was read, so the decision may be outdated."""


class BadState(Exception):
    """state.json is damaged."""


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


# Maps the current state to the new one and to the details for the history.
Move = Callable[[State], tuple[State, dict[str, Any]]]


def read(folder: Path) -> State:
    """Read the state of an environment; an empty one before the first deployment.

    Raises:
        BadState: state.json is damaged.
    """
    return _read(folder)[0]


def events(folder: Path) -> list[dict[str, Any]]:
    """Read the events of an environment, oldest first.

    Raises:
        BadState: state.json is damaged.
    """
    last = _read(folder)[1]
    written = history.read(folder / HISTORY)
    return written if last is None or last in written else [*written, last]


def change(folder: Path, event: str, by: str, expected: int | None, move: Move) -> State:
    """Change the state of an environment under its lock.

    Args:
        folder: of the environment.
        event: its name in the history.
        by: the person or program that makes the change.
        expected: the generation that the decision is based on; None accepts any.
        move: returns the new state; raises Refused when the current state does not allow it.

    Raises:
        Refused: raised by `move`.
        Overtaken: the current generation is not the expected one.
        BadState: state.json is damaged.
        locks.LockTimeoutError: another process holds the lock.
    """
    path = folder / HISTORY
    with locks.locked(folder):
        state, last = _read(folder)
        history.repair(path, last)
        if expected is not None:
            _expect(folder, state, last, expected)
        new, detail = move(state)
        new = replace(new, generation=state.generation + 1)
        detail = {"generation": new.generation, "serving": new.serving} | detail
        made = history.entry(history.last_hash(path), event, by, detail)
        content = json.dumps(asdict(new) | {"entry": made}, indent=2) + "\n"
        atomic.write(folder / STATE, content.encode())
        history.write(path, made)
    return new


def expect(folder: Path, generation: int) -> None:
    """Raise Overtaken if the state of an environment is no longer of this generation."""
    _expect(folder, *_read(folder), generation)


def _expect(folder: Path, state: State, last: dict[str, Any] | None, expected: int) -> None:
    if expected != state.generation:
        change = f": {last['event']} by {last['by']} at {last['at']}" if last else ""
        raise Overtaken(
            f"{folder.name} was changed in the meantime{change}. Check `uv run poe releases` and "
            "run the command again."
        )


def note(folder: Path, event: str, by: str, **detail: Any) -> dict[str, Any]:
    """Append an event to the history of an environment without changing its state."""
    path = folder / HISTORY
    with locks.locked(folder):
        history.repair(path, _read(folder)[1])
        made = history.entry(history.last_hash(path), event, by, detail)
        history.write(path, made)
    return made


def _read(folder: Path) -> tuple[State, dict[str, Any] | None]:
    path = folder / STATE
    try:
        kept = json.loads(path.read_bytes())
        entry = kept.pop("entry")
        return (
            State(
                generation=int(kept["generation"]),
                serving=kept["serving"],
                previous=tuple(kept["previous"]),
                shadow=Shadow(**kept["shadow"]) if kept["shadow"] else None,
                canary=Canary(**kept["canary"]) if kept["canary"] else None,
                stopped=Stopped(**kept["stopped"]) if kept["stopped"] else None,
            ),
            entry,
        )
    except FileNotFoundError:
        return State(), None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadState(
            f"{path} is damaged ({error!r}). Delete it and `poe deploy` a release by its name; "
            f"the last lines of {path.with_name(HISTORY)} show what was served."
        ) from error
