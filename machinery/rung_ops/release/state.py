"""What an environment serves, state.json and history.jsonl, and every change of it.

Each change takes the folder of the environment, who makes it, and optionally the generation of the state
that the decision is based on: if that has changed since, the change is refused. All raise what
change() raises.

A change takes effect when state.json is replaced. The file also holds the history line of that
change: if a process is killed before it appends the line, the next change appends it.

Where the releases are in a bucket, a change takes effect when the history there is replaced, if no one
else replaced it meanwhile. The folder then holds what synchronize() took up, without state.json.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import msgspec

from rung_ops.errors import OpsError
from rung_ops.model.bundle import BundleError
from rung_ops.project import release_folders
from rung_ops.release import history
from rung_ops.release.history import now
from rung_ops.system import atomic, locks
from rung_ops.system.files import UnusableFileError, read_regular

if TYPE_CHECKING:
    from rung_ops.release.bucket import Bucket

STATE = "state.json"
HISTORY = "history.jsonl"
TAG = ".etag"  # of the bucket's history, as it was taken up
MAX_BYTES = 1_000_000  # of state.json; the commands write a few hundred
MAX_TRIES = 5  # to append to a history in a bucket while others do
MAX_PREVIOUS = 10  # releases that repeated rollbacks can restore
STOP, RESUME = "stop", "resume"  # events that stop() and resume() write
SECOND = "second_release"  # detail of an event that ended both a canary and a shadow
# One component of a path, not hidden: an id becomes the name of a folder.
RELEASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")

# What state.json may hold. Every value is checked: others may write to the folder of releases.
ReleaseId = Annotated[str, msgspec.Meta(pattern=rf"\A{RELEASE_ID.pattern}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class StateError(OpsError):
    """state.json, or a value for it, is nothing that a command writes; the message says what."""


class ChangeRefusedError(OpsError):
    """The current state does not allow the change; the message says why."""


CLOCK = "ROLLOUT_CLOCK"  # names a file that holds the seconds since 1970, for a replay


def clock() -> float:
    """Return the seconds since 1970 that a trial counts: the machine's, or those of the file of CLOCK."""
    path = os.environ.get(CLOCK)
    return float(Path(path).read_text(encoding="utf-8")) if path else time.time()


def _now() -> str:
    return datetime.fromtimestamp(clock(), UTC).isoformat(timespec="milliseconds")


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
Move = Callable[[State], Changed]
# Takes a state, the line of its change, and the hash of the last line; returns the state after an event.
Make = Callable[[State, dict[str, Any] | None, str], Changed]


def read(folder: Path) -> State:
    """Read the state of an environment; an empty one before the first deployment."""
    with suppress(BundleError, StateError):  # what cannot be taken up can be rolled back
        synchronize(folder)
    return latest(folder)[0]


def latest(folder: Path) -> tuple[State, dict[str, Any] | None]:
    """Read the state, and the history line of its last change, from the bucket if there is one."""
    if bucket := bucket_of(folder):
        return _last_change(_history_of(bucket)[0])
    return read_with_entry(folder)


def bucket_of(folder: Path) -> "Bucket | None":
    """Return the bucket of an environment, if $RELEASES names one."""
    if not (address := release_folders.address(folder)):
        return None
    from rung_ops.release.bucket import Bucket  # with a library that a folder does not need

    return Bucket(address)


def synchronize(folder: Path, anew: bool = False) -> None:
    """Take up the state and the releases of an environment's bucket; nothing to do for a folder.

    A state is taken up when the releases that it needs are here and verified. Until then the folder
    keeps what it has.

    Args:
        folder: of the environment.
        anew: verify the releases also if nothing changed since the last time.

    Raises:
        BucketError: the bucket cannot be read.
        BundleError: a release is missing there, or not what was signed.
        StateError: the history there is damaged or missing.
    """
    bucket = bucket_of(folder)
    if bucket is None:
        return
    from rung_ops.release.bucket import SupersededError

    while True:
        with suppress(SupersededError):  # then take up what came after
            _synchronize(folder, bucket, anew)
            return


def _synchronize(folder: Path, bucket: "Bucket", anew: bool) -> None:
    path, tag = folder / HISTORY, folder / TAG
    is_known = not anew and tag.exists() and path.exists()
    known = tag.read_text(encoding="utf-8") if is_known else ""
    found = bucket.history(known)
    if found is None:
        return
    text, version = _verified(bucket, *found)
    if version is None:
        if path.exists():
            raise StateError(
                f"{bucket.address}/{HISTORY} is missing. `poe deploy` a release by its name: that "
                "begins another."
            )
        return
    state = _last_change(text)[0]
    _take_up_releases(folder, bucket, state, version)
    with locks.locked(folder):
        held = history.content(path)
        if len(held) > len(text) and held.startswith(text):
            if len(held) > len(_history_of(bucket)[0]):  # else another process was faster
                raise StateError(
                    f"{bucket.address}/{HISTORY} lacks lines that it had. To go on from what is "
                    f"there, `poe deploy` another release by its name, or delete {path}."
                )
            return
        before = _last_change(held)[0]
        atomic.write(path, text)
        atomic.write(tag, version.get("e_tag", "").encode())
        for release in before.releases() - state.releases():
            shutil.rmtree(release_folders.bundle(folder, release), ignore_errors=True)


