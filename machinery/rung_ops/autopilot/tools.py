"""What the steps of a pass share: the rules, the project's verbs, and a voice."""

from collections.abc import Callable
from dataclasses import dataclass

from rung_ops.autopilot import journal
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.policy import Policy
from rung_ops.autopilot.task_runner import Verbs
from rung_ops.release import paths, state


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
    return state.read(paths.environment(paths.PRODUCTION))


def tries(record: Record, name: str) -> int:
    """Tell how often a step was begun, this time included."""
    found = journal.step(record, name)
    return int(found["tries"]) if found else 0
