"""The state of an environment, and how it lies on the disk.

state.json is the truth: a change has happened when that file has been put in its place. It holds
the line of the history that belongs to it, so that a process killed before it wrote the line
takes nothing away: whoever changes the state next writes it.
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
    """A change that makes no sense in the present state; the message says why."""


class Overtaken(Refused):
    """Somebody else changed the state after it was looked at, so the decision may be wrong."""


class BadState(Exception):
    """A state.json that these functions did not write."""


@dataclass(frozen=True)
class Shadow:
    """A release that answers in secret, to a share of the requests in (0, 1]."""

    release: str
    share: float


@dataclass(frozen=True)
class Canary:
    """A release that answers some requests: `step` counts from 0, and began at `since`."""

    release: str
    step: int
    since: str


@dataclass(frozen=True)
class Stopped:
    """Nothing is answered: who wanted it, since when, and why."""

    by: str
    at: str
    reason: str


@dataclass(frozen=True)
class State:
    """What an environment serves.

    Attributes:
        generation: grows by one with each change; 0 where nothing was ever deployed.
        serving: the release that answers, if any.
        previous: releases that answered before, the newest first.
        shadow: the release that answers in secret, if any.
        canary: the release that answers some requests, if any.
        stopped: set while nothing is answered.
    """

    generation: int = 0
    serving: str | None = None
    previous: tuple[str, ...] = ()
    shadow: Shadow | None = None
    canary: Canary | None = None
    stopped: Stopped | None = None

    @property
    def on_trial(self) -> tuple[str, ...]:
        """Name the releases on trial: the canary, then the shadow."""
        return tuple(each.release for each in (self.canary, self.shadow) if each)

    def releases(self) -> set[str]:
        """Name every release that is in use, or that a roll back can reach."""
        return set(self.on_trial) | set(self.previous) | ({self.serving} if self.serving else set())


# What a change makes of the state it finds: the new one, and what the history says of it.
Move = Callable[[State], tuple[State, dict[str, Any]]]


def read(folder: Path) -> State:
    """Read the state of an environment; the empty one where nothing was ever deployed.

    Raises:
        BadState: state.json is damaged.
    """
    return _read(folder)[0]


def events(folder: Path) -> list[dict[str, Any]]:
    """Read what happened to an environment, the oldest first.

    Raises:
        BadState: state.json is damaged.
    """
    last = _read(folder)[1]
    written = history.read(folder / HISTORY)
    return written if last is None or last in written else [*written, last]


def change(folder: Path, event: str, by: str, expected: int | None, move: Move) -> State:
    """Change the state of an environment, one writer at a time.

    Args:
        folder: the environment's.
        event: what the history calls it.
        by: the person, or the part of the machinery, that wants it.
        expected: the generation that the decision was made on; None where any will do.
        move: makes the new state. Raises Refused when the change makes no sense.

    Raises:
        Refused: so says the move.
        Overtaken: the generation is another than expected.
        BadState: state.json is damaged.
        locks.LockTimeoutError: another process holds the lock.
    """
    path = folder / HISTORY
    with locks.locked(folder):
        state, last = _read(folder)
        history.settle(path, last)
        if expected is not None:
            _hold(folder, state, last, expected)
        new, detail = move(state)
        new = replace(new, generation=state.generation + 1)
        detail = {"generation": new.generation, "serving": new.serving} | detail
        made = history.entry(history.last_hash(path), event, by, detail)
        content = json.dumps(asdict(new) | {"entry": made}, indent=2) + "\n"
        atomic.write(folder / STATE, content.encode())
        history.write(path, made)
    return new


def expect(folder: Path, generation: int) -> None:
    """Raise Overtaken when an environment has changed since this generation of its state."""
    _hold(folder, *_read(folder), generation)


def _hold(folder: Path, state: State, last: dict[str, Any] | None, expected: int) -> None:
    if expected != state.generation:
        did = f": {last['event']} by {last['by']} at {last['at']}" if last else ""
        raise Overtaken(f"{folder.name} was changed in the meantime{did}. Look, and decide.")


def note(folder: Path, event: str, by: str, **detail: Any) -> dict[str, Any]:
    """Add a line to the history of an environment without changing its state."""
    path = folder / HISTORY
    with locks.locked(folder):
        history.settle(path, _read(folder)[1])
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
            f"{path} is damaged ({error!r}). Take it away and `poe deploy` a release by its name; "
            f"the last lines of {path.with_name(HISTORY)} say what was served."
        ) from error
