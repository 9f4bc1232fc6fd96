"""What an environment served last, where its state.json cannot be read."""

from pathlib import Path

from rung_ops.release import history
from rung_ops.release.state import HISTORY, State, StateError, Stopped, check_release_id


def state_from_history(folder: Path) -> State:
    """Tell from the history what was served last, and whether it was stopped.

    Returns:
        A state of generation 0, without what was on trial; the empty one where the history says
        nothing.
    """
    serving: str | None = None
    previous: list[str] = []
    stopped: Stopped | None = None
    try:
        events = history.read(folder / HISTORY)
    except OSError:
        return State()
    for event in events:
        detail = event["detail"]
        now = _release(detail.get("serving"), serving)
        if serving is not None and now != serving:
            previous = [serving, *(each for each in previous if each not in (serving, now))]
        serving = now
        if event["event"] == "stop":
            stopped = Stopped(event["by"], event["at"], str(detail.get("reason", "")))
        elif event["event"] == "resume":
            stopped = None
    return State(serving=serving, previous=tuple(previous), stopped=stopped)


def _release(value: object, otherwise: str | None) -> str | None:
    """Read an id from the history, whose lines are not trusted."""
    try:
        return check_release_id(value)
    except StateError:
        return otherwise
