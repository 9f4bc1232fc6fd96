"""The token of a local service, made at its first start, in a file that git ignores."""

import ipaddress
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request

from rung_ops.project import current
from rung_ops.system import key_names
from rung_ops.system.tokens import SHORTEST


def token_file() -> Path:
    """Return the path of the token for programs on this machine."""
    return current().repository / ".keys/service.token"


HOLDER = "this machine"
VARIABLE = key_names.SERVICE  # what a program of this project sends to a service


def is_local(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def made() -> str | None:
    """Return the token; make it where there is none. None if the file cannot be used."""
    try:
        token_file().parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(token_file(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe()}\n")
    except FileExistsError:
        pass
    except OSError:
        return None
    return _read()


def for_url(url: str) -> str | None:
    """Return what to send to a service: SERVICE_TOKEN, or of this machine's its token."""
    if given := os.environ.get(VARIABLE):
        return given
    return _read() if is_local(urlsplit(url).hostname or "") else None


def request(url: str) -> Request:
    """Make a request to a service, with the token that it may ask for."""
    token = for_url(url)
    return Request(url, headers={"authorization": f"Bearer {token}"} if token else {})


def _read() -> str | None:
    try:
        token = token_file().read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return token if len(token) >= SHORTEST else None
