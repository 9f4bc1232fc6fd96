"""A service of production, a process of its own, answers with what the signed log lets it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from machinery.governance.tests.conftest import Capture, Patch, Refusal, pem
from machinery.governance.tests.probing import make_curious, observations
from machinery.governance.tests.running import (
    TOKEN,
    Running,
    deployed,
    row_of,
    started,
    trusting,
    wait_until,
)
from machinery.governance.tests.signing import approved_line, source_of, swap_model
from machinery.tests.projects import moved
from rung_governance.approval import audit, deploy, kill_switch, oversight
from rung_governance.approval.signed_log import ANCHORS, APPROVED, WITHDRAWN
from rung_governance.privacy import erasure
from rung_ops import __main__ as command
from rung_ops import prediction_log
from rung_ops.errors import SettingsError
from rung_ops.model import bundle
from rung_ops.project import active_addons
from rung_ops.release import signing, state
from rung_ops.serving import serve
from rung_ops.system import files

Key = ec.EllipticCurvePrivateKey


@pytest.fixture
def validator(signing_key: Key, tmp_path: Path) -> str:
    """The path of the validator's key."""
    return trusting(tmp_path, signing_key)


@pytest.fixture
def unapproved(
    production: Path, release_key: bytes, signing_key: Key, validator: str
) -> Callable[..., Path]:
    """Lets a release answer in production, without approval by default."""

    def deploy(release: Path, validator: str | None = None) -> Path:
        return deployed(production, release, release_key, signing_key, validator)

    return deploy


@pytest.fixture
def folder(
    two_releases: tuple[Path, Path], unapproved: Callable[..., Path], validator: str
) -> Path:
    """Production, in which the first release answers and the second one was copied."""
    unapproved(two_releases[1], validator)
    return unapproved(two_releases[0], validator)


@pytest.fixture
def service(folder: Path, signing_key: Key) -> Iterator[Running]:
    """The service that answers there."""
    with started(folder, {"AUDIT_PRIVATE_KEY": pem(signing_key).decode()}) as running:
        wait_until(running.ready)
        yield running


def answers(service: Running, folder: Path) -> int:
    return service.ask("/predict", row_of(folder))[0]


@pytest.mark.tried(
    "Go on serving after the approval has expired or was withdrawn",
    "the service answers 503 within `poll_seconds`, or reports it: `lapsed` in the plan",
)
def test_a_withdrawn_release_stops_answering_until_it_is_approved_again(
    service: Running, folder: Path, validator: str
) -> None:
    serving = str(state.read(folder).serving)
    assert answers(service, folder) == 200
    line = audit.history.read(folder / state.HISTORY)[-2]["detail"]
    assert line["release"] == serving

    audit.record(folder, WITHDRAWN, "Vera", approval=line["approval_hash"])
    wait_until(lambda: answers(service, folder) == 503)

    status, answer = service.ask("/health/ready")
    assert status == 503
    assert answer["serving"] is None
    assert f"{serving} may not answer any more: its approval was withdrawn" in answer["problems"][0]
    assert "its approval was withdrawn" in service.ask("/predict", row_of(folder))[1]["error"]

    source = source_of(folder / "bundles" / serving)
    of = bundle.read_manifest(folder / "bundles" / serving)
    renewed = approved_line(serving, validator, of, expires="2099-02-01", source_hash=source)
    audit.record(folder, APPROVED, "Vera", **renewed)
    wait_until(service.ready)
    assert answers(service, folder) == 200


@pytest.fixture
def curious(
    two_releases: tuple[Path, Path], release_private_key: bytes, tmp_path: Path
) -> tuple[Path, Path]:
    """A copy of the second release whose features look for keys, and where they write."""
    copied, file = tmp_path / "curious" / two_releases[1].name, tmp_path / "seen"
    shutil.copytree(two_releases[1], copied)
    make_curious(copied, file, release_private_key)
    return copied, file


@pytest.mark.tried(
    "Serve a release in production without `poe promote`", "the service answers 503 with the reason"
)
@pytest.mark.tried(
    "Have the service import a release that it would refuse",
    "it asks the log before it imports anything",
)
def test_a_release_that_the_log_does_not_approve_of_is_refused_and_not_imported(
    curious: tuple[Path, Path], unapproved: Callable[..., Path]
) -> None:
    release, file = curious
    production = unapproved(release)

    with started(production, {}) as running:
        wait_until(running.lives)
        unready_because(running, "may not answer")
        assert running.ask("/predict", row_of(production))[0] == 503
        assert running.ask("/model")[0] == 503
        status, answer = running.ask("/stop", {}, "")
        assert status == 403
        assert "start it with the variable OPERATOR_TOKEN" in answer["error"]

    assert observations(file) == []


