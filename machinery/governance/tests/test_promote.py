"""Nothing answers in production that was not judged, and approved by another than its author."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from machinery.governance.tests.conftest import Capture, Patch, Refusal, Releases
from machinery.governance.tests.signing import new_key, source_of, swap_model
from machinery.tests.conftest import FACTS
from rung_governance.approval import (
    audit,
    deploy,
    keys,
    plan,
    promote,
    signatures,
    signed_approval,
    validation,
)
from rung_governance.approval.admission import Admission
from rung_governance.approval.signed_log import APPROVED, SignedLog, details
from rung_ops.errors import SettingsError
from rung_ops.model import bundle
from rung_ops.project import paths
from rung_ops.project.paths import project_name
from rung_ops.release import state
from rung_ops.tracking import registry


@pytest.fixture
def waiting(releases: Releases) -> Releases:
    """The first release, approved, waits for its promotion."""
    releases.deploy_first()
    return releases


def shadowed(releases: Releases) -> None:
    """Let the first release answer, and the second one come to the shadow."""
    promote.promote(releases.folder, releases.first, "Paul")
    releases.judge("2", releases.first)
    releases.approve("2")
    assert deploy.main(["production"]) == 0


def test_an_approved_version_comes_to_answer(
    waiting: Releases, registry_store: str, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_store)

    assert promote.main(["1"]) == 0

    assert waiting.now.serving == waiting.first
    assert waiting.names == ["judged", "approved", "serve"]
    judged, approved = (each["detail"] for each in waiting.events[:2])
    assert judged["rules_text"].startswith("# What a new version must show")
    assert judged["plan_text"] == plan.path().read_text() and judged["said"]["promote"] is True
    assert approved["validator"] == "Vera Valid <vera@example.org>"
    assert len(approved["record_hash"]) == 64
    assert audit.report(waiting.folder) == []
    assert str(registry.version(registry.CHAMPION).version) == "1"


def test_a_later_version_takes_over_from_the_shadow_and_the_registry_may_be_down(
    waiting: Releases, capsys: Capture
) -> None:
    shadowed(waiting)

    assert promote.main(["2"]) == 0

    now = waiting.now
    assert (now.serving, now.previous, now.shadow) == (waiting.second, (waiting.first,), None)
    assert "alias `champion` could not be set" in capsys.readouterr().out
    assert audit.report(waiting.folder) == []


@pytest.mark.parametrize("registry_is_up", [True, False])
def test_a_release_that_does_not_exist_is_answered_with_those_that_do(
    releases: Releases,
    registry_store: str,
    monkeypatch: Patch,
    registry_is_up: bool,
    refusal: Refusal,
) -> None:
    if registry_is_up:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_store)

    listed = ", ".join(sorted([releases.first, releases.second]))
    assert refusal(promote.main, "x").endswith(
        f"There is no release x: {paths.candidates()} has {listed}. "
        "Type the command again with one of these.\n"
    )


def test_a_candidate_that_was_not_deployed_is_answered_with_the_command_that_brings_it(
    releases: Releases, refusal: Refusal
) -> None:
    assert refusal(promote.main, releases.first).startswith(
        f"Refused: {releases.first} does not wait in production to be promoted; nothing is there. "
        f"`uv run poe deploy production {releases.first}` brings it."
    )


@pytest.mark.tried("Serve an unapproved version", "`poe promote` refuses")
def test_what_is_not_validated_does_not_answer(releases: Releases, refusal: Refusal) -> None:
    releases.judge("1", promote=False, awaits=["it is not validated"])
    deploy.main(["production", releases.first])
    assert f"{project_name()}-1.yaml does not exist" in refusal(promote.main, "1")
    assert releases.now.serving is None


def test_a_version_that_is_not_in_the_shadow_is_not_promoted(
    waiting: Releases, refusal: Refusal
) -> None:
    promote.promote(waiting.folder, "1", "Paul")
    waiting.approve("2")
    assert "version 2 does not wait in production" in refusal(promote.main, "2")


def test_promoting_what_answers_already_completes_what_the_registry_did_not_take(
    waiting: Releases, registry_store: str, monkeypatch: Patch, capsys: Capture
) -> None:
    assert promote.main(["1"]) == 0
    assert "alias `champion` could not be set" in capsys.readouterr().out
    before = waiting.events
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_store)
    registry.client().delete_registered_model_alias(registry.model_name(), registry.CHAMPION)

    assert promote.main(["1"]) == 0

    assert f"{waiting.first} answers in production already" in capsys.readouterr().out
    assert str(registry.version(registry.CHAMPION).version) == "1"
    assert waiting.events == before


def test_promoting_what_answers_on_an_expired_approval_says_how_it_is_renewed(
    waiting: Releases, refusal: Refusal
) -> None:
    assert promote.main(["1"]) == 0
    signed = {"version": "1", "approved": "2026-01-01", "expires": "2026-02-01"}
    with audit.signed(waiting.folder):
        line = {"release": waiting.first, "release_hash": "0", "approval": json.dumps(signed)}
        state.note(waiting.folder, APPROVED, "Vera", **line)
    before = waiting.events

    assert refusal(promote.main, "1").startswith(
        "Refused: its approval does not count any more.\n"
        "- the approval expired on 2026-02-01: `uv run poe approve 1` after a look at it, then "
        "`uv run poe promote 1`, renew it\n"
    )
    assert waiting.events == before


def test_a_verdict_against_what_answered_earlier_does_not_count(
    waiting: Releases, refusal: Refusal
) -> None:
    """The shadow was judged against a release that has been rolled back since."""
    promote.promote(waiting.folder, "1", "Paul")
    waiting.serve("v0-earlier")
    waiting.judge("2", "v0-earlier")
    waiting.approve("2")
    deploy.main(["production"])

    def back(now: state.State) -> state.Changed:
        return replace(now, serving=waiting.first), {"release": waiting.first}

    with audit.signed(waiting.folder):
        state.change(waiting.folder, "serve", "Ada", None, back)

    expected = f"compared it with v0-earlier, and {waiting.first} answers now"
    assert expected in refusal(promote.main, "2")


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [("changed", "the change control plan has changed"), (None, "is missing: nothing is allowed")],
)
def test_a_changed_or_missing_plan_stops_all_answers(
    waiting: Releases, bounds: str | None, reason: str, monkeypatch: Patch, refusal: Refusal
) -> None:
    def gone() -> None:
        raise SettingsError("the plan is missing: nothing is allowed without it")

    if bounds:
        monkeypatch.setattr(plan, "digest", lambda: bounds)
    else:
        monkeypatch.setattr(plan, "bounds", gone)

    assert reason in refusal(promote.main, "1")


def test_a_verdict_that_somebody_wrote_into_the_log_without_the_key_does_not_count(
    releases: Releases, refusal: Refusal
) -> None:
    releases.judge("1", promote=False, reasons=["worse than a constant"])
    releases.approve("1")
    assert deploy.main(["production", releases.first]) == 1
    detail = {"release": releases.first, "against": None, "plan": plan.digest()}
    state.note(releases.folder, "judged", "Eve", **detail)

    expected = "the audit log cannot be relied on: line 1 is not signed"
    assert expected in refusal(promote.main, "1")


def test_without_the_audit_key_nothing_comes_to_answer(
    waiting: Releases, monkeypatch: Patch, refusal: Refusal
) -> None:
    monkeypatch.delenv(keys.VARIABLE)
    assert "`uv run poe keys --audit` makes" in refusal(promote.main, "1")
    assert waiting.now.serving is None


def test_a_version_that_is_rejected_leaves_the_shadow_and_has_to_be_named_to_come_back(
    waiting: Releases, refusal: Refusal
) -> None:
    shadowed(waiting)
    with audit.signed(waiting.folder):
        state.canary(waiting.folder, "v9-tried", "Ada")

    output = refusal(promote.main, "7", "--reject", "no reason")
    assert f"{waiting.second} is in the shadow" in output
    assert promote.main(["2", "--reject", "it leans on age"]) == 0

    now = waiting.now
    assert (now.serving, now.shadow) == (waiting.first, None)
    assert now.canary is not None and now.canary.release == "v9-tried"
    last = waiting.events[-1]
    assert (last["event"], last["detail"]["reason"]) == ("abort", "it leans on age")
    assert audit.report(waiting.folder) == []
    assert "was rolled back" in refusal(deploy.main, "production")
    assert deploy.main(["production", waiting.second]) == 0


def test_a_stop_outlasts_a_promotion(waiting: Releases, capsys: Capture) -> None:
    with audit.signed(waiting.folder):
        state.stop(waiting.folder, "Olga", "a drill")

    assert promote.main([waiting.first]) == 0
    assert "stays stopped" in capsys.readouterr().out
    assert waiting.now.stopped


def test_a_bundle_that_was_changed_on_the_disk_does_not_answer(
    waiting: Releases, refusal: Refusal
) -> None:
    for folder in (waiting.folder / "bundles", paths.candidates()):
        with (folder / waiting.first / "contract.json").open("a") as file:
            file.write(" ")

    assert "contract.json" in refusal(promote.main, "1")
    assert waiting.now.serving is None


@pytest.mark.tried(
    "Put another `model.onnx` into an approved release, and sign it again",
    "`poe deploy production` exports the version's model again, and refuses",
)
def test_a_bundle_signed_again_since_its_deployment_does_not_answer(
    waiting: Releases, release_private_key: bytes, refusal: Refusal
) -> None:
    swap_model(paths.bundle(waiting.folder, waiting.first), release_private_key)
    assert f"{waiting.first} has other files than were deployed" in refusal(promote.main, "1")
    assert waiting.now.serving is None


def approved(releases: Releases) -> tuple[str, int]:
    """Return what the service says of the release of version 1, and how many lines approve of it."""
    log = SignedLog(releases.folder)
    log.follow()
    admission = Admission(log, signatures.signers_file(releases.project))
    serving = paths.bundle(releases.folder, str(releases.now.serving))
    objection = admission.objection(bundle.read_manifest(serving))
    return objection.reason if objection else "", len(details(releases.events, APPROVED))


def test_a_line_of_an_earlier_library_is_written_again_for_what_answers(
    waiting: Releases, capsys: Capture
) -> None:
    with audit.signed(waiting.folder):
        state.note(waiting.folder, APPROVED, "Paul", release=waiting.first, signed_by="nobody")
        state.serve(waiting.folder, waiting.first, "Paul")
    assert "does not name the hash of its files" in approved(waiting)[0]

    for _ in range(2):
        assert promote.main(["1"]) == 0
        assert approved(waiting) == ("", 2)
    assert capsys.readouterr().out.count("Its new approval is in the audit log.") == 1


@pytest.fixture
def sign(waiting: Releases, monkeypatch: Patch) -> Callable[..., None]:
    """Signs the approval of version 1 in a team; what is given replaces a part."""
    key = new_key(waiting.project / "vera.key")
    signers = signatures.signers_file(waiting.project)
    signers.write_text(signatures.line_for(key, "vera@example.org"))
    # test_developers.py asks who made a version.
    monkeypatch.setattr(validation, "person_objections", lambda *about: iter(()))

    def write(**changes: Any) -> None:
        verdict = json.loads((waiting.project / "gate.json").read_text())
        record = waiting.project / validation.RECORDS / f"{FACTS['model']}-1.yaml"
        about = FACTS | {"source_hash": source_of(paths.candidates() / waiting.first)}
        content = signed_approval.statement(
            about, record, signed_approval.verdict_facts(verdict), waiting.project
        )
        path = record.with_name(f"{FACTS['model']}-1.approval.json")
        signed_approval.write(path, content | changes, key)

    return write


def test_the_log_keeps_the_signed_approval_that_the_service_verifies_and_a_new_one(
    waiting: Releases, sign: Callable[..., None], refusal: Refusal, capsys: Capture
) -> None:
    sign()
    for _ in range(2):
        assert promote.main(["1"]) == 0
        assert approved(waiting) == ("", 1)
    sign(expires="2020-01-01")
    assert "its new approval does not count." in refusal(promote.main, "1")

    sign(expires="2099-01-01")
    assert promote.main(["1"]) == 0

    assert "Its new approval is in the audit log." in capsys.readouterr().out
    assert approved(waiting) == ("", 2)
    assert audit.report(waiting.folder) == []


def test_what_the_service_would_refuse_is_not_promoted(
    waiting: Releases, sign: Callable[..., None], refusal: Refusal
) -> None:
    signers = signatures.signers_file(waiting.project)
    # OpenSSH admits this line, and the service does not.
    signers.write_text(signers.read_text().replace('="rung-', '="!git,rung-'))
    sign()

    output = refusal(promote.main, "1")

    assert f"{waiting.first} may not answer" in output
    assert 'says that by `namespaces="rung-approval"`' in output
    assert waiting.now.serving is None
