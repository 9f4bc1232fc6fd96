"""Who may ask the service: holders of a token, or callers whom a proxy in front of it names.

- PREDICT_TOKENS (see tokens): for predictions, /model and the project's own routes.
- METRICS_TOKENS: for /metrics and /model. Without it /metrics is open, as scrapers expect.
- [access] in ops/service.toml: a header in which a proxy at a trusted address names the caller.
- The local token, for programs on this machine, where none of these is set up: made at the first
  start, in a file that git ignores.

Where an add-on guards the service, no request is answered until one of the first and the last is
set up; elsewhere everybody is. What describes the service, and its health, is open. Routes of an
add-on, or of a module that is given by `--with`, ask for themselves.
"""

import functools
import ipaddress
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from rung_ops import settings
from rung_ops.errors import SettingsError
from rung_ops.model.rows import Refusal
from rung_ops.project import current, service_settings
from rung_ops.system import key_names, tokens
from rung_ops.system.tokens import SHORTEST

PREDICT = key_names.PREDICT
METRICS = key_names.METRICS
VARIABLE = key_names.SERVICE  # the token that a program of this project sends
THIS_MACHINE = "this machine"  # holder of the local token
OPEN = {"/", "/docs", "/openapi.json", "/health/live", "/health/ready"}
READ = {"/metrics", "/model"}  # what tokens of METRICS are for

