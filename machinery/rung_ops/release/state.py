"""What an environment serves, state.json and history.jsonl, and every change of it.

Each change takes the folder of the environment, who makes it, and optionally the generation of the state
that the decision is based on: if that has changed since, the change is refused. All raise what
change() raises.

A change takes effect when state.json is replaced. The file also holds the history line of that
change: if a process is killed before it appends the line, the next change appends it.

Where the releases are in a bucket, `bucket` takes the place of state.json.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung_ops.model.bundle import BundleError, read_manifest
from rung_ops.project import paths
from rung_ops.release import history
from rung_ops.release.history import (
    Canary,
    Changed,
    ChangeRefusedError,
    Make,
    Plan,
    Shadow,
    State,
    StateError,
    Stopped,
    changed_meanwhile,
    now,
    parse,
    state_of,
)
from rung_ops.system import files
from rung_ops.system.files import UnusableFileError, read_regular

if TYPE_CHECKING:
    from rung_ops.release.bucket import BucketState

__all__ = ["ChangeRefusedError", "Plan", "Shadow", "State", "StateError", "Stopped", "state_of"]

STATE = "state.json"
HISTORY = "history.jsonl"
MAX_BYTES = 1_000_000  # of state.json; the commands write a few hundred
MAX_PREVIOUS = 10  # releases that repeated rollbacks can restore
STOP, RESUME = "stop", "resume"  # events that stop() and resume() write
SECOND = "second_release"  # detail of an event that ended both a canary and a shadow
CLOCK = "ROLLOUT_CLOCK"  # names a file that holds the seconds since 1970, for a replay


def clock() -> float:
    """Return the seconds since 1970 that a trial counts: the machine's, or those of the file of CLOCK."""
    path = os.environ.get(CLOCK)
    return float(Path(path).read_text(encoding="utf-8")) if path else time.time()


def _now() -> str:
    return datetime.fromtimestamp(clock(), UTC).isoformat(timespec="milliseconds")


Move = Callable[[State], Changed]


@dataclass(frozen=True)
class FolderState:
    """The state of an environment in a folder, in state.json."""

    folder: Path

    def synchronize(self, recheck: bool = False) -> None:
        """Do nothing: what is here is the state."""

    def read(self) -> tuple[State, dict[str, Any] | None]:
        """Read the state, and the history line of its last change."""
        path = self.folder / STATE
        try:
            return parse(read_regular(path, MAX_BYTES))
        except FileNotFoundError:
            return State(), None
        except (StateError, UnusableFileError) as error:
            raise StateError(
                f"{path} is damaged ({error}). Delete it and `poe deploy` a release by its name; "
                f"the last lines of {path.with_name(HISTORY)} show what was served."
            ) from error

    latest = read

    def append(self, make: Make) -> Changed:
        """Append an event to the history, and replace the state if the event changes it."""
        path = self.folder / HISTORY
        with files.locked(self.folder):
            state, last = self.read()
            new, event = make(state, last, history.repair(path, last))
            if new is not state:
                files.write(self.folder / STATE, _content_of(new, event))
            history.write(path, event)
        return new, event

    def download(self, release: str) -> None:
        """Do nothing: all releases are here."""

    upload = download


def state_store(folder: Path) -> "FolderState | BucketState":
    """Return where the state of an environment is: in its folder, or in the bucket of $RELEASES."""
    if address := paths.address(folder):
        from rung_ops.release.bucket import (
            BucketState,
        )  # with a library that a folder does not need

        return BucketState(folder, address)
    return FolderState(folder)


def read(folder: Path) -> State:
    """Read the state of an environment; an empty one before the first deployment."""
    store = state_store(folder)
    with suppress(BundleError, StateError):  # what cannot be taken up can be rolled back
        store.synchronize()
    return store.latest()[0]


def served_manifest() -> dict[str, Any] | None:
    """Return the manifest of the release that production serves; None if it is not here or unreadable."""
    folder = paths.environment(paths.PRODUCTION)
    try:
        serving = read(folder).serving
        return read_manifest(paths.bundle(folder, serving)) if serving else None
    except (StateError, BundleError, OSError):
        return None


def read_with_entry(folder: Path) -> tuple[State, dict[str, Any] | None]:
    """Read the state, and the history line of its last change, as they are on this machine."""
    return state_store(folder).read()


