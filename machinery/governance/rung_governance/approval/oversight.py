"""Human oversight through the service: override a prediction, stop the model, resume it.

POST /override, GET /override/ID, POST /stop, POST /resume, with `Authorization: Bearer TOKEN`: of
OPERATOR_TOKEN, which all share so that `by` is what the caller says, or of OPERATOR_TOKENS, as in
`Olga Officer:TOKEN, Vera Valid:TOKEN`, where the token identifies the person.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from rung_governance.approval import audit, kill_switch, overrides
from rung_governance.approval.admission import SignedStateReader
from rung_governance.approval.audit import UnsignedLogError
from rung_governance.approval.kill_switch import complete
from rung_governance.approval.overrides import Overrides
from rung_ops.errors import SettingsError
from rung_ops.model import json_text
from rung_ops.model.rows import Refusal
from rung_ops.project import paths
from rung_ops.release import history, state
from rung_ops.serving.service import Service
from rung_ops.serving.state_reader import StateReader
from rung_ops.system import key_names, tokens

SHARED = key_names.OPERATOR
NAMED = key_names.OPERATORS
ANYBODY = ""  # the holder of the shared token


def from_environment() -> dict[bytes, str]:
    """Read the tokens: holder by token; empty if there is none that is long enough."""
    if listed := tokens.named(NAMED):
        return listed
    shared = os.environ.get(SHARED, "")
    return {shared.encode(): ANYBODY} if len(shared) >= tokens.SHORTEST else {}


LOG = logging.getLogger("service")

IS_GOVERNED = True  # the service asks its callers who they are
MAX_BYTES = 16_000
WAIT, TURNS = 2.0, 20  # seconds for which an answer waits until the service has resumed; looks
LOGGED, LOOKS = 4.0, 8  # seconds within which a prediction is in the log; looks
GONE = (
    "Yet this process accepted a stop, whose line is gone from the audit log: put the files back as "
    "they were, and then resume."
)
UNREADABLE = (OSError, pl.exceptions.PolarsError)

Answer = Callable[[Request], Awaitable[Any]]


def routes(service: Service) -> list[Route]:
    """Make the routes that let people oversee a service."""
    try:
        holders = from_environment()
    except SettingsError as error:  # it goes on predicting, without oversight
        LOG.error("%s", error)
        holders = {}
    oversight = Oversight(service, paths.environment(service.environment))
    return [
        Route("/override", _guarded(oversight.override, holders), methods=["POST"]),
        Route("/override/{id:path}", _guarded(oversight.overridden, holders), methods=["GET"]),
        Route("/stop", _guarded(oversight.stop, holders), methods=["POST"]),
        Route("/resume", _guarded(oversight.resume, holders), methods=["POST"]),
    ]


def state_reader(folder: Path) -> StateReader:
    """Return what reads the state of an environment: signed, unless it is just staging."""
    return (
        StateReader(folder)
        if folder.resolve().name == paths.STAGING
        else SignedStateReader(folder, True)
    )


class Oversight:
    """Does what people ask for, and writes it down before it says so."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._service = service
        self._folder = folder
        self._overrides = Overrides(folder)

    async def override(self, request: Request) -> dict[str, Any]:
        """Record that a person decided otherwise than was predicted, or in spite of it."""
        wanted = complete(await _sent(request), overrides.FIELDS)
        if not await self._is_logged(wanted["id"]):
            raise Refusal(404, f"The log has no prediction {wanted['id']!r}: check the id.")
        try:
            problems = await run_in_threadpool(overrides.record, self._folder, wanted)
        except audit.UNWRITABLE as error:
            raise Refusal(503, f"The override was not recorded: {error}", retry_after=5) from error
        return _with_warning({"id": wanted["id"], "recorded": True}, problems)

    async def _is_logged(self, prediction: str) -> bool:
        """Look for a prediction in the log, which has it about a second after the answer."""
        missing: list[str] | None = None
        for _ in range(LOOKS):
            try:
                missing = await run_in_threadpool(overrides.not_logged, self._folder, [prediction])
            except UNREADABLE as error:  # what a person decides is not lost with the log
                LOG.error("The prediction log could not be read: %s", error)
                return True
            if missing == []:
                return True
            await asyncio.sleep(LOGGED / LOOKS)
        return missing is None  # where nothing is logged, nothing can be compared

    async def overridden(self, request: Request) -> dict[str, Any]:
        """Tell what people decided about a prediction; the last one counts."""
        prediction = request.path_params["id"]
        overrides = await run_in_threadpool(self._overrides.entries, prediction)
        if not overrides:
            raise Refusal(404, f"There is no override of a prediction {prediction!r}.")
        return {"id": prediction, **overrides[-1], "earlier": overrides[:-1]}

    async def stop(self, request: Request) -> dict[str, Any]:
        """Refuse every prediction: of this process at once, of all when it is written down."""
        fields = complete(await _sent(request), kill_switch.FIELDS)
        by, reason = fields["by"], fields["reason"]
        # At once, and without the disk.
        stopped = state.Stopped(by, history.now(), reason)
        self._service.halt(stopped)
        LOG.warning("Stopped by %r: %r", by, reason)
        try:
            write = partial(kill_switch.write_stop, self._folder, by, reason)
            line, problems = await run_in_threadpool(write)
        except audit.UNWRITABLE as error:
            raise Refusal(
                500,
                f"This process is stopped, but that could not be written down ({error}): it does "
                "not hold for others, nor after a restart. Stop them on their host.",
            ) from error
        # From here on the log decides, also where the command line resumes: a resumption that follows
        # this very line. Files that are put in its place say nothing of it, and end nothing.
        self._service.halt(stopped, line)
        self._service.end_halt()
        return _with_warning({"stopped": True, "by": by, "reason": reason}, problems)

    async def resume(self, request: Request) -> dict[str, Any]:
        """Predict again."""
        fields = complete(await _sent(request), kill_switch.FIELDS)
        stopped, refusal = self._service.stopped, None
        person, stoppers = request.state.person, {stopped.by} if stopped else set()
        try:
            stoppers |= await run_in_threadpool(kill_switch.stopped_by, self._folder)
            if person and person in stoppers:
                raise Refusal(403, f"{person} stopped it: another person lets it go on.")
            problems = await run_in_threadpool(kill_switch.switch_on, self._folder, **fields)
        except UnsignedLogError as error:
            raise Refusal(503, f"It is still stopped: {error}") from error
        except state.ChangeRefusedError as refused:
            if self._service.stopped is None:
                raise Refusal(409, str(refused)) from refused
            refusal = refused
            problems = ["That it was stopped is written nowhere, and that it goes on neither."]
        except audit.UNWRITABLE as error:
            raise Refusal(503, f"It is still stopped: {error}", retry_after=5) from error
        self._service.end_halt()
        # Nothing else is switched on: it may have been stopped again in the meantime.
        for _ in range(TURNS):
            if self._service.stopped is None:
                break
            await asyncio.sleep(WAIT / TURNS)
        if refusal is not None and self._service.stopped is not None:
            raise Refusal(409, f"It is still stopped: {refusal} {GONE}") from refusal
        LOG.warning("Resumed by %r: %r", fields["by"], fields["reason"])
        return _with_warning({"stopped": self._service.stopped is not None, **fields}, problems)


