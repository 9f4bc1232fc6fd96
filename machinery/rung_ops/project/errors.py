"""The error that a stage or a verb reports to the person who runs it."""


class StageError(Exception):
    """Something that the person who runs a stage can fix; the message says what, where, and how."""
