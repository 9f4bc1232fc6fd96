"""Read what an environment wants served, and say which release may answer there."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rung_ops.errors import OpsError
from rung_ops.project import paths
from rung_ops.release import history
from rung_ops.release import state as states
from rung_ops.release.history import State, StateError, Stopped, is_release_id
from rung_ops.release.state import stopped_by
from rung_ops.system.files import UnusableFileError
from rung_ops.system.patience import without_retries

REPAIR = (
    "Keep a copy of it and of state.json, delete both, and `poe deploy` the release by its name."
)


@dataclass(frozen=True)
class Reading:
    """The result of reading the folder of an environment."""

    state: State  # of the environment, or a substitute
    problems: tuple[str, ...] = ()  # why there is a substitute, or what is wrong with the history
    is_valid: bool = True  # whether state.json and history are intact


@dataclass(frozen=True)
class Objection:
    """A reason against a release that an environment wants served."""

    reason: str
    refuses: bool = True  # whether it may not answer; else this is only reported


class StateReader:
    """Follows state.json and the history of an environment."""

    # Whether code of a release runs in the service only when it may answer; what is in the shadow
    # then has a process of its own.
    is_guarded = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: State | None = None  # the last state that was read
        self._entry: dict[str, Any] | None = None  # history line of the state
        self._checked = history.Checked()
        self._behind_since = ""  # when the bucket, if there is one, could no longer be taken up
        self._has_taken_up = False  # once at least, which verified the releases that were here

    def read(self) -> Reading:
        """Take up what the bucket has, if there is one; read state and history, which may take time."""
        behind = self._behind()
        reading = self._read()
        reading = replace(reading, problems=(*behind, *reading.problems))
        problem = self._history_problem()
        if not problem or not reading.is_valid:
            return reading
        return Reading(reading.state, (*reading.problems, problem), is_valid=False)

    def _behind(self) -> tuple[str, ...]:
        """Say why, and since when, the folder is not what the bucket has; empty if it is."""
        try:
            with without_retries():  # read() is called again
                store = states.state_store(self.folder)
                store.synchronize(recheck=not self._has_taken_up)
        except (OpsError, OSError) as error:
            self._behind_since = self._behind_since or history.now()
            what = str(error).rstrip(".")
            return (f"{what}. Since {self._behind_since} nothing new is taken up.",)
        self._behind_since, self._has_taken_up = "", True
        return ()

    def current(self) -> State:
        """Read the state once more, to find a change since read()."""
        return self._read().state

    def is_resumed(self, line: str) -> bool:
        """Return whether a resumption follows the line of a stop, named by its hash."""
        try:
            after = history.since(self.folder / states.HISTORY, line)
        except OSError:
            return False
        return any(event["event"] == states.RESUME for event in after or ())

    def objection(self, manifest: dict[str, Any]) -> Objection | None:
        """Return what speaks against the release of a verified manifest; here nothing does."""
        return None

    def _read(self) -> Reading:
        """Read the state; if that fails, use the last known state or that of the history."""
        is_valid, self._entry = True, None
        try:
            state, self._entry = states.read_with_entry(self.folder)
            if state.generation:
                self._known = state
                return Reading(state)
            problem = f"{self.folder / states.STATE} is missing."
        except StateError as error:
            problem, is_valid = str(error), False
        except OSError as error:  # unreachable, but not damaged
            problem = str(error)
        substitute = self._known or state_from_history(self.folder)
        if substitute == State() and is_valid:
            return Reading(substitute)
        return Reading(substitute, (problem,), is_valid)

    def _history_problem(self) -> str:
        """Return what is wrong with the history, or with the state's entry in it."""
        path = self.folder / states.HISTORY
        try:
            self._checked = history.follow(path, self._checked)
        except UnusableFileError as error:
            return f"{error}. {REPAIR}"
        except OSError:
            return ""  # unreachable, as above
        if self._checked.fault is not None:
            return f"{path}: {self._checked.fault}. {REPAIR}"
        if paths.address(self.folder):  # the state was read from this file
            return ""
        if self._entry is not None and not self._checked.holds(self._entry):
            return f"{path}: its last change differs from that of {states.STATE}. {REPAIR}"
        return ""


def state_from_history(folder: Path) -> State:
    """Read from the history what was served last, and whether it was stopped.

    A state of generation 0, without what was on trial; the empty one where the history says nothing.
    """
    serving: str | None = None
    previous: list[str] = []
    stopped: Stopped | None = None
    try:
        events = history.read(folder / states.HISTORY)
    except OSError:
        return State()
    for event in events:
        detail = event["detail"]
        # The lines of the history are not trusted.
        named = detail.get("serving")
        now = named if is_release_id(named) else serving
        if serving is not None and now != serving:
            previous = [serving, *(name for name in previous if name not in (serving, now))]
        serving = now
        if event["event"] == states.STOP:
            stopped = stopped_by(event)
        elif event["event"] == states.RESUME:
            stopped = None
    return State(serving=serving, previous=tuple(previous), stopped=stopped)
