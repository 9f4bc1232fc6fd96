"""The errors that a user can meet, each with the exit code of the command."""


class RungError(Exception):
    """Something that the user must change: what happened, where, what to do (exit code 2)."""

    code = 2


class NotDoneError(RungError):
    """The answer is no: conflicts are left, or a check failed (exit code 1)."""

    code = 1
