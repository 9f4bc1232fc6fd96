"""Whether the champion of the registry in use is approved.

A registry that does not answer is not a fault of the records, as `poe check` has to pass offline:
the check says that it was skipped.
"""

import socket
from pathlib import Path
from urllib.parse import urlsplit

from rung_governance import approval
from rung_ops.tracking.store_address import SQLITE, tracking_uri

REMEDY = f"Bring the record ({approval.RECORDS}/README.md), or take the alias champion away."
PATIENCE = 2.0  # seconds for a server to answer; `poe check` waits for it
LATER = "Run `uv run poe records` where it can be reached."


def objections() -> tuple[list[str], str]:
    """List why the champion is not approved.

    Returns:
        The objections, and why the check was skipped; both empty where all is well.
    """
    uri = tracking_uri()
    # MLflow takes seconds to import: not where there is no registry.
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        return [], ""
    if uri.startswith("http") and (error := _connection_error(uri)):
        return [], _skipped(f"The MLflow server at {uri} does not answer: {error}.")
    from rung_ops.tracking import registry, server_check

    if server_check.is_server(uri) and (wrong := server_check.problem(uri, PATIENCE)):
        return [], _skipped(wrong)
    try:
        with server_check.server_errors(lambda: uri, ""):
            return _of_the_champion(), ""
    except registry.ServerDownError as down:
        return [], _skipped(str(down))


def _of_the_champion() -> list[str]:
    from rung_governance import registry_promotion
    from rung_ops.tracking import registry

    number = registry_promotion.champion()
    return approval.objections(registry.version(number), answered=True) if number else []


def _connection_error(uri: str) -> str:
    """Say why a server cannot be reached at an address; empty if it can."""
    address = urlsplit(uri)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=PATIENCE).close()
    except OSError as error:
        return str(error.strerror or error).lower()
    return ""


def _skipped(why: str) -> str:
    return f"The champion's approval was not checked. {why.strip()} {LATER}"