@pytest.mark.tried(
    "Take a key, or change an answer, by the code of a shadow",
    "it runs in a separate process, without them",
)
def test_an_unapproved_shadow_runs_in_a_process_without_keys(
    curious: tuple[Path, Path], folder: Path, signing_key: Key, monkeypatch: Patch
) -> None:
    release, file = curious
    shutil.rmtree(folder / "bundles" / release.name)
    shutil.copytree(release, folder / "bundles" / release.name)
    with audit.signed(folder):
        state.shadow(folder, release.name, 1.0, "Ada")

    secrets = {"AUDIT_PRIVATE_KEY": pem(signing_key).decode(), "OPERATOR_TOKEN": TOKEN}
    with started(folder, secrets) as running:
        wait_until(running.ready)
        assert running.ask("/model")[1]["shadow"] == release.name
        monkeypatch.setenv("LOGS", str(folder.parents[1] / "logs"))
        shadowed = pl.col("arm") == "shadow"

        def rows(*which: pl.Expr) -> int:
            log = prediction_log.read(prediction_log.folder("production"))
            return log.filter(*which).collect().height

        assert answers(running, folder) == 200
        wait_until(lambda: rows(shadowed) > 0)
        assert rows(shadowed, pl.col("release") == release.name) == 1 == rows(~shadowed)

        assert observations(file)
        for process, keys in observations(file):
            assert process != running.process.pid and keys == []


@pytest.mark.tried(
    "Serve by another name than `production` (`SERVICE_ENVIRONMENT=PRODUCTION`)",
    "every name but `staging` needs the signed log and approvals",
)
def test_every_environment_but_staging_is_guarded(tmp_path: Path) -> None:
    (tmp_path / "production").mkdir()
    (tmp_path / "link").mkdir()
    (tmp_path / "link/staging").symlink_to(tmp_path / "production")

    for name in ("production", "PRODUCTION", "prod", "staging2", "link/staging"):
        assert oversight.state_reader(tmp_path / name).is_guarded
    assert not oversight.state_reader(tmp_path / "staging").is_guarded


@pytest.mark.tried(
    "Put another `model.onnx` into an approved release, and sign it again",
    "the service answers 503: the log names the hash of the files that were approved",
)
def test_a_release_with_another_exported_model_is_refused(
    service: Running, folder: Path, release_private_key: bytes
) -> None:
    serving = str(state.read(folder).serving)
    assert answers(service, folder) == 200

    swap_model(folder / "bundles" / serving, release_private_key)

    wait_until(lambda: answers(service, folder) == 503)
    with started(folder, {}) as another:
        wait_until(another.lives)
        unready_because(another, "the audit log approves of other files under this id")
        assert answers(another, folder) == 503


def edit(folder: Path, **changes: object) -> None:
    path = folder / state.STATE
    files.write(path, json.dumps(json.loads(path.read_text()) | changes).encode())


def unready_because(service: Running, reason: str) -> None:
    """Wait until the service says so; it is not ready then."""
    wait_until(lambda: reason in str(service.ask("/health/ready")[1]["problems"]))
    assert not service.ready()


@pytest.mark.tried("Call `state.serve()`, `canary()` or `roll_back()` from Python")
def test_an_edited_state_and_a_release_served_past_promote_are_not_followed(
    service: Running, folder: Path, two_releases: tuple[Path, Path]
) -> None:
    first, second = (path.name for path in two_releases)
    signed = (folder / state.STATE).read_bytes()

    edit(folder, serving=second)
    unready_because(service, "state.json is damaged")
    assert service.ask("/predict", row_of(folder))[1]["release"] == first

    files.write(folder / state.STATE, signed)
    wait_until(service.ready)
    state.serve(folder, second, "Eve")  # which is approved, but this change is not signed
    unready_because(service, "serve by Eve")
    assert service.ask("/predict", row_of(folder))[1]["release"] == first


@pytest.mark.tried(
    'Write `"stopped": null` into `state.json`', "the stop holds, after a restart too"
)
def test_no_edit_ends_a_stop_not_even_for_a_service_that_starts_then(
    service: Running, folder: Path
) -> None:
    assert kill_switch.switch_off(folder, "Olga", "refuses everybody") == []
    wait_until(lambda: answers(service, folder) == 503)

    edit(folder, stopped=None)
    state_says_so = "it belongs to another state"
    unready_because(service, state_says_so)
    with started(folder, {}) as another:
        wait_until(another.lives)
        unready_because(another, state_says_so)
        for each in (service, another):
            status, answer = each.ask("/predict", row_of(folder))
            assert (status, "Stopped by Olga" in answer["error"]) == (503, True)

        assert kill_switch.switch_off(folder, "Olga", "refuses everybody") == []
        assert kill_switch.switch_on(folder, "Paul", "it is over") == []
        for each in (service, another):
            wait_until(lambda each=each: answers(each, folder) == 200)


@pytest.mark.tried(
    "Ask for a prediction without a token of `PREDICT_TOKENS`, or with an operator's", "401"
)
def test_who_has_no_token_gets_no_prediction(service: Running, folder: Path) -> None:
    row = row_of(folder)
    assert service.ask("/predict", row, token="guessed-by-a-stranger")[0] == 401
    assert service.ask("/predict", row, token=TOKEN)[0] == 401
    assert service.ask("/predict", row)[0] == 200


