"""What was measured in a repository, as far as a strategy uses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scan:
    """What was measured in a repository.

    Args:
        level: Its rung.
        coverage: Of each block, the mean points of its capabilities, in [0, 1].
        points: Of each capability, its tier's points: 0, 0.25, 0.5 or 1.
        waived: Capabilities that the team waived, with a reason, in rung.toml.
        notes: What a reader should know besides.
        rung: Whether it is a project of Rung.
    """

    level: int
    coverage: Mapping[str, float]
    points: Mapping[str, float] = field(default_factory=dict)
    waived: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    rung: bool = False