def _guarded(
    answer: Answer, holders: Mapping[bytes, str]
) -> Callable[[Request], Awaitable[Response]]:
    """Let only holders of the token through, and answer every mistake in JSON."""

    async def endpoint(request: Request) -> Response:
        try:
            request.state.person = _person(request, holders)
            return Response(msgspec.json.encode(await answer(request)), media_type=JSON)
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


def _person(request: Request, holders: Mapping[bytes, str]) -> str:
    """Name the holder of the token that a request carries; empty where all share one."""
    if not holders:
        raise Refusal(
            403,
            f"Oversight of this service is not set up: start it with the variable {NAMED} "
            f"set to `NAME:TOKEN` of each person, or with {SHARED} that all share, of "
            f"{tokens.SHORTEST} characters or more ({tokens.MAKING}), and give "
            "it to those whom governance/oversight.md names. `uv run poe stop` works without.",
        )
    token = tokens.bearer(request.headers.get("authorization", "").encode("latin-1"))
    holder = tokens.holder(token, holders) if token is not None else None
    if holder is None:
        wanted = f"{SHARED} or of its {NAMED}"
        raise Refusal(401, f"Send `Authorization: Bearer TOKEN`, with the service's {wanted}.")
    return holder


def _by_holder(fields: Any, person: str) -> Any:
    """Put the holder of a token in as who it is by; another name is refused."""
    if not person or not isinstance(fields, dict):
        return fields
    if fields.setdefault("by", person) != person:
        raise Refusal(403, f"The token is that of {person}: `by` cannot name somebody else.")
    return fields


async def _sent(request: Request) -> Any:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise Refusal(413, f"The body is larger than {MAX_BYTES:,} bytes.")
    try:
        fields = _by_holder(msgspec.json.decode(body), request.state.person)
        if isinstance(fields, dict) and (twice := json_text.repeated_key(body)):
            raise Refusal(422, f"`{twice}` occurs twice.")
        return fields
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Refusal(400, f"The body is not JSON: {error}") from error


def _with_warning(answer: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    for problem in problems:
        LOG.error("%s", problem)
    return answer | ({"warning": " ".join(problems)} if problems else {})
