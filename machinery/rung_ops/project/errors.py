"""Errors that a stage or a verb reports to the person who runs it."""


class NoProjectError(Exception):
    """The working directory is in no project; the message says what to do."""


class StageError(Exception):
    """Something that the person who runs a stage can fix; the message says what, where, and how."""
