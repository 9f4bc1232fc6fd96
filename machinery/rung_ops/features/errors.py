"""What goes wrong with entity features."""

from rung_ops.errors import StageError


class EntityFeatureError(StageError):
    """An entity feature cannot be computed; the message says which, and why."""
