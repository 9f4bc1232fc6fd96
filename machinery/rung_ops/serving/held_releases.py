"""The loaded releases of an environment's state, as one value that is replaced as a whole."""

from dataclasses import dataclass

from rung_ops.release.state import State
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.serving.shadow import Shadow


@dataclass(frozen=True)
class HeldReleases:
    """The loaded releases of an environment's state.

    Attributes:
        state: of the environment, as it was read last.
        serving: the release that answers; None while there is none.
        canary: the release that answers some requests.
        shadow: the release in shadow.
        problems: what is wrong, in words; empty where all is as the state asks for.
        is_state_valid: state and history of the environment are what the commands have written.
    """

    state: State = State()
    serving: LoadedRelease | None = None
    canary: LoadedRelease | None = None
    shadow: Shadow | None = None
    problems: tuple[str, ...] = ()
    is_state_valid: bool = True
