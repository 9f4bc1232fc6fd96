"""The old name of `rung.climbing.ready`."""

from rung.climbing.ready import committed, standing, unobstructed

__all__ = ["committed", "standing", "unobstructed"]
