"""Who may oversee the service, and who it is that asks: one shared token, or one for each person.

OPERATOR_TOKEN is a token that all share: the name in `by` is what they say. OPERATOR_TOKENS, as in
`Olga Officer:TOKEN, Vera Valid:TOKEN`, takes its place: the token says who it is.
"""

import os

from rung_ops.system import key_names, tokens
from rung_ops.system.tokens import SHORTEST

SHARED = key_names.OPERATOR
NAMED = key_names.OPERATORS
ANYBODY = ""  # the holder of the shared token


def from_environment() -> dict[bytes, str]:
    """Read the tokens: holder by token; empty if there is none that is long enough.

    Raises:
        tokens.BadTokens: OPERATOR_TOKENS is not a list of names with tokens.
    """
    if listed := tokens.named(NAMED):
        return listed
    shared = os.environ.get(SHARED, "")
    return {shared.encode(): ANYBODY} if len(shared) >= SHORTEST else {}
