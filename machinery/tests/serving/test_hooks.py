"""The hooks of a service: loaded once, checked, and called where their table says."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from machinery.tests.conftest import Capture, LogCapture, Patch
from machinery.tests.serving.calls import ROW, Caller, calling, release, soon
from rung_ops.errors import StageError
from rung_ops.project import Project, ProjectSettings
from rung_ops.project.service_settings import Limits
from rung_ops.serving import hooks, serve
from rung_ops.serving.hooks import ServiceHooks
from rung_ops.serving.shadow import Shadow

Serving = Callable[..., Caller]
MODULE = """
from starlette.responses import JSONResponse
from starlette.routing import Route


def api_key(app):
    async def wrapped(scope, receive, send):
        if scope["type"] == "http" and (b"x-api-key", b"secret") not in scope["headers"]:
            await JSONResponse({"error": "x-api-key is missing."}, 401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return wrapped


def routes():
    return [Route("/team", lambda request: JSONResponse({"team": "delays"}))]


def heavier(rows):
    return rows.with_columns(weight=rows["weight"] + 1)


def clip(rows, predictions):
    return predictions.clip(0, 10)


def of_one_argument(rows):
    return rows


async def later(rows):
    return rows


app = None
"""


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """Start a service with hooks, answering with release v1; end it after the test."""
    opened: list[Any] = []

    def start(log: bool = False, **functions: Any) -> Caller:
        made = calling(tmp_path, Limits(), log, ServiceHooks(**functions))
        caller = made.__enter__()
        opened.append(made)
        caller.install()
        return caller

    yield start
    for each in opened:
        each.__exit__(None, None, None)


@pytest.fixture
def name(tmp_path: Path, monkeypatch: Patch) -> Callable[..., None]:
    """Name hooks of a module in pyproject.toml."""
    (tmp_path / "hooks_of_a_team.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "broken_hooks.py").write_text("def half(:\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def name(**targets: str) -> None:
        monkeypatch.setattr(Project, "settings", lambda _: ProjectSettings(hooks=targets))

    return name


def test_a_project_without_hooks_costs_a_prediction_nothing() -> None:
    assert hooks.load() == ServiceHooks()
    assert ServiceHooks().scorer() is hooks.score_release
    app = object()
    assert ServiceHooks().wrapped(app) is app  # type: ignore[arg-type,comparison-overlap]


def test_hooks_are_found_by_their_name(name: Callable[..., None], serving: Serving) -> None:
    name(
        asgi_middleware="hooks_of_a_team:api_key",
        routes="hooks_of_a_team:routes",
        before_prediction="hooks_of_a_team:heavier",
        after_prediction="hooks_of_a_team:clip",
    )
    caller = serving(**hooks.load()._asdict())

    for path in ("/team", "/health/ready", "/docs"):
        assert caller.get(path).status == 401
    refused = caller.post("/predict", ROW)
    assert (refused.status, refused.json) == (401, {"error": "x-api-key is missing."})
    # Weight 2 becomes 3: 2 x 3, and 7 x 3 is clipped.
    answered = caller.post("/predict", [ROW | {"number": 2}, ROW], x_api_key="secret")
    assert answered.json["predictions"] == [6.0, 10.0]


def test_what_is_enriched_before_is_what_the_shadow_sees_and_adjusts(serving: Serving) -> None:
    def heavier(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(weight=pl.lit(3.0))

    caller = serving(
        before_prediction=heavier, after_prediction=lambda rows, predictions: -predictions
    )
    observed: list[Any] = []

    class Heard(Shadow):
        def offer(self, offer: Any) -> None:
            weights, predictions = offer.rows["weight"].to_list(), offer.predictions.tolist()
            observed.append((weights, predictions, offer.defaults))
            super().offer(offer)

    shadow = Heard(release("v2"), 1.0, adjust=caller.service.hooks.adjust)
    caller.install(shadow=shadow)
    answer = caller.post("/predict", ROW)
    soon(lambda: shadow.comparison.compared == 1)
    shadow.close()

    assert answer.json["prediction"] == -21.0
    assert answer.json["defaults_used"] == ["weight", "note"]
    assert observed == [([3.0], [-21.0], [["weight", "note"]])]
    assert shadow.comparison.difference == 0.0


def test_a_route_that_fails_is_answered_with_500(serving: Serving) -> None:
    def fail(request: Request) -> PlainTextResponse:
        raise KeyError("team")

    caller = serving(routes=lambda: [Route("/team", fail)])
    sent: list[Any] = []

    async def ask() -> None:
        scope = {
            **{"type": "http", "method": "GET", "path": "/team", "headers": []},
            **{"query_string": b"", "root_path": "", "scheme": "http", "server": ("test", 80)},
        }

        async def send(message: Any) -> None:
            sent.append(message)

        await caller.app(scope, None, send)

    with pytest.raises(KeyError, match="team"):  # uvicorn logs it
        caller.runner.run(ask())

    assert sent[0]["status"] == 500
    assert sent[1]["body"] == b'{"error":"/team failed; the log has the reason."}'
    assert caller.post("/predict", ROW).status == 200


@pytest.mark.parametrize(
    ("hook", "function", "message"),
    [
        ("routes", lambda: [Route("/model", lambda request: None)], "hides /model of the service"),
        ("routes", lambda: [Mount("/", lambda *_: None)], "hides / of the service"),
        ("routes", lambda: [Route("/health/{which}", lambda request: None)], "hides /health/live"),
        ("routes", lambda: ["/team"], "returned a str; expected a list of starlette.routing.Route"),
        ("routes", lambda: None, "raised TypeError"),
        ("asgi_middleware", lambda app: None, "returned a NoneType; expected an ASGI application"),
        ("asgi_middleware", lambda app: {}["key"], "raised KeyError: 'key'"),
    ],
)
def test_routes_and_middleware_that_cannot_be_used_are_refused(
    serving: Serving, hook: str, function: Callable[..., Any], message: str
) -> None:
    with pytest.raises(StageError, match=message):
        serving(**{hook: function})


def test_a_middleware_that_fails_is_answered_with_500_and_logged(
    serving: Serving, caplog: LogCapture
) -> None:
    def failing(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            raise KeyError(dict(scope["headers"]).get(b"x-user"))

        return wrapped

    answer = serving(asgi_middleware=failing).post("/predict", ROW)

    assert (answer.status, answer.headers["content-type"]) == (500, "application/json")
    assert answer.json == {"error": "The hook asgi_middleware failed; the log has the reason."}
    assert "POST /predict: the hook asgi_middleware failed" in caplog.text
    assert "KeyError" in caplog.text


def _wrong(rows: pl.DataFrame, *_: Any) -> Any:
    raise ValueError("no such airport")


def _exits(rows: pl.DataFrame, *_: Any) -> Any:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"before_prediction": _wrong}, "before_prediction raised ValueError: no such airport"),
        ({"before_prediction": _exits}, "before_prediction raised SystemExit: 3"),
        ({"before_prediction": lambda rows: rows.head(0)}, "returned 0 rows; expected 1"),
        ({"before_prediction": lambda rows: None}, "returned a NoneType; expected a polars.Data"),
        ({"before_prediction": lambda rows: rows.drop("note")}, "returned no column `note`"),
        (
            {"before_prediction": lambda rows: rows.with_columns(colour=1)},
            "returned the column `colour`, which the contract does not have",
        ),
        (
            {"before_prediction": lambda rows: rows.with_columns(pl.col("number").cast(pl.Int64))},
            "returned column `number` as Int64; expected Int16",
        ),
        (
            {"before_prediction": lambda rows: rows.select(reversed(rows.columns))},
            "returned the columns in another order",
        ),
        (
            {"after_prediction": lambda rows, predictions: predictions[:0]},
            r"returned an array of shape \(0,\); expected \(1,\)",
        ),
        (
            {"after_prediction": lambda rows, predictions: predictions[:, None]},
            r"returned an array of shape \(1, 1\); expected \(1,\)",
        ),
        ({"after_prediction": lambda rows, predictions: ["x"]}, "raised ValueError"),
        (
            {"after_prediction": lambda rows, predictions: predictions * np.nan},
            "returned NaN or infinity for a row",
        ),
    ],
)
def test_a_hook_that_fails_is_answered_with_500_and_logged(
    serving: Serving, caplog: LogCapture, functions: dict[str, Any], message: str
) -> None:
    caller = serving(**functions)
    with caplog.at_level(logging.ERROR):
        answer = caller.post("/predict", ROW, x_request_id="mine")

    (hook,) = functions
    assert answer.status == 500
    assert answer.json["error"].startswith(f"The hook {hook} ")
    assert re.search(message, answer.json["error"])
    assert f"Request mine: The hook {hook} " in caplog.text
    assert caller.post("/predict", {}).status == 422  # it still answers


def test_a_row_on_which_a_hook_fails_takes_no_other_with_it(serving: Serving) -> None:
    def picky(rows: pl.DataFrame) -> pl.DataFrame:
        if 9 in rows["number"].to_list():
            raise ValueError("9 has no weight")
        return rows

    bodies = [ROW | {"number": number} for number in (8, 9, 10)]
    answers = serving(before_prediction=picky).together("/predict", bodies)

    assert [answer.status for answer in answers] == [200, 500, 200]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"after_prediction": "hooks_of_a_team:of_one_argument"}, r"must accept \(rows, predict"),
        ({"before_prediction": "hooks_of_a_team:later"}, "plain function, not `async def`"),
        ({"before_prediction": "hooks_of_a_team:app"}, r"must accept \(rows\)"),
        ({"routes": "hooks_of_a_team:nothing"}, "AttributeError"),
        ({"routes": "no_such_module:routes"}, "ModuleNotFoundError"),
        ({"routes": "broken_hooks:half"}, "SyntaxError"),
        ({"authentication": "hooks_of_a_team:api_key"}, "`authentication`, which is not a hook"),
    ],
)
def test_a_service_does_not_start_with_a_hook_that_cannot_be_used(
    name: Callable[..., None], targets: dict[str, str], message: str, capsys: Capture
) -> None:
    name(**targets)

    with pytest.raises(StageError, match=message):
        hooks.load()
    assert serve.main(["--port", "0"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("The service does not start: pyproject.toml: [tool.rung.hooks]")
    assert len(shown.splitlines()) == 1
