"""Officers overrule a prediction and stop the model through the service as it runs."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from machinery.governance.tests.conftest import Capture, Patch, pem
from machinery.governance.tests.running import (
    TOKEN,
    Running,
    deployed,
    row_of,
    started,
    trusting,
    wait_until,
)
from machinery.tests.in_project import imported
from rung_governance.approval import audit, keys, kill_switch, oversight
from rung_ops.errors import SettingsError
from rung_ops.project import current
from rung_ops.release import history, state
from rung_ops.serving import access
from rung_ops.system import files, key_names

OLGA = {"by": "Olga Officer", "reason": "it refuses everybody"}
TWICE = b'{"id": "1", "decision": "grant", "by": "Otto", "by": "Olga"}'


@pytest.fixture(scope="module")
def environment(
    release_folder: Path,
    release_key: bytes,
    signing_key: ec.EllipticCurvePrivateKey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Production with a release that answers, and an audit log that is signed to its end."""
    place = tmp_path_factory.mktemp("overseen")
    validator = trusting(place, signing_key)
    folder = place / "releases/production"
    return deployed(folder, release_folder, release_key, signing_key, validator)


Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def service(environment: Path, signing_key: ec.EllipticCurvePrivateKey) -> Iterator[Running]:
    """The service that answers there."""
    environ = {"OPERATOR_TOKEN": TOKEN, "AUDIT_PRIVATE_KEY": pem(signing_key).decode()}
    with started(environment, environ) as running:
        wait_until(running.ready)
        yield running


@pytest.fixture
def log(environment: Path, production: Path, monkeypatch: Patch) -> Log:
    """Reads the audit log of the environment; verifies it, too, and brings its keys here."""
    monkeypatch.setenv("RELEASES", str(environment.parent))
    audit.record(environment, "reviewed", "Ada", review=True)

    def events() -> list[dict[str, Any]]:
        assert audit.report(environment) == []
        return history.read(environment / state.HISTORY)

    return events


@pytest.fixture
def row(environment: Path) -> dict[str, Any]:
    return row_of(environment)


def test_an_officer_overrides_a_prediction_and_the_last_word_counts(
    service: Running, log: Log, row: dict[str, Any]
) -> None:
    name = service.ask("/predict", row)[1]["id"]
    first = {"id": name, "decision": "grant", "by": "Olga", "reason": "an error of the bank"}

    assert service.ask(f"/override/{name}")[0] == 404
    assert service.ask("/override", first) == (200, {"id": name, "recorded": True})
    assert service.ask("/override", first | {"decision": "refuse", "by": "Otto"})[0] == 200

    status, answer = service.ask(f"/override/{name}")
    assert (status, answer["decision"], answer["by"]) == (200, "refuse", "Otto")
    assert [each["by"] for each in answer["earlier"]] == ["Olga"]
    assert [event["by"] for event in log()[-2:]] == ["Olga", "Otto"]


@pytest.mark.tried(
    "Overrule a prediction that is not in the log",
    "refused after four seconds, in which the log is written",
)
def test_a_prediction_that_was_never_made_cannot_be_overruled(service: Running, log: Log) -> None:
    before = len(log())
    made_up = {"id": "4711", "decision": "grant", "by": "Olga", "reason": "an error of the bank"}

    status, answer = service.ask("/override", made_up)

    assert (status, "no prediction '4711'" in answer["error"]) == (404, True)
    assert [event["event"] for event in log()[before:]] == ["reviewed"] * (len(log()) - before)


def test_the_kill_switch_stops_every_prediction_and_says_who_and_why(
    service: Running, log: Log, row: dict[str, Any]
) -> None:
    assert service.ask("/stop", OLGA) == (200, {"stopped": True, **OLGA})

    for path, body in (("/predict", row), ("/predict", [row, row])):
        status, answer = service.ask(path, body)
        assert status == 503
        assert "Stopped by Olga Officer" in answer["error"]
        assert "it refuses everybody" in answer["error"]
    assert service.ask("/health/ready")[1]["stopped"]["by"] == "Olga Officer"
    assert not service.ready()

    reason = {"by": "Paul", "reason": "fixed, see the risk register"}
    assert service.ask("/resume", reason) == (200, {"stopped": False, **reason})
    assert service.ask("/predict", row)[0] == 200
    assert service.ask("/resume", reason)[0] == 409
    events = [event["event"] for event in log()]
    assert events[-3:] == ["stop", "resuming", "resume"]


def test_a_stop_by_the_command_line_reaches_the_service_and_so_does_its_end(
    service: Running, environment: Path, log: Log, row: dict[str, Any], capsys: Capture
) -> None:
    assert kill_switch.stop(["--by", "Olga", "--reason", " - "]) == 1
    assert "`reason` is missing or empty: send a JSON object" in capsys.readouterr().err

    assert kill_switch.stop(["--by", "Olga", "--reason", "a drill"]) == 0
    wait_until(lambda: service.ask("/predict", row)[0] == 503)

    assert kill_switch.resume(["--by", "Paul", "--reason", "the drill is over"]) == 0
    wait_until(lambda: service.ask("/predict", row)[0] == 200)

    assert kill_switch.resume(["--by", "Paul", "--reason", "once more"]) == 1
    assert "production is not stopped" in capsys.readouterr().err
    assert log()[-1]["event"] == "resume"


