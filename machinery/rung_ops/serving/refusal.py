"""Why a request is not answered with a prediction, in words that its sender can act upon."""

import msgspec

LONGEST = 60  # characters of a value that is shown


class Refusal(Exception):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP: 4xx for the caller's mistake, 503 when the service cannot answer now.
        message: what is wrong, where, and what is asked for.
        row: number of the row that is wrong, counted from 1; None where it is no single row.
        column: that is wrong, if it is one.
        retry_after: seconds after which another try makes sense.
    """

    def __init__(
        self,
        status: int,
        message: str,
        row: int | None = None,
        column: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.row = row
        self.column = column
        self.retry_after = retry_after

    def body(self) -> bytes:
        """Write it as JSON."""
        return msgspec.json.encode(Problem(self.message, self.row, self.column))


class Problem(msgspec.Struct, omit_defaults=True):
    """Why a request is not answered: in words, and the row and column where it is one."""

    error: str
    row: int | None = None
    column: str | None = None


def broken(row: int | None, column: str, what: str) -> Refusal:
    """Refuse a value: `what` says which rule it breaks."""
    where = f"column `{column}`" if row is None else f"row {row}, column `{column}`"
    return Refusal(422, f"{where}: {what}", row, column)


def unfit(row: int, column: str, value: object, asked: str) -> Refusal:
    """Refuse a value that breaks a rule, and show it, as long as it is short."""
    text = f"{value}"
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return broken(row, column, f"{text} does not fit; asked for is {asked}")
