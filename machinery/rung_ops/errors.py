"""The errors that a person can mend: what happened, where, and what to do."""

from typing import ClassVar


class OpsError(Exception):
    """Something that the person who typed a command, or called a function, can mend.

    `rung-ops` prints the message without a traceback and ends with `exit_code`. Packages have a
    few classes of their own below this one, for what a caller has to tell apart.

    Attributes:
        message: what happened, and where.
        remedy: what to do, where the message does not say it already.
        exit_code: 1 if the answer is no, 2 if the command cannot be run as it was typed.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "", remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class UsageError(OpsError):
    """A command cannot run as it was typed, or with what the project has: exit code 2."""

    exit_code = 2


class NoProjectError(UsageError):
    """The working directory is in no project, or in one of another version of the library."""


class SettingsError(OpsError):
    """A file of settings cannot be used: not TOML, an unknown name, or a wrong value.

    Attributes:
        place: table and key that it is about; empty where a message names them otherwise, or none.
    """

    def __init__(
        self, message: str = "", remedy: str = "", place: tuple[str, str] = ("", "")
    ) -> None:
        super().__init__(message, remedy)
        self.place = place


class StageError(OpsError):
    """A stage or a verb cannot do its work; public, as rung_ops.stages.StageError."""


class UnreadableFileError(StageError):
    """A file of data, a document or a model cannot be read; the message says which, why and what to do."""


class VersionError(StageError):
    """A version cannot be used or released: its model, or a fact of it; the message says why."""