def test_a_stop_that_cannot_be_written_holds_for_the_process_and_says_so(
    service: Running, environment: Path, log: Log, row: Any
) -> None:
    blocked = files.draft_of(environment / state.STATE)  # no file can be written where a folder is
    blocked.mkdir()
    try:
        status, answer = service.ask("/stop", OLGA)

        assert status == 500
        assert "This process is stopped, but that could not be written down" in answer["error"]
        time.sleep(1)  # the service checks the state several times, which does not mention it
        assert service.ask("/predict", row)[0] == 503
        assert service.ask("/resume", {"by": "Paul", "reason": "fixed"})[1]["warning"]
        assert service.ask("/predict", row)[0] == 200
    finally:
        blocked.rmdir()


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}x", "é"])
@pytest.mark.parametrize("path", ["/override", "/stop", "/resume"])
def test_without_the_token_oversight_is_refused(
    service: Running, environment: Path, path: str, token: str
) -> None:
    before = history.read(environment / state.HISTORY)
    body = {"id": "1", "decision": "grant", **OLGA}

    status, answer = service.ask(path, body, token.encode().decode("latin-1"))

    assert (status, "OPERATOR_TOKEN" in answer["error"]) == (401, True)
    assert history.read(environment / state.HISTORY) == before
    assert service.ready()


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/override", {"decision": "grant", **OLGA}, "`id` is missing"),
        ("/override", {"id": "1", "decision": "", **OLGA}, "`decision` is missing or empty"),
        ("/override", {"id": "1", "decision": 300_000, **OLGA}, "`decision` must be a text"),
        ("/override", {"id": "1", "decision": "grant", "by": "Olga"}, "`reason` is missing"),
        ("/override", {"id": "1", "decision": "x" * 201, **OLGA}, "at most 200 fit"),
        ("/override", {"id": "1", "decision": "g", "note": "x", **OLGA}, "`note` means nothing"),
        ("/override", TWICE, "`by` occurs"),
        ("/override", [1], "Send a JSON object"),
        ("/stop", {"by": "Olga", "reason": " - "}, "`reason` is missing or empty"),
        ("/stop", {"reason": "it refuses everybody"}, "`by` is missing"),
        ("/resume", {"by": 7, "reason": "fixed"}, "`by` must be a text"),
    ],
)
def test_what_lacks_a_name_or_a_reason_is_refused(
    service: Running, path: str, body: Any, reason: str
) -> None:
    status, answer = service.ask(path, body)
    assert (status, reason in answer["error"]) == (422, True)
    assert service.ready()


def test_oversight_imports_nothing_that_the_service_does_without() -> None:
    heavy = {"dvc", "jsonschema", "mlflow", "model_signing", "pandas", "pandera", "sklearn", "yaml"}

    assert imported("rung_governance.approval.oversight", heavy) == []


OLGAS, VERAS = "token-of-olga-only", "token-of-vera-only"  # pragma: allowlist secret


@pytest.fixture
def named(environment: Path, signing_key: ec.EllipticCurvePrivateKey) -> Iterator[Running]:
    """Another service, in which each person has a token."""
    listed = f"Olga Officer:{OLGAS}, Vera Valid:{VERAS}"
    environ = {"OPERATOR_TOKENS": listed, "AUDIT_PRIVATE_KEY": pem(signing_key).decode()}
    with started(environment, environ | {"OPERATOR_TOKEN": TOKEN}) as running:
        wait_until(running.ready)
        yield running


@pytest.mark.tried(
    "Override, stop or resume in another's name, or resume what you stopped yourself",
    "refused where each person has a token (`OPERATOR_TOKENS`)",
)
def test_a_token_names_its_holder_and_another_person_resumes_the_model(
    named: Running, log: Log, row: dict[str, Any]
) -> None:
    name = named.ask("/predict", row)[1]["id"]
    override = {"id": name, "decision": "grant", "reason": "an error of the bank"}
    why = {"reason": "it refuses everybody"}

    assert named.ask("/override", override | {"by": "Vera Valid"}, OLGAS)[0] == 403
    assert named.ask("/override", override, OLGAS)[0] == 200
    assert log()[-1]["by"] == "Olga Officer"
    assert named.ask("/stop", why | {"by": "Olga Officer"}, TOKEN)[0] == 401
    assert named.ask("/stop", why, OLGAS)[0] == 200
    status, answer = named.ask("/resume", why, OLGAS)
    assert (status, "another person" in answer["error"]) == (403, True)
    assert named.ask("/predict", row)[0] == 503
    assert named.ask("/resume", why, VERAS)[0] == 200
    assert log()[-1]["by"] == "Vera Valid"
    for token in (OLGAS, VERAS):
        assert named.ask("/stop", why, token)[0] == 200
    assert named.ask("/resume", why, OLGAS)[0] == 403


@pytest.mark.parametrize(
    "listed",
    [
        *(OLGAS, "Olga:short", f":{OLGAS}", f"Olga:{OLGAS},"),
        *(f"Olga:{OLGAS},Otto:{OLGAS}", f"Olga:{OLGAS},olga:{VERAS}"),
    ],
)
def test_tokens_that_do_not_name_each_person_are_refused_and_not_shown(
    listed: str, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("OPERATOR_TOKENS", listed)

    with pytest.raises(SettingsError) as refused:
        oversight.from_environment()

    assert "entry" in str(refused.value)
    assert OLGAS not in str(refused.value) and "short" not in str(refused.value)


SECRETS = current().root / "deploy/kubernetes/components/oversight/secrets.yaml"


@pytest.mark.skipif(not SECRETS.exists(), reason="a project without Kubernetes")
def test_a_cluster_gives_the_service_a_token_of_each_caller_and_each_person() -> None:
    (container,) = yaml.safe_load(SECRETS.read_text())["spec"]["template"]["spec"]["containers"]
    named = {each["name"] for each in container["env"]}
    assert named == {access.PREDICT, oversight.NAMED, keys.VARIABLE, key_names.LOG}
