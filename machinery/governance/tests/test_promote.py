"""Nothing answers in production that was not judged, and approved by another than its author."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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
from rung_governance.approval.plan import PlanError
from rung_governance.approval.signed_log import APPROVED, SignedLog
from rung_ops.model import bundle
from rung_ops.project import release_folders
from rung_ops.project.paths import project_name
from rung_ops.release import history, state
from rung_ops.tracking import registry

Candidates = tuple[str, str]
Write = Callable[..., None]


def events(folder: Path) -> list[dict[str, Any]]:
    return history.read(folder / state.HISTORY)


@pytest.fixture
def waiting(candidates: Candidates, production: Path, judge: Write, approve: Write) -> str:
    """The first release, approved, waits for its promotion; its id."""
    judge("1", None)
    approve("1")
    assert deploy.main(["production", candidates[0]]) == 0
    return candidates[0]


def test_an_approved_version_comes_to_answer(
    waiting: str, production: Path, registry_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_store)

    assert promote.main(["1"]) == 0

    assert state.read(production).serving == waiting
    assert [event["event"] for event in events(production)] == ["judged", "approved", "serve"]
    judged = events(production)[0]["detail"]
    assert judged["rules_text"].startswith("# What a new version must show")
    assert judged["plan_text"] == plan.path().read_text() and judged["said"]["promote"] is True
    detail = events(production)[1]["detail"]
    assert detail["validator"] == "Vera Valid <vera@example.org>"
    assert len(detail["record_hash"]) == 64
    assert audit.report(production) == []
    assert str(registry.version(registry.CHAMPION).version) == "1"


def test_a_later_version_takes_over_from_the_shadow_and_the_registry_may_be_down(
    waiting: str,
    candidates: Candidates,
    production: Path,
    judge: Write,
    approve: Write,
    capsys: pytest.CaptureFixture[str],
) -> None:
    promote.promote(production, waiting, "Paul")
    judge("2", waiting)
    approve("2")
    deploy.main(["production"])

    assert promote.main(["2"]) == 0

    now = state.read(production)
    assert (now.serving, now.previous, now.shadow) == (candidates[1], (waiting,), None)
    assert "alias `champion` could not be set" in capsys.readouterr().out
    assert audit.report(production) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"decision": "rejected"}, "has rejected this version"),
        ({"git_commit": "f" * 40}, "the record names git_commit"),
        ({"data_hash": "0" * 32}, "the record names data_hash"),
        ({"version": 7}, f"the record is about {project_name()} 7"),
        ({"validator": {"name": "A. L.", "email": "ada@example.org"}}, "developed the model"),
        ({"validator": {"name": "ada lovelace", "email": "a@b.org"}}, "developed the model"),
        ({"limitations": ""}, "limitations"),
    ],
)
def test_what_is_not_approved_by_another_does_not_answer(
    waiting: str,
    production: Path,
    approve: Write,
    changes: dict[str, Any],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    approve("1", **changes)

    assert promote.main(["1"]) == 1

    assert reason in capsys.readouterr().err
    assert state.read(production).serving is None
    assert [event["event"] for event in events(production)] == ["judged"]


@pytest.mark.parametrize("registry_is_up", [True, False])
def test_a_release_that_does_not_exist_is_answered_with_those_that_do(
    candidates: Candidates,
    production: Path,
    registry_store: str,
    monkeypatch: pytest.MonkeyPatch,
    registry_is_up: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if registry_is_up:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_store)

    assert promote.main(["x"]) == 1

    listed = ", ".join(sorted(candidates))
    assert capsys.readouterr().err.endswith(
        f"There is no release x: {release_folders.candidates()} has {listed}. "
        "Type the command again with one of these.\n"
    )


def test_a_candidate_that_was_not_deployed_is_answered_with_the_command_that_brings_it(
    candidates: Candidates, production: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote.main([candidates[0]]) == 1

    expected = (
        f"Refused: {candidates[0]} does not wait in production to be promoted; nothing is there. "
        f"`uv run poe deploy production {candidates[0]}` brings it."
    )
    assert capsys.readouterr().err.startswith(expected)


@pytest.mark.tried("Serve an unapproved version", "`poe promote` refuses")
def test_what_is_not_validated_does_not_answer(
    candidates: Candidates, production: Path, judge: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    judge("1", None, promote=False, awaits=["it is not validated"])
    deploy.main(["production", candidates[0]])

    assert promote.main(["1"]) == 1

    assert f"{project_name()}-1.yaml does not exist" in capsys.readouterr().err
    assert state.read(production).serving is None


def test_a_version_that_is_not_in_the_shadow_is_not_promoted(
    waiting: str, production: Path, approve: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    promote.promote(production, "1", "Paul")
    approve("2")

    assert promote.main(["2"]) == 1
    assert "version 2 does not wait in production" in capsys.readouterr().err


def test_promoting_what_answers_already_completes_what_the_registry_did_not_take(
    waiting: str,
    production: Path,
    registry_store: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert promote.main(["1"]) == 0
    assert "alias `champion` could not be set" in capsys.readouterr().out
    before = events(production)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_store)
    registry.client().delete_registered_model_alias(registry.model_name(), registry.CHAMPION)

    assert promote.main(["1"]) == 0

    assert f"{waiting} answers in production already" in capsys.readouterr().out
    assert str(registry.version(registry.CHAMPION).version) == "1"
    assert events(production) == before


def test_promoting_what_answers_on_an_expired_approval_says_how_it_is_renewed(
    waiting: str, production: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote.main(["1"]) == 0
    signed = {"version": "1", "approved": "2026-01-01", "expires": "2026-02-01"}
    with audit.signed(production):
        line = {"release": waiting, "release_hash": "0", "approval": json.dumps(signed)}
        state.note(production, APPROVED, "Vera", **line)
    before = events(production)

    assert promote.main(["1"]) == 1

    assert capsys.readouterr().err.startswith(
        "Refused: its approval does not count any more.\n"
        "- the approval expired on 2026-02-01: `uv run poe approve 1` after a look at it, then "
        "`uv run poe promote 1`, renew it\n"
    )
    assert events(production) == before


def test_a_verdict_against_what_answered_earlier_does_not_count(
    waiting: str,
    candidates: Candidates,
    production: Path,
    judge: Write,
    approve: Write,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The shadow was judged against a release that has been rolled back since."""
    promote.promote(production, "1", "Paul")
    with audit.signed(production):
        state.serve(production, "v0-earlier", "Ada")
    judge("2", "v0-earlier")
    approve("2")
    deploy.main(["production"])
    with audit.signed(production):
        state.change(
            production,
            "serve",
            "Ada",
            None,
            lambda now: (replace(now, serving=waiting), {"release": waiting}),
        )

    assert promote.main(["2"]) == 1
    assert f"compared it with v0-earlier, and {waiting} answers now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [("changed", "the change control plan has changed"), (None, "is missing: nothing is allowed")],
)
def test_a_changed_or_missing_plan_stops_all_answers(
    waiting: str,
    production: Path,
    bounds: str | None,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def gone() -> None:
        raise PlanError("the plan is missing: nothing is allowed without it")

    if bounds:
        monkeypatch.setattr(plan, "digest", lambda: bounds)
    else:
        monkeypatch.setattr(plan, "bounds", gone)

    assert promote.main(["1"]) == 1
    assert reason in capsys.readouterr().err


def test_a_verdict_that_somebody_wrote_into_the_log_without_the_key_does_not_count(
    candidates: Candidates, production: Path, judge: Write, approve: Write, capsys: Any
) -> None:
    judge("1", None, promote=False, reasons=["worse than a constant"])
    approve("1")
    assert deploy.main(["production", candidates[0]]) == 1
    detail = {"release": candidates[0], "against": None, "plan": plan.digest()}
    state.note(production, "judged", "Eve", **detail)

    assert promote.main(["1"]) == 1
    assert "the audit log cannot be relied on: line 1 is not signed" in capsys.readouterr().err


def test_without_the_audit_key_nothing_comes_to_answer(
    waiting: str, production: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.delenv(keys.VARIABLE)

    assert promote.main(["1"]) == 1
    assert "`uv run poe keys --audit` makes" in capsys.readouterr().err
    assert state.read(production).serving is None


def test_a_version_that_is_rejected_leaves_the_shadow_and_has_to_be_named_to_come_back(
    waiting: str, candidates: Candidates, production: Path, judge: Write, capsys: Any
) -> None:
    promote.promote(production, "1", "Paul")
    judge("2", waiting)
    deploy.main(["production"])

    assert promote.main(["7", "--reject", "no reason"]) == 1
    assert f"{candidates[1]} is in the shadow" in capsys.readouterr().err
    assert promote.main(["2", "--reject", "it leans on age"]) == 0

    now = state.read(production)
    assert (now.serving, now.shadow) == (waiting, None)
    last = events(production)[-1]
    assert (last["event"], last["detail"]["reason"]) == ("abort", "it leans on age")
    assert audit.report(production) == []
    assert deploy.main(["production"]) == 1
    assert "was rolled back" in capsys.readouterr().err


def test_a_rejection_ends_the_shadow_and_spares_a_canary(
    waiting: str, candidates: Candidates, production: Path, judge: Write
) -> None:
    promote.promote(production, "1", "Paul")
    judge("2", waiting)
    deploy.main(["production"])
    with audit.signed(production):
        state.canary(production, "v9-tried", "Ada")

    assert promote.main(["2", "--reject", "it leans on age"]) == 0

    now = state.read(production)
    assert now.canary is not None and now.canary.release == "v9-tried"
    assert now.shadow is None


def test_a_stop_outlasts_a_promotion(
    waiting: str, production: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with audit.signed(production):
        state.stop(production, "Olga", "a drill")

    assert promote.main([waiting]) == 0
    assert "stays stopped" in capsys.readouterr().out
    assert state.read(production).stopped


def test_a_bundle_that_was_changed_on_the_disk_does_not_answer(
    waiting: str, production: Path, candidates: Candidates, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (production / "bundles", production.with_name("candidates")):
        with (folder / waiting / "contract.json").open("a") as file:
            file.write(" ")

    assert promote.main(["1"]) == 1
    assert "contract.json" in capsys.readouterr().err
    assert state.read(production).serving is None


@pytest.mark.tried(
    "Put another `model.onnx` into an approved release, fix its manifest, and sign it again",
    "`poe deploy production` exports the version's model again, and refuses",
)
def test_a_bundle_signed_again_since_its_deployment_does_not_answer(
    waiting: str, production: Path, release_private_key: bytes, capsys: Any
) -> None:
    swap_model(release_folders.bundle(production, waiting), release_private_key)

    assert promote.main(["1"]) == 1

    assert f"{waiting} has other files than were deployed" in capsys.readouterr().err
    assert state.read(production).serving is None


def test_a_line_of_an_earlier_library_is_written_again_for_what_answers(
    waiting: str, production: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with audit.signed(production):
        state.note(production, APPROVED, "Paul", release=waiting, signed_by="nobody")
        state.serve(production, waiting, "Paul")
    assert "does not name the hash of its files" in approved_of(production, tmp_path)[0]

    assert promote.main(["1"]) == 0

    assert "Its new approval is in the audit log." in capsys.readouterr().out
    assert approved_of(production, tmp_path) == ("", 2)
    assert promote.main(["1"]) == 0
    assert approved_of(production, tmp_path) == ("", 2)


@pytest.fixture
def sign(
    waiting: str, production: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Signs the approval of version 1 in a team; what is given replaces a part."""
    key = new_key(tmp_path / "vera.key")
    signers = signatures.signers_file(tmp_path)
    signers.write_text(signatures.line_for(key, "vera@example.org"))
    # test_developers.py asks who made a version.
    monkeypatch.setattr(validation, "person_objections", lambda *about: iter(()))

    def write(**changes: Any) -> None:
        verdict = signed_approval.verdict_facts(json.loads((tmp_path / "gate.json").read_text()))
        record = tmp_path / validation.RECORDS / f"{FACTS['model']}-1.yaml"
        (release,) = release_folders.candidates().glob("v1-*")
        about = FACTS | {"source_hash": source_of(release)}
        content = signed_approval.statement(about, record, verdict, tmp_path)
        path = record.with_name(f"{FACTS['model']}-1.approval.json")
        signed_approval.write(path, content | changes, key)

    return write


def approved_of(production: Path, tmp_path: Path) -> tuple[str, int]:
    """Return what the service says of the release of version 1, and how many lines approve of it."""
    log = SignedLog(production)
    log.follow()
    admission = Admission(log, signatures.signers_file(tmp_path))
    serving = release_folders.bundle(production, str(state.read(production).serving))
    objection = admission.objection(bundle.read_manifest(serving))
    lines = [each for each in events(production) if each["event"] == APPROVED]
    return objection.reason if objection else "", len(lines)


def test_the_log_keeps_the_signed_approval_that_the_service_verifies(
    waiting: str, sign: Write, production: Path, tmp_path: Path
) -> None:
    sign()
    assert promote.main(["1"]) == 0

    assert approved_of(production, tmp_path) == ("", 1)
    assert promote.main(["1"]) == 0
    assert approved_of(production, tmp_path) == ("", 1)


def test_a_new_approval_of_what_answers_comes_into_the_log(
    waiting: str, sign: Write, production: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sign()
    assert promote.main(["1"]) == 0
    sign(expires="2020-01-01")
    assert promote.main(["1"]) == 1
    assert "its new approval does not count." in capsys.readouterr().err

    sign(expires="2099-01-01")
    assert promote.main(["1"]) == 0

    assert "Its new approval is in the audit log." in capsys.readouterr().out
    assert approved_of(production, tmp_path) == ("", 2)
    assert audit.report(production) == []


def test_what_the_service_would_refuse_is_not_promoted(
    waiting: str,
    sign: Write,
    production: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    signers = signatures.signers_file(tmp_path)
    # OpenSSH admits this line, and the service does not.
    signers.write_text(signers.read_text().replace('="rung-', '="!git,rung-'))
    sign()

    assert promote.main(["1"]) == 1

    output = capsys.readouterr().err
    assert f"{waiting} may not answer" in output
    assert 'says that by `namespaces="rung-approval"`' in output
    assert state.read(production).serving is None