Asgi = Callable[..., Awaitable[None]]
Count = Callable[[str], None]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[access] of ops/service.toml."""

    # Answer only authenticated callers; by default where an add-on guards the service.
    required: bool | None = None
    # In which a proxy in front names the caller that it has authenticated.
    identity_header: str = ""
    # Of that proxy, as addresses or networks; from others the header means nothing.
    trusted_addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """Decides who is answered."""

    # Holders by token: for predictions, and for figures.
    predict: dict[bytes, str] = field(default_factory=dict, repr=False)
    metrics: dict[bytes, str] = field(default_factory=dict, repr=False)
    header: bytes = b""  # in lower case; empty if no proxy names callers
    trusted: tuple[Network, ...] = ()  # networks of the proxy
    problem: str = ""  # why no caller can be answered; empty otherwise

    @property
    def is_asked_for(self) -> bool:
        """Return whether a caller has to say who it is."""
        return bool(self.predict or self.header or self.problem)

    @property
    def asks(self) -> bool:
        """Return whether any request has to say whose it is."""
        return self.is_asked_for or bool(self.metrics)

    def refusal(self, scope: dict[str, Any]) -> Refusal | None:
        """Return why a request is not answered; None if it is."""
        path = scope["path"]
        if path == "/metrics" and not self.metrics:
            return None
        if not self.is_asked_for and path != "/metrics":
            return None
        known = self.predict | self.metrics if path in READ else self.predict
        if self._is_known(scope, known):
            return None
        if self.problem and path != "/metrics":
            return Refusal(503, self.problem)
        wanted = f"{PREDICT} or {METRICS}" if path in READ else PREDICT
        return Refusal(
            401, f"Send `Authorization: Bearer TOKEN`, with one of the service's {wanted}."
        )

    def _is_known(self, scope: dict[str, Any], known: dict[bytes, str]) -> bool:
        authorization = b""
        names = []
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == self.header:
                names.append(value)
        token = tokens.bearer(authorization) if authorization else None
        if token is not None and tokens.holder(token, known) is not None:
            return True
        # Two names: the proxy has passed on what a caller sent.
        return len(names) == 1 and bool(names[0].strip()) and self._is_trusted(scope.get("client"))

    def _is_trusted(self, client: Sequence[Any] | None) -> bool:
        return client is not None and _is_within(client[0], self.trusted)


EVERYBODY = Access()


def is_match(route: BaseRoute, scope: MutableMapping[str, Any]) -> bool:
    """Return whether a route answers the path of a request, if maybe not its method."""
    return route.matches(scope)[0] is not Match.NONE


def answers(route: BaseRoute, path: str) -> bool:
    """Return whether a route answers a path, if maybe not each method."""
    return is_match(
        route, {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    )


def refused(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """Make the answer to a request that is refused."""
    return Response(refusal.body(), refusal.status, headers, "application/json")


def guarded(
    app: Asgi,
    access: Access,
    asking: Sequence[BaseRoute],
    count: Count,
    health: Sequence[BaseRoute] = (),
    inner: Asgi | None = None,
) -> Asgi:
    """Answer with 401 whom an application must not answer; the routes `asking` ask for themselves.

    Routes of `health` are answered by `inner`, the application without the project's middleware, for every
    caller. `count` is called with `invalid` or `refused` for each request that is not answered.
    """

    if not access.asks:
        return app

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            refusal = access.refusal(scope)
            if refusal is not None and not any(is_match(route, scope) for route in asking):
                if inner is not None and any(is_match(route, scope) for route in health):
                    await inner(scope, receive, send)
                    return
                count("refused" if refusal.status == 503 else "invalid")
                headers = {"www-authenticate": "Bearer"} if refusal.status == 401 else None
                await refused(refusal, headers)(scope, receive, send)
                return
        await app(scope, receive, send)

    return guard


def configured(is_governed: bool, host: str, file: Path | None = None) -> Access:
    """Read who may ask; `host` of this machine alone gets a token of its own.

    Where ops/service.toml does not say it, `is_governed` decides whether callers must authenticate.
    """
    file = service_settings.service_file() if file is None else file
    wanted = read_settings(file)
    networks = tuple(ipaddress.ip_network(network) for network in wanted.trusted_addresses)
    predict, metrics = tokens.named(PREDICT), tokens.named(METRICS)
    header = wanted.identity_header.lower().encode()
    required = is_governed if wanted.required is None else wanted.required
    problem = ""
    if required and not predict and not header:
        token = make_token() if is_local(host) else None
        if token is not None:
            predict = {token.encode(): THIS_MACHINE}
        else:
            problem = (
                f"No caller can be authenticated, so none is answered: start the service with "
                f"{PREDICT} set to `NAME:TOKEN` of each caller ({tokens.MAKING}), or let "
                f"`identity_header` under [access] in {file.name} name the header of a proxy."
            )
    return Access(predict, metrics, header, networks, problem)


def read_settings(file: Path | None = None) -> AccessSettings:
    """Read [access] of ops/service.toml; what it leaves out has its default."""
    file = service_settings.service_file() if file is None else file
    where = f"{file.name}: [access]"
    wanted = settings.read(file, AccessSettings, "access")
    if wanted.identity_header.lower() in ("authorization", "host", "content-type"):
        raise SettingsError(
            f"{where} identity_header: {wanted.identity_header} has another meaning"
        )
    if bool(wanted.identity_header) != bool(wanted.trusted_addresses):
        raise SettingsError(
            f"{where} identity_header and trusted_addresses need each other: a header from any "
            "address can be written by anybody"
        )
    try:
        networks = [ipaddress.ip_network(network) for network in wanted.trusted_addresses]
    except ValueError as error:
        raise SettingsError(f"{where} trusted_addresses: {error}") from error
    if any(network.prefixlen == 0 for network in networks):
        raise SettingsError(f"{where} trusted_addresses: a network of all addresses is not a proxy")
    return wanted


@functools.lru_cache(maxsize=1024)
def _is_within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # the path of a socket
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in network for network in networks)


def token_file() -> Path:
    """Return the file with the token of a local service, which git ignores."""
    return current().repository / ".keys/service.token"


def is_local(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_token() -> str | None:
    """Return the token of this machine, made at the first call; None if the file cannot be used."""
    try:
        token_file().parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(token_file(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe()}\n")
    except FileExistsError:
        pass
    except OSError:
        return None
    return _read_token()


def token_for(url: str) -> str | None:
    """Return the token for a service: SERVICE_TOKEN, or the local one for this machine."""
    if token := os.environ.get(VARIABLE):
        return token
    return _read_token() if is_local(urlsplit(url).hostname or "") else None


def authorized_request(url: str) -> Request:
    """Make a request to a service, with the token that it may require."""
    token = token_for(url)
    return Request(url, headers={"authorization": f"Bearer {token}"} if token else {})


def _read_token() -> str | None:
    try:
        token = token_file().read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return token if len(token) >= SHORTEST else None
