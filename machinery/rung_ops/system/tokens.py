"""Tokens of people and programs that may ask the service for something, each with a name.

A variable such as `PREDICT_TOKENS="Loan desk:TOKEN, Night batch:TOKEN"` lists them, or a file that
PREDICT_TOKENS_FILE names, as secrets are mounted, with one in each line.
"""

import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path

from rung_ops.errors import SettingsError
from rung_ops.system import key_names
from rung_ops.system.files import read_regular

SHORTEST = 16  # characters of a token
MAX_BYTES = 100_000  # of a file of tokens
MAKING = '`python -c "import secrets; print(secrets.token_urlsafe())"` makes one'


def named(variable: str) -> dict[bytes, str]:
    """Read the tokens of a variable, or of the file that VARIABLE_FILE names: holder by token.

    Raises:
        SettingsError: the file cannot be read, or it is not a list of names with tokens.
    """
    listed = os.environ.get(variable, "")
    if listed == f"$({variable})":  # what Azure Pipelines gives for a variable that is not there
        listed = ""
    if not listed and (name := os.environ.get(f"{variable}{key_names.IN_A_FILE}", "")):
        try:
            # Kubernetes mounts secrets as links.
            listed = read_regular(Path(name), MAX_BYTES, follow=True).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{variable}_FILE: {error}") from error
        if not listed.strip():
            raise SettingsError(f"{variable}_FILE: {name} is empty")
    return _parsed(listed.strip(), variable) if listed.strip() else {}


def holder(token: bytes, tokens: Mapping[bytes, str]) -> str | None:
    """Name the holder of a token; None if it is unknown."""
    matched = None
    for known, name in tokens.items():
        # Each is compared, in a time that does not depend on how much of it is right.
        if hmac.compare_digest(token, known):
            matched = name
    return matched


def bearer(authorization: bytes) -> bytes | None:
    """Take the token out of the value of the header `Authorization`; None if there is none."""
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _parsed(listed: str, variable: str) -> dict[bytes, str]:
    tokens: dict[bytes, str] = {}
    for number, entry in enumerate(re.split(r"[,\n]", listed), start=1):
        name, _, token = (part.strip() for part in entry.rpartition(":"))
        if not any(sign.isalnum() for sign in name) or len(token) < SHORTEST:
            raise SettingsError(
                f"{variable}: entry {number} is not `NAME:TOKEN` with {SHORTEST} characters or more"
            )
        known = {each.casefold() for each in tokens.values()}
        if token.encode() in tokens or name.casefold() in known:
            raise SettingsError(f"{variable}: entry {number} repeats a name or a token")
        tokens[token.encode()] = name
    return tokens
