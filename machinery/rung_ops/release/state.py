"""Every change of an environment: the only writer of its state and history.

Each function takes the folder of the environment, the person or program that makes the change, and
optionally the generation of the state that the decision is based on: if the state has changed since,
it raises `Overtaken` and changes nothing. All raise what state_file.change() raises.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rung_ops.release.history_line import now
from rung_ops.release.state_file import (
    HISTORY,
    STATE,
    BadState,
    Overtaken,
    Refused,
    change,
    events,
    expect,
    note,
    read,
    read_with_entry,
    restore,
)
from rung_ops.release.state_format import Canary, Shadow, State, Stopped

MAX_PREVIOUS = 10  # releases that repeated rollbacks can restore
SECOND = "second_release"  # detail of an event that ended both a canary and a shadow
Changed = tuple[State, dict[str, Any]]


def serve(folder: Path, release: str, by: str, expected: int | None = None) -> State:
    """Serve a release to all requests; end a canary and a shadow, so they cannot replace it."""

    def move(state: State) -> Changed:
        if state.serving == release:
            raise Refused(f"{release} is served already.")
        return _serve(replace(state, shadow=None), release)

    return change(folder, "serve", by, expected, move)


def shadow(folder: Path, release: str, share: float, by: str, expected: int | None = None) -> State:
    """Start a shadow: a release scores a share of the requests, in (0, 1], unseen by callers."""

    def move(state: State) -> Changed:
        _check_candidate(state, release)
        if not 0 < share <= 1:
            raise Refused(f"Got a share of {share}; expected more than 0 and at most 1.")
        return replace(state, shadow=Shadow(release, share)), {"release": release, "share": share}

    return change(folder, "shadow", by, expected, move)


def canary(folder: Path, release: str, by: str, expected: int | None = None) -> State:
    """Start a canary: a release answers the first step's share of the requests."""

    def move(state: State) -> Changed:
        _check_candidate(state, release)
        was_shadow = state.shadow is not None and state.shadow.release == release
        shadow = None if was_shadow else state.shadow
        return replace(state, canary=Canary(release, 0, now()), shadow=shadow), {"release": release}

    return change(folder, "canary", by, expected, move)


def advance(folder: Path, by: str, expected: int | None = None) -> State:
    """Move the canary to its next step."""

    def move(state: State) -> Changed:
        current = _canary_of(state)
        following = Canary(current.release, current.step + 1, now())
        detail = {"release": following.release, "step": following.step}
        return replace(state, canary=following), detail

    return change(folder, "advance", by, expected, move)


def promote(folder: Path, by: str, expected: int | None = None) -> State:
    """Serve the canary to all requests; a shadow stays and is compared with it from now on."""
    return change(
        folder, "promote", by, expected, lambda state: _serve(state, _canary_of(state).release)
    )


def abort(
    folder: Path, reason: str, by: str, expected: int | None = None, release: str | None = None
) -> State:
    """End the canary or shadow of a release; by default the canary if there is one."""

    def move(state: State) -> Changed:
        candidates = [each for each in (state.canary, state.shadow) if each is not None]
        if not candidates:
            raise Refused("There is neither a canary nor a shadow to end.")
        ended = next((each for each in candidates if release in (None, each.release)), None)
        if ended is None:
            raise Refused(f"{release} is neither the canary nor the shadow.")
        is_canary = ended is state.canary
        left = replace(state, canary=None) if is_canary else replace(state, shadow=None)
        return left, {"release": ended.release, "reason": reason}

    return change(folder, "abort", by, expected, move)


def roll_back(folder: Path, by: str, reason: str = "", expected: int | None = None) -> State:
    """End a canary and a shadow; serve the previous release again if there is neither."""

    def move(state: State) -> Changed:
        if state.on_trial:
            return replace(state, canary=None, shadow=None), _ended(state) | {"reason": reason}
        if not state.previous:
            raise Refused("There is no previous release to roll back to.")
        left = replace(state, serving=state.previous[0], previous=state.previous[1:])
        return left, {"release": state.serving, "reason": reason}

    return change(folder, "roll_back", by, expected, move)


def stop(folder: Path, by: str, reason: str, expected: int | None = None) -> State:
    """Refuse all requests, whatever is deployed, until resume()."""

    def move(state: State) -> Changed:
        return replace(state, stopped=Stopped(by, now(), reason)), {"reason": reason}

    return change(folder, "stop", by, expected, move)


def resume(folder: Path, by: str, expected: int | None = None) -> State:
    """Accept requests again after stop()."""

    def move(state: State) -> Changed:
        if not state.stopped:
            raise Refused("The service is not stopped.")
        return replace(state, stopped=None), {}

    return change(folder, "resume", by, expected, move)


def concerns(event: dict[str, Any], release: str) -> bool:
    """Return whether an event of the history is about a release."""
    return release in (event["detail"].get("release"), event["detail"].get(SECOND))


def _ended(state: State) -> dict[str, Any]:
    """Return the canary and the shadow as details of an event."""
    return dict(zip(("release", SECOND), state.on_trial, strict=False))


def _serve(state: State, release: str) -> Changed:
    before = [state.serving] if state.serving else []
    previous = [each for each in (*before, *state.previous) if each != release]
    previous = previous[:MAX_PREVIOUS]
    return replace(state, serving=release, previous=tuple(previous), canary=None), {
        "release": release
    }


def _check_candidate(state: State, release: str) -> None:
    if state.serving is None:
        raise Refused("No release is served yet that this one could be compared with.")
    if release == state.serving:
        raise Refused(f"{release} is served already.")
    if state.canary and state.canary.release == release:
        raise Refused(f"{release} is the canary already.")


def _canary_of(state: State) -> Canary:
    if state.canary is None:
        raise Refused("There is no canary.")
    return state.canary


__all__ = [
    "HISTORY",
    "STATE",
    "BadState",
    "Canary",
    "Overtaken",
    "Refused",
    "Shadow",
    "State",
    "Stopped",
    "abort",
    "advance",
    "canary",
    "concerns",
    "events",
    "expect",
    "note",
    "promote",
    "read",
    "read_with_entry",
    "restore",
    "resume",
    "roll_back",
    "serve",
    "shadow",
    "stop",
]
