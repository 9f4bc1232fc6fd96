"""Why a request is refused, in words that tell its sender what to change."""

import msgspec

LONGEST = 60  # characters of a value that is shown


class Refusal(Exception):
    """A request that gets an error for an answer.

    Attributes:
        status: HTTP status: 4xx for a mistake of the caller, 503 if the service cannot answer now.
        message: what is wrong, where, and what is expected.
        row: number of the wrong row, counted from 1; None if it is not a single row.
        column: the wrong column, if it is one.
        retry_after: seconds to wait before another try.
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
        """Encode the refusal as JSON."""
        return msgspec.json.encode(Problem(self.message, self.row, self.column))


class Problem(msgspec.Struct, omit_defaults=True):
    """Why a request is not answered: in words, and the row and column where it is one."""

    error: str
    row: int | None = None
    column: str | None = None


def wrong_column(row: int | None, column: str, what: str) -> Refusal:
    """Return the refusal of a column: `what` says which rule it breaks."""
    where = f"column `{column}`" if row is None else f"row {row}, column `{column}`"
    return Refusal(422, f"{where}: {what}", row, column)


def wrong_value(row: int, column: str, value: object, expected: str) -> Refusal:
    """Return the refusal of a value that breaks a rule, with the first characters of the value."""
    text = f"{value}"
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return wrong_column(row, column, f"got {text}; expected {expected}")
