"""Who may oversee the service, and who it is that asks: one shared token, or one for each person.

OPERATOR_TOKEN is a token that all share: the name in `by` is what they say. OPERATOR_TOKENS, as in
`Olga Officer:TOKEN, Vera Valid:TOKEN`, takes its place: the token says who it is.
"""

import hmac
import os
from collections.abc import Mapping

SHARED = "OPERATOR_TOKEN"
NAMED = "OPERATOR_TOKENS"
SHORTEST = 16  # characters of a token
ANYBODY = ""  # the holder of the shared token


class BadTokens(Exception):
    """OPERATOR_TOKENS cannot be read; the message holds no token."""


def from_environment() -> dict[str, str]:
    """Read the tokens: holder by token; empty where there is none that is long enough.

    Raises:
        BadTokens: OPERATOR_TOKENS is not a list of names with tokens.
    """
    if listed := os.environ.get(NAMED, ""):
        return _named(listed)
    shared = os.environ.get(SHARED, "")
    return {shared: ANYBODY} if len(shared) >= SHORTEST else {}


def holder(given: str, tokens: Mapping[str, str]) -> str | None:
    """Name the holder of a token; None where nobody holds it."""
    found = None
    for token, name in tokens.items():
        # Each is compared, in a time that does not depend on how much of it is right.
        if hmac.compare_digest(given.encode(), token.encode()):
            found = name
    return found


def _named(listed: str) -> dict[str, str]:
    tokens: dict[str, str] = {}
    for number, each in enumerate(listed.split(","), start=1):
        name, _, token = (part.strip() for part in each.rpartition(":"))
        if not any(sign.isalnum() for sign in name) or len(token) < SHORTEST:
            raise BadTokens(
                f"{NAMED}: entry {number} is not `NAME:TOKEN` with {SHORTEST} characters or more"
            )
        if token in tokens or name in tokens.values():
            raise BadTokens(f"{NAMED}: entry {number} repeats a name or a token")
        tokens[token] = name
    return tokens
