"""The environment variables that hold keys and tokens, for who reads them and who must not."""

import base64
import binascii
import os
import re

RELEASE = "RELEASE_PRIVATE_KEY"
AUDIT = "AUDIT_PRIVATE_KEY"
PREDICT = "PREDICT_TOKENS"
METRICS = "METRICS_TOKENS"
OPERATOR = "OPERATOR_TOKEN"
OPERATORS = "OPERATOR_TOKENS"
SERVICE = "SERVICE_TOKEN"
LOG = "LOG_KEYS"

IN_A_FILE = "_FILE"  # after a name: the variable that says which file holds it
# Of the hosts of git and CI: with these a job pushes, and starts others.
HOSTS = ("GITHUB_TOKEN", "GH_TOKEN", "CI_JOB_TOKEN", "SYSTEM_ACCESSTOKEN")
AGENT = "SSH_AUTH_SOCK"  # signs with the validator's key

OF_LOG = (LOG, LOG + IN_A_FILE)  # what reads the prediction log needs them

_OWN = (RELEASE, AUDIT, PREDICT, METRICS, OPERATOR, OPERATORS, SERVICE, LOG)
ALL = frozenset([*_OWN, *(name + IN_A_FILE for name in _OWN), *HOSTS, AGENT])


ONE_LINE = "base64 < {path} | tr -d '\\n'"  # writes a key as a one-line secret


def key_from(variable: str) -> bytes:
    """Read a private key from an environment variable: PEM text; empty if it is not set.

    Some CI vendors mask a secret in logs only if it is one line without spaces, which PEM is not; so the
    text may be in base64. What is no PEM is returned as it is.
    """
    text = os.environ.get(variable, "").strip().encode()
    if text == f"$({variable})".encode():
        return b""  # Azure leaves the reference if the pipeline has no such variable
    try:
        decoded = base64.b64decode(text, validate=True).strip()
    except binascii.Error:
        return text
    return decoded if decoded.startswith(b"-----") else text


CLOUDS = ("AWS_", "AZURE_", "GOOGLE_")  # how they begin


def drop_unset() -> None:
    """Remove the names that a CI handed on without a value.

    GitHub makes them empty, and Azure the text `$(NAME)`. obstore and Polars would sign with an
    empty key instead of asking for the role of the machine, and panic at an empty address.
    """
    for name in filter(lambda name: name.startswith(CLOUDS), list(os.environ)):
        # Another thread may have removed it.
        if re.fullmatch(r"(\$\(\w+\))?", os.environ.get(name, "")):
            os.environ.pop(name, None)
    if "AWS_ACCESS_KEY_ID" not in os.environ:
        os.environ.pop("AWS_SECRET_ACCESS_KEY", None)
