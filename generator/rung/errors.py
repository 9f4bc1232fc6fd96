"""The errors a person can meet, each with the exit code the command ends with."""


class RungError(Exception):
    """Something the person must change: what happened, where, and what to do (exit code 2)."""

    code = 2


class NotDoneError(RungError):
    """The answer is no: conflicts are left, or a check failed (exit code 1)."""

    code = 1
