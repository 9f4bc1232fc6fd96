"""What can go wrong with a warehouse, in words: what happened, where, and what to do."""

import errno
import re

from rung_ops.system.printable import printable

AGAIN = "What was taken stays; `uv run poe data pull` goes on where this one stopped."


class WarehouseError(Exception):
    """Rows cannot be taken; the message says why and what to do.

    Attributes:
        gone: the column that the query asks for and the warehouse does not have, where that is why.
    """

    def __init__(self, message: str, gone: str | None = None) -> None:
        super().__init__(message)
        self.gone = gone


# What PostgreSQL's client says where it gives no code, and what it means.
KNOWN_ERRORS = (
    (
        "password authentication failed",
        "The warehouse refused the user or the password. A password that has expired (VALID UNTIL) "
        "is refused in the same words: ask the administrator, then set WAREHOUSE_URL.",
    ),
    ("no password supplied", "The warehouse asks for a password: put one into WAREHOUSE_URL."),
    (
        "is not permitted to log in",
        "The user is blocked: ask the administrator of the warehouse to unblock it.",
    ),
    ("does not exist", "WAREHOUSE_URL names a user or a database that does not exist: fix it."),
    (
        "no pg_hba.conf entry",
        "The warehouse does not let this machine in with this user: ask its administrator. Some "
        "warehouses want `?sslmode=require` at the end of WAREHOUSE_URL.",
    ),
    ("translate host name", "There is no such host: fix WAREHOUSE_URL, or check the network."),
    (
        "timeout expired",
        "It did not answer in time: look whether this machine may reach it (VPN, firewall).",
    ),
    (
        "Connection refused",
        "Nothing answers there: look whether the warehouse is up, and whether host and port in "
        "WAREHOUSE_URL are right.",
    ),
    ("server closed the connection", f"It went away in the middle. {AGAIN}"),
    ("terminating connection", f"It went away in the middle. {AGAIN}"),
    ("could not receive data", f"The connection broke. {AGAIN}"),
    ("no connection to the server", f"The connection broke. {AGAIN}"),
    ("starting up", "It is starting: try again in a minute."),
    ("shutting down", f"It is being stopped. {AGAIN}"),
    ("too many", "It has no connection free: try again later."),
    ("SSL", "Look at `sslmode` in WAREHOUSE_URL, and at the certificates."),
)
# PostgreSQL's codes, https://www.postgresql.org/docs/current/errcodes-appendix.html
CODES = {
    "42601": "Fix the query: it is not valid SQL.",
    "42P01": "The query names a table that does not exist, or that the user may not see: fix it.",
    "42883": "The query calls an unknown function, or compares types that do not match: fix it.",
    "42P18": "Say of which type a parameter is, such as `$since::timestamp`.",
    "42501": "Ask the administrator of the warehouse for the right to read this (GRANT SELECT).",
    "53100": f"The disk of the warehouse is full: tell its administrator. {AGAIN}",
    "53200": "The warehouse has no memory left: make `window_days` smaller in ops/warehouse.toml.",
    "53300": "It has no connection free: try again later.",
    "57014": "The warehouse stopped the query, which took too long: make `window_days` smaller in "
    "warehouse.toml, or index the watermark.",
    "57P01": f"It was stopped in the middle. {AGAIN}",
    "57P02": f"It crashed in the middle. {AGAIN}",
    "57P03": "It is starting: try again in a minute.",
}
OTHERWISE = "Fix the query, or WAREHOUSE_URL."


def advice(message: str, code: str | None = None) -> str:
    """Say what to do about an error of PostgreSQL.

    Args:
        message: its message.
        code: its SQLSTATE, where there is one.
    """
    if code in CODES:
        return CODES[code]
    return next((words for part, words in KNOWN_ERRORS if part in message), OTHERWISE)


def first_lines(message: str) -> str:
    """Shorten a driver's message to what a person reads: without the query, which is known."""
    lines = [line.strip() for line in message.split("Query was:")[0].splitlines()]
    text = printable(" ".join(line for line in lines if line))
    return re.sub(r"\A[A-Z_]+: (\[libpq\] )?", "", text).rstrip(".?")


def column_in(message: str) -> str | None:
    """Find the name of the column that a message begins with or speaks of first."""
    match = re.search(r'column "?(?:\w+\.)?(\w+)"?', message)
    return match[1] if match else None


def full_disk(error: OSError, where: str) -> WarehouseError | None:
    """Say that a disk is full; None for an error of another kind."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT) and "No space left" not in str(error):
        return None
    return WarehouseError(f"The disk is full, and {where} was not written. Make room. {AGAIN}")
