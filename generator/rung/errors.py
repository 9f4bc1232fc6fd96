"""The errors a person can meet, each with the exit code the command ends with."""


class RungError(Exception):
    """Say what happened, where, and what to do; the command ends with `code`."""

    code = 2


class Conflicts(RungError):
    """The answer is no: something is left for a person to decide."""

    code = 1


class CommandFailed(RungError):
    """A program that Rung ran ended with an error; its output stands in the message."""

    code = 1
