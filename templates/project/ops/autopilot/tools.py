"""What the steps of a pass share: the rules, the project's verbs, and a voice.

Rung keeps this file; change it through autopilot.toml.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ops.autopilot import journal
from ops.autopilot.journal import Record
from ops.autopilot.policy import Policy
from ops.autopilot.verbs import Verbs
from ops.release import places, state


@dataclass(frozen=True)
class Tools:
    """What every step is given.

    Attributes:
        policy: the rules.
        verbs: runs `poe gate` and its like.
        say: prints a line.
        dry: nothing may be written.
    """

    policy: Policy
    verbs: Verbs
    say: Callable[[str], None]
    dry: bool = False


def production() -> state.State:
    """Read what production serves."""
    return state.read(places.environment(places.PRODUCTION))


def tries(record: Record, name: str) -> int:
    """Tell how often a step was begun, this time included."""
    found = journal.step(record, name)
    return int(found["tries"]) if found else 0
