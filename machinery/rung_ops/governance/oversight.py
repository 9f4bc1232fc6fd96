"""How a person overrules a prediction, or stops the model, through the service itself.

POST /override, GET /override/ID, POST /stop, POST /resume: JSON in and out, each with the header
`Authorization: Bearer TOKEN`, where TOKEN is the variable OPERATOR_TOKEN of the service. All that
is done goes into the audit log. Who may do it, and when: governance/oversight.md.
"""

import asyncio
import hmac
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from rung_ops.governance import kill_switch, overrides
from rung_ops.governance.overrides import Incomplete, Overrides, complete, override_decision
from rung_ops.governance.signed_state import SignedStateReader
from rung_ops.release import history, paths, state
from rung_ops.serving.refusal import Refusal
from rung_ops.serving.service import Service
from rung_ops.serving.state_reader import StateReader
from rung_ops.system import locks

LOG = logging.getLogger("service")

TOKEN = "OPERATOR_TOKEN"
SHORTEST_TOKEN = 16
MAX_BYTES = 16_000
WAIT, TURNS = 2.0, 20  # seconds for which an answer waits until the service has resumed; looks
UNWRITABLE = (OSError, locks.LockTimeoutError, state.BadState)

Answer = Callable[[Request], Awaitable[Any]]


def routes(service: Service) -> list[Route]:
    """Make the routes that let people oversee a service."""
    token = os.environ.get(TOKEN, "")
    oversight = Oversight(service, paths.environment(service.environment))
    return [
        Route("/override", _guarded(oversight.override, token), methods=["POST"]),
        Route("/override/{id:path}", _guarded(oversight.overridden, token), methods=["GET"]),
        Route("/stop", _guarded(oversight.stop, token), methods=["POST"]),
        Route("/resume", _guarded(oversight.resume, token), methods=["POST"]),
    ]


def state_reader(folder: Path) -> StateReader:
    """Return what reads the state of an environment: under governance production is signed."""
    return SignedStateReader(folder) if folder.name == paths.PRODUCTION else StateReader(folder)


class Oversight:
    """Does what people ask for, and writes it down before it says so."""

    def __init__(self, service: Service, folder: Path) -> None:
        """Oversee a service.

        Args:
            service: that is stopped and resumed.
            folder: of its environment, with state and audit log.
        """
        self._service = service
        self._folder = folder
        self._overrides = Overrides(folder)

    async def override(self, request: Request) -> dict[str, Any]:
        """Record that a person decided otherwise than was predicted, or in spite of it."""
        wanted = override_decision(await _sent(request))
        try:
            problems = await run_in_threadpool(overrides.record, self._folder, wanted)
        except UNWRITABLE as error:
            raise Refusal(503, f"The override was not recorded: {error}", retry_after=5) from error
        return _with_warning({"id": wanted.id, "recorded": True}, problems)

    async def overridden(self, request: Request) -> dict[str, Any]:
        """Tell what people decided about a prediction; the last one counts."""
        prediction = request.path_params["id"]
        found = await run_in_threadpool(self._overrides.of, prediction)
        if not found:
            raise Refusal(404, f"There is no override of a prediction {prediction!r}.")
        return {"id": prediction, **found[-1], "earlier": found[:-1]}

    async def stop(self, request: Request) -> dict[str, Any]:
        """Refuse every prediction: of this process at once, of all when it is written down."""
        fields = complete(await _sent(request), kill_switch.FIELDS)
        by, reason = fields["by"], fields["reason"]
        # At once, and without the disk.
        stopped = state.Stopped(by, history.now(), reason)
        self._service.halt(stopped)
        LOG.warning("Stopped by %r: %r", by, reason)
        try:
            problems = await run_in_threadpool(kill_switch.switch_off, self._folder, by, reason)
        except UNWRITABLE as error:
            raise Refusal(
                500,
                f"This process is stopped, but that could not be written down ({error}): it does "
                "not hold for others, nor after a restart. Stop them on their host.",
            ) from error
        # From here on the state on disk decides, also where the command line resumes; the service
        # reads it a moment later.
        standing = self._service.held
        self._service.install(replace(standing, state=replace(standing.state, stopped=stopped)))
        self._service.halt(None)
        return _with_warning({"stopped": True, "by": by, "reason": reason}, problems)

    async def resume(self, request: Request) -> dict[str, Any]:
        """Predict again."""
        fields = complete(await _sent(request), kill_switch.FIELDS)
        try:
            problems = await run_in_threadpool(
                kill_switch.switch_on, self._folder, fields["by"], fields["reason"]
            )
        except state.Refused as refused:
            if self._service.stopped is None:
                raise Refusal(409, str(refused)) from refused
            problems = ["That it was stopped is written nowhere, and that it goes on neither."]
        except UNWRITABLE as error:
            raise Refusal(503, f"It is still stopped: {error}", retry_after=5) from error
        LOG.warning("Resumed by %r: %r", fields["by"], fields["reason"])
        self._service.halt(None)
        # Nothing else is switched on: it may have been stopped again in the meantime.
        for _ in range(TURNS):
            if self._service.stopped is None:
                break
            await asyncio.sleep(WAIT / TURNS)
        return _with_warning({"stopped": self._service.stopped is not None, **fields}, problems)


def _guarded(answer: Answer, token: str) -> Callable[[Request], Awaitable[Response]]:
    """Let only holders of the token through, and answer every mistake in JSON."""

    async def endpoint(request: Request) -> Response:
        try:
            _authorise(request, token)
            return Response(msgspec.json.encode(await answer(request)), media_type=JSON)
        except Incomplete as error:
            refusal = Refusal(422, str(error))
        except ClientDisconnect:
            refusal = Refusal(400, "The request was not sent to its end.")
        except Refusal as error:
            refusal = error
        headers = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
        if refusal.retry_after is not None:
            headers["retry-after"] = str(refusal.retry_after)
        return Response(refusal.body(), refusal.status, headers, JSON)

    return endpoint


JSON = "application/json"


def _authorise(request: Request, token: str) -> None:
    if len(token) < SHORTEST_TOKEN:
        raise Refusal(
            403,
            f"Oversight of this service is not set up: start it with the variable {TOKEN} set to a "
            f"secret of {SHORTEST_TOKEN} characters or more "
            '(`python -c "import secrets; print(secrets.token_urlsafe())"` makes one), and give '
            "it to those whom governance/oversight.md names. `uv run poe stop` works without.",
        )
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # In a time that does not depend on how much of it is right.
    right = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not right:
        raise Refusal(401, f"Send `Authorization: Bearer TOKEN`, with the service's {TOKEN}.")


async def _sent(request: Request) -> Any:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise Refusal(413, f"The body is larger than {MAX_BYTES:,} bytes.")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refusal(400, f"The body is not JSON: {error}") from error


def _with_warning(answer: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    for problem in problems:
        LOG.error("%s", problem)
    return answer | ({"warning": " ".join(problems)} if problems else {})
