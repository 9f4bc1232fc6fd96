"""An unauthenticated caller gets no prediction; no caller is locked out by mistake."""

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from machinery.tests.serving.calls import ROW, Caller, calling
from rung_ops.errors import SettingsError
from rung_ops.project.service_settings import Limits
from rung_ops.serving import access
from rung_ops.serving.access import Access, configured
from rung_ops.serving.hooks import ServiceHooks
from rung_ops.system import tokens

DESK = "a-token-of-the-loan-desk"  # pragma: allowlist secret
SCRAPER = "a-token-of-the-scraper"  # pragma: allowlist secret
PROXY = "10.1.2.3"
EVERYWHERE = "0.0.0.0"
GUARDED = Access(
    predict={DESK.encode(): "Loan desk"},
    metrics={SCRAPER.encode(): "Prometheus"},
    header=b"x-user",
    trusted=(ipaddress.ip_network("10.1.0.0/16"),),
)
VARIABLES = ("PREDICT_TOKENS", "METRICS_TOKENS", "PREDICT_TOKENS_FILE", "METRICS_TOKENS_FILE")


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token of the machine that runs the test."""
    for each in (*VARIABLES, "SERVICE_TOKEN"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setattr(access, "token_file", lambda: tmp_path / ".keys/service.token")


def own(request: Request) -> PlainTextResponse:
    return PlainTextResponse("own")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Caller]:
    """A service that asks, with a route of the project's and one of a module's."""
    hooks = ServiceHooks(routes=lambda: [Route("/own", own)])
    further = [Route("/stop", own)]
    with calling(tmp_path, Limits(), hooks=hooks, access=GUARDED, further=further) as caller:
        caller.install()
        yield caller


def settings(folder: Path, text: str = "") -> Path:
    path = folder / "service.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/own", "/model", "/nothing"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {DESK}"},
        {"authorization": f"Bearer {DESK}x"},
        {"authorization": f"Bearer {DESK[:-1]}"},
        {"authorization": DESK},
        {"x_user": "Olga"},
    ],
)
def test_without_a_token_nothing_is_answered(
    guarded: Caller, path: str, headers: dict[str, str]
) -> None:
    answer = guarded.post(path, ROW, **headers)

    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "PREDICT_TOKENS" in answer.json["error"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_a_token_it_is_answered(guarded: Caller, scheme: str) -> None:
    sent = {"authorization": f"{scheme} {DESK}"}

    assert guarded.post("/predict", ROW, **sent).status == 200
    assert [guarded.get(path, **sent).status for path in ("/own", "/model", "/metrics")] == [
        200
    ] * 3
    assert guarded.get("/nothing", **sent).status == 404


def test_a_token_for_figures_is_for_figures_alone(guarded: Caller) -> None:
    sent = {"authorization": f"Bearer {SCRAPER}"}

    assert [guarded.get(path, **sent).status for path in ("/metrics", "/model")] == [200, 200]
    assert guarded.post("/predict", ROW, **sent).status == 401
    assert guarded.get("/own", **sent).status == 401
    assert guarded.get("/metrics").status == 401
    figures = guarded.get("/metrics", **sent).body.decode()
    assert 'service_requests_total{arm="none",outcome="invalid"} 3.0' in figures


def test_health_and_description_are_open_and_what_asks_by_itself(guarded: Caller) -> None:
    pages = ("/health/live", "/health/ready", "/docs", "/openapi.json", "/")

    assert [guarded.get(page).status for page in pages] == [200, 200, 200, 200, 307]
    assert guarded.get("/stop").body == b"own"


@pytest.mark.parametrize("address", [PROXY, f"::ffff:{PROXY}"])
def test_a_trusted_proxy_names_one_caller(guarded: Caller, address: str) -> None:
    guarded.address = (address, 4711)
    twice = [(b"x-user", b"mallory"), (b"x-user", b"olga")]

    assert guarded.post("/predict", ROW, x_user="olga@example.org").status == 200
    assert guarded.post("/predict", ROW).status == 401
    assert guarded.post("/predict", ROW, x_user=" ").status == 401
    refusal = GUARDED.refusal({"path": "/predict", "headers": twice, "client": guarded.address})
    assert refusal is not None and refusal.status == 401


@pytest.mark.tried(
    "Ask in another's name by the proxy's identity header, from another address",
    "401",
)
@pytest.mark.parametrize("address", ["10.2.0.1", "::1", "/run/proxy.sock", None])
def test_from_elsewhere_the_header_means_nothing(guarded: Caller, address: str | None) -> None:
    guarded.address = (address, 0) if address else None

    assert guarded.post("/predict", ROW, x_user="olga@example.org").status == 401


def test_openapi_and_the_page_for_people_say_what_to_send(guarded: Caller) -> None:
    described = guarded.get("/openapi.json").json

    schemes = described["components"]["securitySchemes"]
    assert schemes["token"] == {"type": "http", "scheme": "bearer"}
    assert (schemes["proxy"]["in"], schemes["proxy"]["name"]) == ("header", "x-user")
    request = {
        path: "security" in operation and "401" in operation["responses"]
        for path, methods in described["paths"].items()
        for operation in methods.values()
    }
    open_ones = {"/health/live", "/health/ready"}
    assert {path for path, is_asked in request.items() if not is_asked} == open_ones
    page = guarded.get("/docs").body.decode()
    assert 'id="token"' in page and "Bearer $SERVICE_TOKEN" in page


def test_under_governance_no_caller_is_answered_until_access_is_set_up(tmp_path: Path) -> None:
    result = configured(True, EVERYWHERE, settings(tmp_path))

    with calling(tmp_path, Limits(), access=result) as caller:
        caller.install()
        ready, predicted = caller.get("/health/ready"), caller.post("/predict", ROW)
        assert caller.get("/health/live").status == caller.get("/metrics").status == 200
        assert caller.get("/model").status == 503
    assert (ready.status, predicted.status) == (503, 503)
    assert "PREDICT_TOKENS" in ready.json["problems"][0]
    assert "PREDICT_TOKENS" in predicted.json["error"]


def test_on_this_machine_a_token_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    result = [configured(True, "127.0.0.1", settings(tmp_path)) for _ in range(2)]

    token = access.token_file().read_text().strip()
    assert [list(each.predict) for each in result] == [[token.encode()]] * 2
    assert len(token) > tokens.SHORTEST and not result[0].problem
    assert access.token_for("http://127.0.0.1:8000") == token
    assert access.token_for("http://service.example.org") is None
    if os.name != "nt":
        modes = [
            each.stat().st_mode & 0o777
            for each in (access.token_file(), access.token_file().parent)
        ]
        assert modes == [0o600, 0o700]


def test_a_token_of_this_machine_stands_beside_no_others_and_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(True, "localhost", settings(tmp_path))
    with monkeypatch.context() as patch:
        patch.setenv("PREDICT_TOKENS", f"Loan desk:{DESK}")
        others = configured(True, "localhost", settings(tmp_path)).predict
    access.token_file().write_text("short\n")

    assert others == {DESK.encode(): "Loan desk"}
    assert configured(True, "127.0.0.1", settings(tmp_path)).problem
    monkeypatch.setenv("METRICS_TOKENS", f"Prometheus:{SCRAPER}")  # which let no caller in
    assert configured(True, EVERYWHERE, settings(tmp_path)).problem


def test_tokens_come_from_a_mounted_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"Loan desk:{DESK}\nNight batch:{SCRAPER}\n")
    (tmp_path / "mounted").symlink_to(path)
    monkeypatch.setenv("PREDICT_TOKENS_FILE", str(tmp_path / "mounted"))

    result = configured(False, EVERYWHERE, settings(tmp_path))

    assert result.predict == {DESK.encode(): "Loan desk", SCRAPER.encode(): "Night batch"}


@pytest.mark.parametrize("text", ["", "\n", "Loan desk"])
def test_a_file_without_tokens_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "tokens").write_text(text)
    monkeypatch.setenv("PREDICT_TOKENS_FILE", str(tmp_path / "tokens"))

    with pytest.raises(SettingsError, match="PREDICT_TOKENS"):
        configured(True, "127.0.0.1", settings(tmp_path))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('identity_header = "x-user"', "need each other"),
        ('trusted_addresses = ["10.0.0.1"]', "need each other"),
        ('identity_header = "x-user"\ntrusted_addresses = ["0.0.0.0/0"]', "all addresses"),
        ('identity_header = "x-user"\ntrusted_addresses = ["::/0"]', "all addresses"),
        ('identity_header = "x-user"\ntrusted_addresses = ["proxy"]', "trusted_addresses"),
        ('identity_header = "Authorization"\ntrusted_addresses = ["10.0.0.1"]', "another meaning"),
        ("requierd = true", "requierd"),
    ],
)
def test_settings_that_let_anybody_in_are_refused(
    tmp_path: Path, written: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        access.read_settings(settings(tmp_path, f"[access]\n{written}\n"))


@pytest.mark.parametrize(
    ("governed", "written", "asks"),
    [
        *((True, "required = false", False), (False, "required = true", True)),
        *((True, "", True), (False, "", False)),
    ],
)
def test_the_settings_decide_whether_callers_are_asked(
    tmp_path: Path, governed: bool, written: str, asks: bool
) -> None:
    file = settings(tmp_path, f"[access]\n{written}\n")

    assert configured(governed, EVERYWHERE, file).asks is asks
    assert not access.token_file().exists()


def test_a_proxy_is_enough(tmp_path: Path) -> None:
    written = '[access]\nidentity_header = "X-User"\ntrusted_addresses = ["10.1.0.0/16"]\n'
    result: Any = configured(True, EVERYWHERE, settings(tmp_path, written))

    assert (result.header, result.problem) == (b"x-user", "")
