"""Every change of what an environment serves: the only writer of its state and history.

Each function takes the folder of the environment, who wants the change, and, from a program that
decided on a state it had read, that state's generation: where the state has moved on since,
`Overtaken` tells so and nothing is changed. All raise what stored.change() raises.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rung_ops.release.history import now
from rung_ops.release.state_file import (
    HISTORY,
    STATE,
    BadState,
    Canary,
    Overtaken,
    Refused,
    Shadow,
    State,
    Stopped,
    change,
    events,
    expect,
    note,
    read,
)

REMEMBERED = 10  # releases that a roll back can reach one after the other
SECOND = "second_release"  # of an event that ended two trials at once
Changed = tuple[State, dict[str, Any]]


def serve(folder: Path, release: str, by: str, expected: int | None = None) -> State:
    """Let a release answer everything; a canary or a shadow ends, and cannot replace it later."""

    def move(state: State) -> Changed:
        if state.serving == release:
            raise Refused(f"{release} is served already.")
        return _served(replace(state, shadow=None), release)

    return change(folder, "serve", by, expected, move)


def shadow(folder: Path, release: str, share: float, by: str, expected: int | None = None) -> State:
    """Let a release answer a share of the requests in secret."""

    def move(state: State) -> Changed:
        _refuse_to_try(state, release)
        if not 0 < share <= 1:
            raise Refused(f"A share of {share} is none: give more than 0 and at most 1.")
        return replace(state, shadow=Shadow(release, share)), {"release": release, "share": share}

    return change(folder, "shadow", by, expected, move)


def canary(folder: Path, release: str, by: str, expected: int | None = None) -> State:
    """Let a release answer the first step's share of the requests."""

    def move(state: State) -> Changed:
        _refuse_to_try(state, release)
        was_shadow = state.shadow is not None and state.shadow.release == release
        shadow = None if was_shadow else state.shadow
        return replace(state, canary=Canary(release, 0, now()), shadow=shadow), {"release": release}

    return change(folder, "canary", by, expected, move)


def advance(folder: Path, by: str, expected: int | None = None) -> State:
    """Take the canary to its next step."""

    def move(state: State) -> Changed:
        tried = _canary_of(state)
        further = Canary(tried.release, tried.step + 1, now())
        return replace(state, canary=further), {"release": tried.release, "step": further.step}

    return change(folder, "advance", by, expected, move)


def promote(folder: Path, by: str, expected: int | None = None) -> State:
    """Let the canary answer everything; a shadow stays, and is held against it from now on."""
    return change(
        folder, "promote", by, expected, lambda state: _served(state, _canary_of(state).release)
    )


def abort(
    folder: Path, reason: str, by: str, expected: int | None = None, release: str | None = None
) -> State:
    """End the trial of a release; unless it is named that of the canary, else of the shadow."""

    def move(state: State) -> Changed:
        tried = [each for each in (state.canary, state.shadow) if each is not None]
        if not tried:
            raise Refused("There is neither a canary nor a shadow to end.")
        ended = next((each for each in tried if release in (None, each.release)), None)
        if ended is None:
            raise Refused(f"{release} is neither the canary nor the shadow.")
        is_canary = ended is state.canary
        left = replace(state, canary=None) if is_canary else replace(state, shadow=None)
        return left, {"release": ended.release, "reason": reason}

    return change(folder, "abort", by, expected, move)


def roll_back(folder: Path, by: str, reason: str = "", expected: int | None = None) -> State:
    """End the trial of canary and shadow; where nothing is on trial, bring the previous back."""

    def move(state: State) -> Changed:
        if state.on_trial:
            return replace(state, canary=None, shadow=None), _ended(state) | {"reason": reason}
        if not state.previous:
            raise Refused("There is no previous release to go back to.")
        left = replace(state, serving=state.previous[0], previous=state.previous[1:])
        return left, {"release": state.serving, "reason": reason}

    return change(folder, "roll_back", by, expected, move)


def stop(folder: Path, by: str, reason: str, expected: int | None = None) -> State:
    """Answer nothing from now on, whatever is deployed, until resume()."""

    def move(state: State) -> Changed:
        return replace(state, stopped=Stopped(by, now(), reason)), {"reason": reason}

    return change(folder, "stop", by, expected, move)


def resume(folder: Path, by: str, expected: int | None = None) -> State:
    """Answer again after stop()."""

    def move(state: State) -> Changed:
        if not state.stopped:
            raise Refused("It is not stopped.")
        return replace(state, stopped=None), {}

    return change(folder, "resume", by, expected, move)


def concerns(event: dict[str, Any], release: str) -> bool:
    """Tell whether an event of the history is about a release."""
    return release in (event["detail"].get("release"), event["detail"].get(SECOND))


def _ended(state: State) -> dict[str, Any]:
    """Name what was on trial, as the history does."""
    return dict(zip(("release", SECOND), state.on_trial, strict=False))


def _served(state: State, release: str) -> Changed:
    before = [state.serving] if state.serving else []
    previous = [each for each in (*before, *state.previous) if each != release]
    served = replace(state, serving=release, previous=tuple(previous[:REMEMBERED]), canary=None)
    return served, {"release": release}


def _refuse_to_try(state: State, release: str) -> None:
    if state.serving is None:
        raise Refused("Nothing is served yet that a release could be held against.")
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
    "resume",
    "roll_back",
    "serve",
    "shadow",
    "stop",
]
