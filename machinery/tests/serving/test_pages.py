"""The pages tell what answers, how it fares and how to call it."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route

from machinery.tests.serving.calls import CONTRACT, ROW, Caller, calling, soon
from rung_ops.project.service_settings import Limits
from rung_ops.serving import log_writer, pages, serve
from rung_ops.serving.access import Access, Asgi
from rung_ops.serving.app import App
from rung_ops.serving.hooks import NO_HOOKS, ServiceHooks
from rung_ops.serving.state_reader import StateReader

FURTHER = """
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def routes(service):
    return [Route("/environment", lambda request: PlainTextResponse(service.environment))]
"""


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Caller]:
    """A service in which nothing was deployed."""
    with calling(tmp_path, Limits()) as made:
        yield made


@pytest.fixture
def caller(empty: Caller) -> Caller:
    """The same, answering with release v1."""
    empty.install()
    return empty


def test_without_a_release_it_is_alive_and_says_what_to_do(empty: Caller) -> None:
    advice = "`uv run poe deploy production`"
    predicted, model = empty.post("/predict", ROW), empty.get("/model")
    assert empty.get("/health/live").status == 200
    assert empty.get("/openapi.json").status == empty.get("/docs").status == 200
    assert empty.get("/health/ready").status == model.status == predicted.status == 503
    assert advice in empty.get("/health/ready").json["problems"][0]
    assert (predicted.headers["retry-after"], advice in predicted.json["error"]) == ("5", True)
    assert model.json["error"].startswith("No release is served: nothing was deployed")

    empty.install()
    assert empty.get("/health/ready").status == 200
    assert empty.get("/health/ready").json == {
        **{"ready": True, "environment": "production", "serving": "v1", "canary": None},
        **{"shadow": None, "rollout": None, "stopped": None, "draining": False, "problems": []},
    }


def test_rows_that_a_full_disk_kept_out_of_the_log_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with calling(tmp_path, Limits(), log=True) as made:
        made.install()
        log = made.service.log
        assert log is not None
        with monkeypatch.context() as patch:
            full = OSError(28, "No space left on device")
            patch.setattr(log_writer.LogFiles, "write", Mock(side_effect=full))
            patch.setattr(log, "_limit", 0)
            made.post("/predict", ROW)
            patch.setattr(log, "_limit", 200_000)
            made.post("/predict", ROW)
            soon(lambda: log.failures)
            answer = made.get("/health/ready")
        soon(lambda: log.written)
        later = made.get("/health/ready")

    assert answer.status == later.status == 200
    (problem,) = answer.json["problems"]
    assert "No space left on device" in problem and "1 rows wait in memory" in problem
    assert "has dropped 1 rows since the start" in problem
    (problem,) = later.json["problems"]
    assert problem.startswith("The prediction log has dropped 1 rows since the start")


def test_the_model_is_described(caller: Caller) -> None:
    result = caller.get("/model").json

    assert result["release"] == {"id": "v1", "version": "1", "task": "regression"}
    assert result["metrics"] == {"rmse": 1.5}
    assert result["card"] == "# Card"
    assert result["contract"] == CONTRACT
    assert result["serving"] == "v1"


def test_openapi_has_the_rules_of_the_contract(caller: Caller) -> None:
    answer = caller.get("/openapi.json")
    result = answer.json
    row = result["components"]["schemas"]["Row"]
    columns = row["properties"]

    assert result["openapi"] == "3.1.0"
    assert "securitySchemes" not in result["components"], "no token is asked for"
    assert row["required"] == ["number", "kind", "code", "at"]
    assert columns["code"]["pattern"] == "^[A-Z]{2}$"
    assert columns["at"]["format"] == "date-time-local"
    assert columns["weight"]["default"] == 2.0
    assert "Unit: kg." in columns["weight"]["description"]
    assert {"/predict", "/predict/batch", "/model"} <= result["paths"].keys()
    references = re.findall(r'"#/components/schemas/(\w+)"', answer.body.decode())
    assert references and set(references) <= result["components"]["schemas"].keys()


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("localhost:9301", "http://localhost:9301"),
        ("[::1]:80", "http://[::1]:80"),
        ("a;id", "http://localhost:8000"),
        ("a$(id)", "http://localhost:8000"),
    ],
)
def test_commands_to_copy_have_the_address_of_the_page(
    caller: Caller, host: str, shown: str
) -> None:
    text = caller.get("/docs", host=host).body.decode()

    assert f"curl {shown}/predict -H" in text
    assert f"curl {shown}/predict/batch -H" in text


def test_the_page_for_people_loads_nothing_from_elsewhere(caller: Caller) -> None:
    page = caller.get("/docs")
    text = page.body.decode()

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
    assert "url(" not in text
    assert 'id="token"' not in text and "SERVICE_TOKEN" not in text
    for column in CONTRACT["columns"]:
        assert column["name"] in text
    # What the contract says is text, never markup.
    assert "Weight of &lt;all&gt; of it" in text
    assert "<all>" not in text
    # A keyboard scrolls only what takes the focus.
    assert page.body.count(b"<pre") == page.body.count(b'<pre tabindex="0"') == 3


def test_routes_of_a_further_module_are_answered(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "further_routes.py").write_text(FURTHER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    further = serve.routes_of("further_routes", caller.service)
    caller.app = App(caller.service, pages.application(caller.service, further))

    assert caller.get("/environment").body == b"production"
    assert caller.post("/predict", ROW).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/predict/nothing", 404),
        ("GET", "/predict", 405),
        ("DELETE", "/predict/batch", 405),
        ("POST", "/model", 405),
    ],
)
def test_other_paths_and_methods_are_refused_in_json(
    caller: Caller, method: str, path: str, status: int
) -> None:
    answer = caller.get(path, method)

    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert path in answer.json["error"]
    assert ("allow" in answer.headers) == (status == 405)
    if status == 405:
        assert f"but for {answer.headers['allow']}." in answer.json["error"]


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/", "docs"),
        ("/docs/", "../docs"),
        ("/health/ready/?a=b", "../ready?a=b"),
        ("/environment", "./environment/"),
    ],
)
def test_a_last_slash_is_corrected_without_the_host_that_the_caller_names(
    tmp_path: Path, path: str, address: str
) -> None:
    further = [Route("/environment/", lambda request: PlainTextResponse("production"))]
    with calling(tmp_path, Limits(), further=further) as made:
        answer = made.get(path, host="evil.example")

    assert (answer.status, answer.headers["location"]) == (307, address)


@contextmanager
def guarded(folder: Path, hooks: ServiceHooks = NO_HOOKS) -> Iterator[Caller]:
    """Start the application that a platform gets, whose callers need a token."""
    keys = Access(predict={b"a token": "Ada"})
    with calling(folder, Limits(), hooks=hooks, access=keys) as made:
        made.install()
        made.app = serve.application(made.service, [], StateReader(folder))
        yield made


KNOWN = {"authorization": "Bearer a token"}


def test_a_route_or_mount_of_the_project_goes_before_one_of_a_platform(tmp_path: Path) -> None:
    """It had the name first, and is guarded as before."""
    own = PlainTextResponse("the project's")

    def routes() -> list[BaseRoute]:
        return [Mount("/ping", own), Route("/invocations", own, methods=["POST"])]

    with guarded(tmp_path, ServiceHooks(routes=routes)) as made:
        refused = [made.get("/ping/").status, made.post("/invocations", ROW).status]

        assert refused == [401, 401]
        assert made.get("/ping", **KNOWN).status == 307
        assert made.get("/ping/", **KNOWN).body == b"the project's"
        assert made.post("/invocations", ROW, **KNOWN).body == b"the project's"
        assert made.get("/healthz").status == 200


def test_health_without_a_token_is_the_library_s_own_under_a_middleware(tmp_path: Path) -> None:
    def middleware(app: Asgi) -> Asgi:
        async def outer(scope: Any, receive: Any, send: Any) -> None:
            answer = PlainTextResponse("the project's") if scope["type"] == "http" else app
            await answer(scope, receive, send)

        return outer

    with guarded(tmp_path, ServiceHooks(asgi_middleware=middleware)) as made:
        assert b"the project's" not in [made.get(path).body for path in ("/ping", "/healthz")]
        assert made.get("/ping").status == made.get("/healthz").status == 200
        assert made.get("/ping", **KNOWN).body == b"the project's"


def test_metrics_wait_for_no_thread_of_a_project_s_routes(tmp_path: Path) -> None:
    async def fill(request: Request) -> PlainTextResponse:
        threads = to_thread.current_default_thread_limiter()
        while threads.available_tokens:
            await threads.acquire_on_behalf_of(object())
        return PlainTextResponse("all of them are taken")

    hooks = ServiceHooks(routes=lambda: [Route("/fill", fill)])
    with calling(tmp_path, Limits(), hooks=hooks) as made:
        made.install()

        async def ask() -> list[int]:
            return [(await made.ask("GET", path, b"", {})).status for path in ("/fill", "/metrics")]

        assert made.runner.run(asyncio.wait_for(ask(), 20)) == [200, 200]


def test_what_is_open_of_a_platform_is_its_health(tmp_path: Path) -> None:
    with guarded(tmp_path) as made:
        assert made.get("/ping").status == made.get("/healthz").status == 200
        assert made.post("/invocations", ROW).status == 401
        assert made.post("/invocations", ROW, **KNOWN).status == 200
