"""Three rungs: to start on, to reach within twelve months, and the north star."""

from dataclasses import dataclass

from rung.assess.game import Game
from rung.assess.scan import Scan
from rung.assess.shares import DIGITS, Shares
from rung.assess.weights import Step


@dataclass(frozen=True)
class Rung:
    """A rung, and the reasons for just this one."""

    level: int
    because: tuple[str, ...]


def start(shares: Shares, scan: Scan | None, chosen: int | None) -> Rung:
    """Return the first rung: that of a scanned repository, else the one that technology allows."""
    if scan is not None:
