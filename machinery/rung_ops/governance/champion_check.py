"""Whether the version that is champion may be it, asked of the registry that is in use.

A registry that cannot be asked is no fault of the records: `poe check` has to pass offline. It is
said then that nobody looked.
"""

import socket
from pathlib import Path
from urllib.parse import urlsplit

from rung_ops.governance import approval
from rung_ops.tracking.store_address import SQLITE, tracking_uri

REMEDY = f"Bring the record ({approval.RECORDS}/README.md), or take the alias champion away."
PATIENCE = 2.0  # seconds for a server to answer: whoever types `poe check` waits for it
LATER = "Where it can be reached, `uv run poe records` looks."


def objections() -> tuple[list[str], str]:
    """Say what speaks against the champion.

    Returns:
        The objections, and why nobody looked; both empty where all is well.
    """
    uri = tracking_uri()
    # MLflow takes seconds to import, and is left alone where there is nobody to ask.
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        return [], ""
    if uri.startswith("http") and (deaf := _deaf(uri)):
        return [], _not_looked(f"The MLflow server at {uri} does not answer: {deaf}.")
    from rung_ops.tracking import registry, server_check

    if server_check.is_server(uri) and (wrong := server_check.problem(uri, PATIENCE)):
        return [], _not_looked(wrong)
    try:
        with server_check.kept_up(lambda: uri, ""):
            return _of_the_champion(), ""
    except registry.ServerDown as down:
        return [], _not_looked(str(down))


def _of_the_champion() -> list[str]:
    from rung_ops.governance import registry_promotion
    from rung_ops.tracking import registry

    number = registry_promotion.champion()
    return approval.objections(registry.version(number)) if number else []


def _deaf(uri: str) -> str:
    """Say why nobody can be reached at an address; empty where somebody can."""
    place = urlsplit(uri)
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname or "", port), timeout=PATIENCE).close()
    except OSError as error:
        return str(error.strerror or error).lower()
    return ""


def _not_looked(why: str) -> str:
    return f"Whether the champion is approved was not looked at. {why.strip()} {LATER}"