def test_on_this_machine_the_token_that_the_service_made_is_answered(
    folder: Path, production: Path
) -> None:
    with started(folder, {"PREDICT_TOKENS": ""}) as running:
        wait_until(running.ready)
        made = production.parents[1] / "project/.keys/service.token"

        assert running.ask("/predict", row_of(folder))[0] == 401
        assert running.ask("/predict", row_of(folder), token=made.read_text().strip())[0] == 200


@pytest.mark.tried(
    "Serve where others reach it without saying who may ask",
    "the service is not ready, and answers 503",
)
def test_where_others_reach_it_no_caller_is_answered_until_access_is_configured(
    folder: Path,
) -> None:
    with started(folder, {"PREDICT_TOKENS": ""}, host="0.0.0.0") as running:
        wait_until(running.lives)
        wait_until(lambda: running.ask("/health/ready")[1]["serving"] is not None)

        status, answer = running.ask("/health/ready")
        assert (status, "PREDICT_TOKENS" in answer["problems"][0]) == (503, True)
        assert running.ask("/predict", row_of(folder))[0] == 503


@pytest.fixture
def without_governance(monkeypatch: Patch) -> None:
    """An environment in which rung-governance is not installed."""
    left = {
        name: addon for name, addon in active_addons.installed().items() if name != "governance"
    }
    monkeypatch.setattr(active_addons, "installed", lambda: left)


def test_the_service_of_a_governed_project_is_guarded_even_if_it_is_no_longer_listed(
    monkeypatch: Patch,
) -> None:
    assert serve.guards() == ["rung_governance.approval.oversight"]
    monkeypatch.setattr(active_addons, "listed", list)
    assert serve.guards() == ["rung_governance.approval.oversight"]


@pytest.mark.tried(
    "Uninstall governance, or edit what lists it",
    "no verb runs while `[tool.rung]` lists it; without that line the service answers only its "
    "own machine while the audit log's public key is there",
)
@pytest.mark.usefixtures("without_governance")
@pytest.mark.parametrize("verb", ["serve", "deploy", "predict", "policies"])
def test_a_governed_project_runs_nothing_without_governance(capsys: Capture, verb: str) -> None:
    assert command.main([verb]) == command.USAGE
    assert "lists the add-on `governance`" in capsys.readouterr().err


@pytest.mark.usefixtures("without_governance")
def test_a_project_with_the_key_of_an_audit_log_is_not_served_to_others_without_governance(
    monkeypatch: Patch, tmp_path: Path, signing_key: Key
) -> None:
    monkeypatch.setattr(active_addons, "listed", list)
    moved(monkeypatch, repository=tmp_path)
    serve.access_of(serve.guards(), "0.0.0.0", tmp_path)
    (tmp_path / "governance").mkdir()
    public = signing.public_key_of(pem(signing_key))
    (tmp_path / "governance/audit.pub").write_bytes(public)

    with pytest.raises(SettingsError, match=r"governance/audit\.pub"):
        serve.access_of(serve.guards(), "0.0.0.0", tmp_path)
    serve.access_of(serve.guards(), "127.0.0.1", tmp_path)


@pytest.mark.usefixtures("without_governance")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_folder_whose_log_was_signed_is_not_served_without_governance(
    monkeypatch: Patch, refusal: Refusal, production: Path, host: str
) -> None:
    audit.record(production, "override", "Olga")
    monkeypatch.setattr(active_addons, "listed", list)

    output = refusal(serve.main, "--host", host, "--environment", "production")
    assert f"{ANCHORS} is there to verify with" in output


def test_releases_in_a_bucket_are_refused(monkeypatch: Patch, refusal: Refusal) -> None:
    monkeypatch.setenv("RELEASES", "s3://bucket/releases")

    for refused in (serve.main, deploy.main, deploy.rollback):
        output = refusal(refused, *(["staging"] if refused is deploy.main else []))
        assert "a bucket is not supported with the add-on governance yet" in output
        assert "use a folder" in output


def test_a_log_in_a_bucket_is_refused(monkeypatch: Patch, refusal: Refusal) -> None:
    monkeypatch.setenv("LOGS", "s3://bucket/logs")

    output = refusal(serve.main)
    assert "LOGS=s3://bucket/logs: a bucket is not supported with the add-on governance" in output
    with pytest.raises(SettingsError, match="erasure and retention do not reach a bucket: use a"):
        erasure.log_files()


@pytest.mark.tried(
    "Serve a folder by another name: `./staging`, `production/../staging`, a link",
    "refused; the folder that a link leads to decides",
)
@pytest.mark.parametrize("name", ["./staging", "production/../staging", "..", "", "a\\b", "/x"])
def test_the_name_of_an_environment_is_no_path(name: str, refusal: Refusal) -> None:
    assert "is no name of an environment" in refusal(serve.main, "--environment", name)
