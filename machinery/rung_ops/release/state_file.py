"""The state of an environment and its files, state.json and history.jsonl.

A change takes effect when state.json is replaced. The file also holds the history line of that
change: if a process is killed before it appends the line, the next change appends it.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rung_ops.release import history, history_line
from rung_ops.release.state_format import InvalidStateError, State, parse, state_of
from rung_ops.system import atomic, locks
from rung_ops.system.files import UnusableFileError, read_regular

STATE = "state.json"
HISTORY = "history.jsonl"
MAX_BYTES = 1_000_000  # of state.json; the commands write a few hundred


class Refused(Exception):
    """The current state does not allow the change; the message says why."""


class Overtaken(Refused):
    """The state has changed since it was read, so the decision may be outdated."""


class BadState(Exception):
    """state.json is damaged."""


# Maps the current state to the new one and to the details for the history.
Move = Callable[[State], tuple[State, dict[str, Any]]]


def read(folder: Path) -> State:
    """Read the state of an environment; an empty one before the first deployment.

    Raises:
        BadState: state.json is damaged.
    """
    return read_with_entry(folder)[0]


def read_with_entry(folder: Path) -> tuple[State, dict[str, Any] | None]:
    """Read the state of an environment and the history line of its last change.

    Raises:
        BadState: state.json is damaged.
    """
    path = folder / STATE
    try:
        return parse(read_regular(path, MAX_BYTES))
    except FileNotFoundError:
        return State(), None
    except (InvalidStateError, UnusableFileError) as error:
        raise BadState(
            f"{path} is damaged ({error}). Delete it and `poe deploy` a release by its name; "
            f"the last lines of {path.with_name(HISTORY)} show what was served."
        ) from error


def events(folder: Path) -> list[dict[str, Any]]:
    """Read the events of an environment, oldest first.

    Raises:
        BadState: state.json is damaged.
    """
    last = read_with_entry(folder)[1]
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
        state, last = read_with_entry(folder)
        history.repair(path, last)
        if expected is not None:
            _expect(folder, state, last, expected)
        new, detail = move(state)
        new = replace(new, generation=state.generation + 1)
        served = {"generation": new.generation, "serving": new.serving}
        # With the whole state, so that state.json cannot say anything else.
        detail = served | detail | {"state": asdict(new)}
        made = history_line.entry(history.last_hash(path), event, by, detail)
        atomic.write(folder / STATE, _content_of(new, made))
        history.write(path, made)
    return new


def expect(folder: Path, generation: int) -> None:
    """Raise Overtaken if the state of an environment is no longer of this generation."""
    _expect(folder, *read_with_entry(folder), generation)


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
        history.repair(path, read_with_entry(folder)[1])
        made = history_line.entry(history.last_hash(path), event, by, detail)
        history.write(path, made)
    return made


def restore(folder: Path, entry: dict[str, Any]) -> State:
    """Write state.json again as a line of the history holds it; return the state.

    Raises:
        BadState: the line holds no state.
    """
    try:
        state = state_of(dict(entry["detail"].get("state") or {}))
    except InvalidStateError as error:
        raise BadState(f"The last change in {HISTORY} holds no state: {error}.") from error
    with locks.locked(folder):
        atomic.write(folder / STATE, _content_of(state, entry))
    return state


def _content_of(state: State, entry: dict[str, Any]) -> bytes:
    """Write a state and its history line as JSON; refuse what read() would refuse.

    Raises:
        Refused: an id is invalid, or the file would be too large.
    """
    content = json.dumps(asdict(state) | {"entry": entry}, indent=2).encode() + b"\n"
    if len(content) > MAX_BYTES:
        raise Refused(f"The new state takes {len(content):,} bytes: give a shorter reason.")
    try:
        parse(content)
    except InvalidStateError as error:
        raise Refused(f"The new state is invalid: {error}.") from error
    return content