def _take_up_releases(folder: Path, bucket: "Bucket", state: State, version: Any) -> None:
    """Download and verify what a state serves and tries, and, if it can be had, what was before."""
    wanted = dict.fromkeys([state.serving, *state.on_trial, *state.previous[:1]])
    problem: OpsError | OSError | None = None
    for release in filter(None, wanted):
        try:
            bucket.take_up(release_folders.bundle(folder, release), version)
        except (OpsError, OSError) as error:
            if release not in state.previous:
                problem = problem or error
    if problem is not None:
        raise problem


def _history_of(bucket: "Bucket") -> tuple[bytes, Any]:
    return _verified(bucket, *(bucket.history() or (b"", None)))


def _verified(bucket: "Bucket", text: bytes, version: Any) -> tuple[bytes, Any]:
    if fault := history.fault(text):
        raise StateError(
            f"{bucket.address}/{HISTORY}: {fault}. Put back an earlier version of it, or delete it "
            "and `poe deploy` a release by its name."
        )
    return text, version


def _last_change(text: bytes) -> tuple[State, dict[str, Any] | None]:
    """Return the state that the last change in a history holds, and its line."""
    for line in reversed(text.splitlines(keepends=True)):
        event = history.event_of(line)
        if event is not None and "generation" in event["detail"]:
            return state_of(event["detail"].get("state")), event
    return State(), None


def _end(text: bytes) -> dict[str, Any] | None:
    return history.event_of(text.splitlines(keepends=True)[-1]) if text else None


def _append(folder: Path, bucket: "Bucket", make: Make) -> State:
    """Append an event to the history in a bucket, which others may do at the same time."""
    for _ in range(MAX_TRIES):
        text, version = _history_of(bucket)
        end = _end(text)
        new, event = make(*_last_change(text), end["hash"] if end else history.START)
        line = history.line_of(event)
        problem: Exception | None = None
        try:
            is_made = bucket.replace_history(text + line, version)
        except OSError as error:
            is_made, problem = False, error
        if is_made or line in (there := _history_of(bucket)[0]):  # or only the answer was lost
            break
        if problem is not None:
            raise problem
    else:
        raise _changed_meanwhile(folder, _end(there))
    with suppress(OpsError, OSError):  # the change was made, and is taken up at the next look
        synchronize(folder)
    return new


def read_with_entry(folder: Path) -> tuple[State, dict[str, Any] | None]:
    """Read the state of an environment and the history line of its last change."""
    if release_folders.address(folder):
        return _taken_up(folder / HISTORY)
    path = folder / STATE
    try:
        return parse(read_regular(path, MAX_BYTES))
    except FileNotFoundError:
        return State(), None
    except (StateError, UnusableFileError) as error:
        raise StateError(
            f"{path} is damaged ({error}). Delete it and `poe deploy` a release by its name; "
            f"the last lines of {path.with_name(HISTORY)} show what was served."
        ) from error


def _taken_up(path: Path) -> tuple[State, dict[str, Any] | None]:
    """Read the state from this machine's copy of a history: one file, so nothing can be half there."""
    if (entry := history.last_change(path)) is None:
        return State(), None
    try:
        return state_of(entry["detail"].get("state")), entry
    except StateError as error:
        raise StateError(
            f"{path} is damaged ({error}). Delete it: it is read from the bucket again."
        ) from error


def events(folder: Path) -> list[dict[str, Any]]:
    """Read the events of an environment, oldest first."""
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
        move: returns the new state; raises ChangeRefusedError when the current state does not allow it.

    Raises:
        ChangeRefusedError: `move` refuses it, or the generation is not the expected one.
        StateError: state.json is damaged.
        locks.LockTimeoutError: another process holds the lock.
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

    if bucket := bucket_of(folder):
        return _append(folder, bucket, make)
    path = folder / HISTORY
    with locks.locked(folder):
        state, last = read_with_entry(folder)
        new, made = make(state, last, history.repair(path, last))
        atomic.write(folder / STATE, _content_of(new, made))
        history.write(path, made)
    return new


def expect(folder: Path, generation: int) -> None:
    """Raise ChangeRefusedError if the state of an environment is no longer of this generation."""
    _expect(folder, *latest(folder), generation)


def _expect(folder: Path, state: State, last: dict[str, Any] | None, expected: int) -> None:
    if expected != state.generation:
        raise _changed_meanwhile(folder, last)


def _changed_meanwhile(folder: Path, last: dict[str, Any] | None) -> ChangeRefusedError:
    change = f": {last['event']} by {last['by']} at {last['at']}" if last else ""
    return ChangeRefusedError(
        f"{folder.name} was changed in the meantime{change}. Check `uv run poe releases` and "
        "run the command again."
    )


def note(folder: Path, event: str, by: str, **detail: Any) -> dict[str, Any]:
    """Append an event to the history of an environment without changing its state."""
    if bucket := bucket_of(folder):
        made: dict[str, Any] = {}

        def make(state: State, _: dict[str, Any] | None, previous_hash: str) -> Changed:
            made.update(history.new_event(previous_hash, event, by, detail))
            return state, made

        _append(folder, bucket, make)
        return made
    path = folder / HISTORY
    with locks.locked(folder):
        previous_hash = history.repair(path, read_with_entry(folder)[1])
        made = history.new_event(previous_hash, event, by, detail)
        history.write(path, made)
    return made


def restore(folder: Path, entry: dict[str, Any]) -> State:
    """Write state.json again as a line of the history holds it; return the state."""
    try:
        state = state_of(entry["detail"].get("state") or {})
    except StateError as error:
        raise StateError(f"The last change in {HISTORY} holds no state: {error}.") from error
    with locks.locked(folder):
        atomic.write(folder / STATE, _content_of(state, entry))
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
    folder: Path, release: str, by: str, expected: int | None = None, plan: Plan | None = None
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
