"""Read private keys from environment variables, as CI and the service's host pass them."""

import base64
import binascii
import os

ONE_LINE = "base64 < {path} | tr -d '\\n'"  # writes a key as a one-line secret


def read(variable: str) -> bytes:
    """Read a private key from an environment variable.

    Some CI vendors mask a secret in logs only if it is one line without spaces, which PEM is not;
    so the PEM text may be in base64.

    Returns:
        PEM text, or the value unchanged if it is not PEM; empty if the variable is not set.
    """
    text = os.environ.get(variable, "").strip().encode()
    if text == f"$({variable})".encode():
        return b""  # Azure leaves the reference if the pipeline has no such variable
    try:
        decoded = base64.b64decode(text, validate=True).strip()
    except binascii.Error:
        return text
    return decoded if decoded.startswith(b"-----") else text
