"""Which game is played: governance, velocity, or something between."""

from dataclasses import dataclass

from rung.assess.shares import Reckoned, Shares


@dataclass(frozen=True)
class Game:
    """A game and the reason for it.

    Args:
        name: governance, velocity or hybrid.
        played: The game a project is made for, governance or velocity.
        score: How far this is the governance game, in [0, 1].
    """

    name: str
    played: str
    score: Reckoned
    because: str


def game(shares: Shares, chosen: str | None) -> Game:
    """Return the game that the answers say, or the one that was chosen."""
    games, score = shares.weights.games, shares.governance
    low, high = games.velocity_up_to, games.governance_from
    if score.total >= high:
        name, because = "governance", f"{score.total:.2f} is at least {high:.2f}"
    elif score.total <= low:
        name, because = "velocity", f"{score.total:.2f} is at most {low:.2f}"
    else:
        name, because = "hybrid", f"{score.total:.2f} is between {low:.2f} and {high:.2f}"
    played = name
    if name == "hybrid":
        played = "governance" if score.total >= games.hybrid_from else "velocity"
        because += f"; a project is made for one game, here {played}"
    if chosen and chosen != name:
        return Game(chosen, chosen, score, f"you chose it; the answers say {name}: {because}")
    return Game(name, played, score, because)