def events(folder: Path) -> list[dict[str, Any]]:
    """Read the events of an environment, oldest first."""
    last = read_with_entry(folder)[1]
    written = history.read(folder / HISTORY)
    return written if last is None or last in written else [*written, last]


def change(
    folder: Path,
    event: str,
    by: str,
    expected: int | None,
    move: Move,
) -> State:
    """Change the state of an environment under its lock.

    Args:
        folder: of the environment.
        event: its name in the history.
        by: the person or program that makes the change.
        expected: the generation that the decision is based on; None accepts any.
        move: returns the new state; raises ChangeRefusedError when the current state does not allow it.

    Raises:
        ChangeRefusedError: `move` refuses it, or the generation is not the expected one.
        StateError: state.json is damaged.
        files.LockTimeoutError: another process holds the lock.
    """

    def make(state: State, last: dict[str, Any] | None, previous_hash: str) -> Changed:
        if expected is not None:
            _expect(folder, state, last, expected)
        new, detail = move(state)
        new = replace(new, generation=state.generation + 1)
        served = {"generation": new.generation, "serving": new.serving}
        # With the whole state, so that state.json cannot say anything else.
        detail = served | detail | {"state": asdict(new)}
        made = history.new_event(previous_hash, event, by, detail)
        _content_of(new, made)  # before anything is written
        return new, made

    return state_store(folder).append(make)[0]


def expect(folder: Path, generation: int) -> None:
    """Raise ChangeRefusedError if the state of an environment is no longer of this generation."""
    _expect(folder, *state_store(folder).latest(), generation)


def _expect(folder: Path, state: State, last: dict[str, Any] | None, expected: int) -> None:
    if expected != state.generation:
        raise changed_meanwhile(folder, last)


def note(folder: Path, event: str, by: str, **detail: Any) -> dict[str, Any]:
    """Append an event to the history of an environment without changing its state."""

    def make(state: State, _: dict[str, Any] | None, previous_hash: str) -> Changed:
        return state, history.new_event(previous_hash, event, by, detail)

    return state_store(folder).append(make)[1]


def restore(folder: Path, entry: dict[str, Any]) -> State:
    """Write state.json again as a line of the history holds it; return the state."""
    try:
        state = state_of(entry["detail"].get("state") or {})
    except StateError as error:
        raise StateError(f"The last change in {HISTORY} holds no state: {error}.") from error
    with files.locked(folder):
        files.write(folder / STATE, _content_of(state, entry))
    return state


def _content_of(state: State, entry: dict[str, Any]) -> bytes:
    """Write a state and its history line as JSON; refuse what read() would refuse."""
    content = json.dumps(asdict(state) | {"entry": entry}, indent=2).encode() + b"\n"
    if len(content) > MAX_BYTES:
        raise ChangeRefusedError(
            f"The new state takes {len(content):,} bytes: give a shorter reason."
        )
    try:
        parse(content)
    except StateError as error:
        raise ChangeRefusedError(f"The new state is invalid: {error}.") from error
    return content


def serve(folder: Path, release: str, by: str, expected: int | None = None) -> State:
    """Serve a release to all requests; end a canary and a shadow, so they cannot replace it."""

    def move(state: State) -> Changed:
        if state.serving == release:
            raise ChangeRefusedError(f"{release} is served already.")
        return _serve(replace(state, shadow=None), release)

    return change(folder, "serve", by, expected, move)


def shadow(
    folder: Path,
    release: str,
    share: float,
    by: str,
    expected: int | None = None,
    plan: Plan | None = None,
) -> State:
    """Start a shadow: a release scores a share of the requests, in (0, 1], unseen by callers."""

    def move(state: State) -> Changed:
        _check_candidate(state, release)
        if not 0 < share <= 1:
            raise ChangeRefusedError(f"Got a share of {share}; expected more than 0 and at most 1.")
        started = Shadow(release, share, _now(), plan)
        return replace(state, shadow=started), {"release": release, "share": share}

    return change(folder, "shadow", by, expected, move)


def canary(
    folder: Path,
    release: str,
    by: str,
    expected: int | None = None,
    plan: Plan | None = None,
) -> State:
    """Start a canary: a release answers the first step's share of the requests.

    A release that was in the shadow keeps its plan.
    """

    def move(state: State) -> Changed:
        _check_candidate(state, release)
        before = state.shadow if state.shadow and state.shadow.release == release else None
        started = Canary(release, 0, _now(), before.plan if before else plan)
        shadow = None if before else state.shadow
        return replace(state, canary=started, shadow=shadow), {"release": release}

    return change(folder, "canary", by, expected, move)


def advance(folder: Path, by: str, expected: int | None = None) -> State:
    """Move the canary to its next step."""

    def move(state: State) -> Changed:
        current = _canary_of(state)
        following = replace(current, step=current.step + 1, since=_now())
        detail = {"release": following.release, "step": following.step}
        return replace(state, canary=following), detail

    return change(folder, "advance", by, expected, move)


def promote(folder: Path, by: str, expected: int | None = None) -> State:
    """Serve the canary to all requests; a shadow stays and is compared with it from now on."""

    def move(state: State) -> Changed:
        return _serve(state, _canary_of(state).release)

    return change(folder, "promote", by, expected, move)


def end_trial(
    folder: Path,
    reason: str,
    by: str,
    expected: int | None = None,
    release: str | None = None,
    event: str = "end_trial",
) -> State:
    """End the canary or shadow of a release; by default the canary if there is one."""

    def move(state: State) -> Changed:
        candidates = [each for each in (state.canary, state.shadow) if each is not None]
        if not candidates:
            raise ChangeRefusedError("There is neither a canary nor a shadow to end.")
        ended = next((each for each in candidates if release in (None, each.release)), None)
        if ended is None:
            raise ChangeRefusedError(f"{release} is neither the canary nor the shadow.")
        is_canary = ended is state.canary
        left = replace(state, canary=None) if is_canary else replace(state, shadow=None)
        return left, {"release": ended.release, "reason": reason}

    return change(folder, event, by, expected, move)


# Ends a trial of which something is known to be wrong.
abort = partial(end_trial, event="abort")


def roll_back(
    folder: Path,
    by: str,
    reason: str = "",
    expected: int | None = None,
    source: str | None = None,
) -> State:
    """End a canary and a shadow; serve the previous release again if there is neither.

    Where `source` names a release that is in neither role any more, nothing is changed.
    """

    def move(state: State) -> Changed:
        if source is not None and source not in (state.serving, *state.on_trial):
            raise ChangeRefusedError(f"{source} is neither served nor on trial.")
        if state.on_trial:
            ended = dict(zip(("release", SECOND), state.on_trial, strict=False))
            return replace(state, canary=None, shadow=None), ended | {"reason": reason}
        if not state.previous:
            raise ChangeRefusedError("There is no previous release to roll back to.")
        left = replace(state, serving=state.previous[0], previous=state.previous[1:])
        return left, {"release": state.serving, "reason": reason}

    return change(folder, "roll_back", by, expected, move)


def stop(folder: Path, by: str, reason: str, expected: int | None = None) -> State:
    """Refuse all requests, whatever is deployed, until resume()."""

    def move(state: State) -> Changed:
        return replace(state, stopped=Stopped(by, now(), reason)), {"reason": reason}

    return change(folder, STOP, by, expected, move)


def resume(folder: Path, by: str, expected: int | None = None) -> State:
    """Accept requests again after stop()."""

    def move(state: State) -> Changed:
        if not state.stopped:
            raise ChangeRefusedError("The service is not stopped.")
        return replace(state, stopped=None), {}

    return change(folder, RESUME, by, expected, move)


def stopped_by(event: dict[str, Any]) -> Stopped:
    """Return what the line of a stop says."""
    return Stopped(event["by"], event["at"], str(event["detail"].get("reason", "")))


def concerns(event: dict[str, Any], release: str) -> bool:
    """Return whether an event of the history is about a release."""
    return release in (event["detail"].get("release"), event["detail"].get(SECOND))


def _serve(state: State, release: str) -> Changed:
    before = [state.serving] if state.serving else []
    previous = [each for each in (*before, *state.previous) if each != release]
    kept = tuple(previous[:MAX_PREVIOUS])
    return replace(state, serving=release, previous=kept, canary=None), {"release": release}


def _check_candidate(state: State, release: str) -> None:
    if state.serving is None:
        raise ChangeRefusedError("No release is served yet that this one could be compared with.")
    if release == state.serving:
        raise ChangeRefusedError(f"{release} is served already.")
    if state.canary and state.canary.release == release:
        raise ChangeRefusedError(f"{release} is the canary already.")


def _canary_of(state: State) -> Canary:
    if state.canary is None:
        raise ChangeRefusedError("There is no canary.")
    return state.canary
