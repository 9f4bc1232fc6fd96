"""An approval is signed by a validator's key, binds what was approved, and can end."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from machinery.governance.tests.conftest import Refusal
from machinery.governance.tests.signing import ADA, OTTO, PARAMS, PASSED, VERA, Desk, email
from rung_governance.approval import (
    approve,
    bound_facts,
    plan,
    release,
    signatures,
    signed_approval,
    stand_in,
    validation,
)
from rung_ops.project import current, documents
from rung_ops.release import make
from rung_ops.tracking import registry


@pytest.fixture
def approved(desk: Desk) -> Any:
    """A version that Vera has approved of."""
    version = desk.version()
    assert desk.approve(version) == 0
    desk.commit(VERA, message="Approve")
    return version


def test_the_stand_in_of_a_replay_may_approve_in_its_copy(tmp_path: Path) -> None:
    (tmp_path / "governance").mkdir()
    key = stand_in.signing_key(signatures.signers_file(tmp_path))
    signed = signatures.sign(b"approved", key)
    assert signatures.signer(b"approved", signed, tmp_path) == stand_in.EMAIL


def test_a_signed_approval_counts_and_openssh_verifies_it(desk: Desk, approved: Any) -> None:
    facts = signed_approval.verdict_facts(asdict(PASSED))

    assert validation.objections(approved, facts) == []

    path = validation.approval_path(approved)
    signed = json.loads(path.read_text())
    assert set(bound_facts.BOUND) <= set(signed)
    assert signed["verdict"]["challenger"] == 0.79
    assert signed["model_file"] == approved.tags["model_file"]
    allowed = desk.folder / signatures.SIGNERS
    words = ["ssh-keygen", "-Y", "verify", "-n", "rung-approval", "-I", "vera@example.org"]
    words += ["-f", str(allowed), "-s", f"{path}.sig"]
    subprocess.run(words, input=path.read_bytes(), check=True)


def test_the_check_for_secrets_takes_no_hash_for_one(desk: Desk, approved: Any) -> None:
    assert withdraw(desk, approved) == 0
    filters = json.loads((current().repository / ".secrets.baseline").read_text())["filters_used"]
    (excluded,) = [each["pattern"] for each in filters if "exclude_line" in each["path"]]
    signed = desk.folder.glob("governance/validation/*.json")
    lines = [line for path in signed for line in path.read_text().splitlines()]
    hashes = [line for line in lines if re.search(r"[0-9a-f]{32}", line)]

    assert len(hashes) == 11
    assert [line for line in hashes if not re.search(excluded[0], line)] == []


def test_what_the_gate_refuses_is_not_signed_nor_is_its_record_begun(
    desk: Desk, refusal: Refusal
) -> None:
    version = desk.version()
    words = (str(version.version), "--key", desk.key(VERA))
    desk.judge(replace(PASSED, promote=False, reasons=["worse than the champion"]))
    assert "worse than the champion" in refusal(approve.main, *words)

    desk.judge(PASSED)
    (desk.folder / "governance/oversight.yaml").write_text("review_by: 2020-01-31\n")
    assert "2020-01-31 has passed" in refusal(approve.main, *words)
    assert validation.record_paths(version) == []

    desk.record(version)
    assert "2020-01-31 has passed" in refusal(approve.main, *words)
    (desk.folder / "governance/oversight.yaml").unlink()
    desk.judge(replace(PASSED, promote=False, reasons=["worse than the champion"]))
    assert "worse than the champion" in refusal(approve.main, *words)
    assert not validation.approval_path(version).exists()


def test_no_record_is_begun_for_a_version_that_none_could_approve(
    desk: Desk, refusal: Refusal
) -> None:
    version = desk.version()
    tag("git_dirty", "true")(desk, version)

    output = refusal(approve.main, str(version.version), "--key", desk.key(VERA))

    assert "version 1 was made from files that differ from its commit" in output
    assert "`uv run dvc repro --force --single-item track` registers another" in output
    assert validation.record_paths(version) == []

    version = desk.version()
    for text, reason in (
        ("models:\n", "names no developer of"),
        ("models: 5\n", "names no developer of"),
        ("models: [\n", f"{validation.INVENTORY} is not YAML (line 2)"),
    ):
        (desk.folder / validation.INVENTORY).write_text(text)
        assert reason in refusal(approve.main, str(version.version))
    assert validation.record_paths(version) == []


@pytest.mark.parametrize(
    ("person", "validator"),
    [
        (VERA, {"name": "Vera Valid", "email": "vera@example.org"}),
        (ADA, {"name": None, "email": None}),
        ("A. L. <Ada+work@example.org>", {"name": None, "email": None}),
    ],
    ids=["a validator", "the developer", "the developer by another name"],
)
def test_the_record_is_begun_in_the_name_of_who_types_but_of_no_developer(
    desk: Desk, refusal: Refusal, person: str, validator: dict[str, str | None]
) -> None:
    desk.git("config", "user.name", person.partition(" <")[0])
    desk.git("config", "user.email", email(person))
    version = desk.version()

    assert "Answer what is empty in it" in refusal(approve.main, str(version.version))

    (path,) = validation.record_paths(version)
    assert documents.record(path)["validator"] == validator


@pytest.mark.tried(
    "Sign with a key that may not approve",
    "refused, with the line for the owners of `allowed_signers`",
)
def test_a_key_that_may_not_approve_signs_and_withdraws_nothing(
    desk: Desk, approved: Any, refusal: Refusal
) -> None:
    words = [str(approved.version), "--key", desk.key(OTTO)]
    desk.record(approved, OTTO)

    output = refusal(approve.main, *words)

    assert 'otto@example.org namespaces="rung-approval" ssh-ed25519 AAAA' in output
    desk.record(approved)
    refusal(approve.main, *words, "--withdraw", "no reason")
    assert validation.objections(approved) == []


@pytest.mark.tried(
    "Sign in another validator's name", "refused: record and signature name two people"
)
def test_a_record_in_the_name_of_another_is_not_signed(desk: Desk, refusal: Refusal) -> None:
    desk.allow(VERA, OTTO)
    version = desk.version()
    desk.record(version, VERA)

    output = refusal(approve.main, str(version.version), "--key", desk.key(OTTO))
    assert "the record is by vera@example.org, and otto@example.org signed" in output


def tag(name: str, value: str = "f" * 40) -> Callable[[Desk, Any], None]:
    def edit(desk: Desk, version: Any) -> None:
        registry.client().set_model_version_tag(version.name, version.version, name, value)

    return edit


def model(desk: Desk, version: Any) -> None:
    path = Path(version.source.removeprefix("file://")) / "model.skops"
    path.write_text("other bytes")


def text(path: str) -> Callable[[Desk, Any], None]:
    def edit(desk: Desk, version: Any) -> None:
        (file,) = desk.folder.glob(path)
        file.write_text(file.read_text() + "\n# another\n")

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (model, "the model's bytes changed"),
        (tag("params_hash"), "params.toml changed"),
        (text("governance/change_control_plan.yaml"), "the change control plan changed"),
        (text("ops/gate.toml"), "the rules in ops/gate.toml changed"),
        (text("governance/validation/*-*.yaml"), "the validation record changed"),
    ],
)
@pytest.mark.tried(
    "Approve, then change model, data, commit, `params.toml`, record, plan, verdict or `ops/gate.toml`",
    "the approval is void; the refusal says which changed",
)
def test_an_approval_is_void_when_what_it_binds_changes(
    desk: Desk, approved: Any, edit: Callable[[Desk, Any], None], reason: str
) -> None:
    edit(desk, approved)
    (objection,) = validation.objections(registry.version(str(approved.version)))
    assert objection.startswith(f"{reason} since it was approved")
    assert "the approval is void" in objection


@pytest.mark.tried(
    "Approve, then change [fairness.groups] or smallest_group",
    "the approval is void; before it, the gate refuses other settings than the version's",
)
def test_an_approval_is_void_when_other_groups_are_compared(desk: Desk, approved: Any) -> None:
    file = desk.folder / "params.toml"

    file.write_text(PARAMS.replace("C = 1", "C = 2"))
    assert validation.objections(approved) == []
    for other in (PARAMS.replace("30", "74"), f"{PARAMS}\n[fairness]\nsmallest_group = 200\n"):
        file.write_text(other)
        (objection,) = validation.objections(approved)
        assert objection.startswith("what params.toml judges a version by ([score], [fairness]")
        assert validation.objections(approved, answered=True) == []


def test_another_verdict_makes_it_void(desk: Desk, approved: Any) -> None:
    facts = signed_approval.verdict_facts(asdict(PASSED))

    assert validation.objections(approved, facts | {"challenger": 0.7900001}) == []
    (objection,) = validation.objections(approved, facts | {"champion_version": "7"})
    assert "(auc 0.79 against no champion, now auc 0.79 against 7)" in objection
    assert len(validation.objections(approved, facts | {"challenger": 0.8})) == 1


@pytest.mark.parametrize("file", ["approval.json", "approval.json.sig"])
@pytest.mark.tried(
    "Use an edited approval, another version's, or one past its date",
    "refused",
)
def test_an_edited_approval_does_not_count(desk: Desk, approved: Any, file: str) -> None:
    path = validation.approval_path(approved)
    path = path.with_name(path.name.replace("approval.json", file))
    path.write_text(path.read_text().replace("2", "3").replace("A", "B"))

    (objection,) = validation.objections(approved)
    assert "is not of a key that" in objection


def test_the_approval_of_another_version_does_not_serve(desk: Desk, approved: Any) -> None:
    other = desk.version()
    desk.record(other)
    ours, theirs = (validation.approval_path(each) for each in (approved, other))
    theirs.write_bytes(ours.read_bytes())
    signed_approval.proof_of(theirs).write_bytes(signed_approval.proof_of(ours).read_bytes())

    objections = validation.objections(other)

    assert f"approves of {approved.name} {approved.version}" in objections[0]


def test_it_expires_after_the_days_of_the_plan(desk: Desk, approved: Any) -> None:
    today = datetime.now(UTC).date()
    signed = json.loads(validation.approval_path(approved).read_text())
    assert signed["expires"] == (today + timedelta(days=30)).isoformat()
    assert plan.approval_terms(desk.folder / "none").valid_for == timedelta(days=365)

    desk.resign(approved, expires=(today - timedelta(days=1)).isoformat())

    (objection,) = validation.objections(approved, answered=True)
    assert objection.startswith(f"the approval expired on {today - timedelta(days=1)}")


LATER = "9999-12-31"


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": LATER},
        {"expires": "never"},
        {"expires": LATER, "approved": "2026-01-31T12:00:00+00:00"},
        {"lapsed": "report"},
        {"other_hooks": "report"},
    ],
)
@pytest.mark.tried(
    "Sign an approval by hand that allows more than the plan",
    "`poe promote` refuses",
)
def test_an_approval_that_was_written_by_hand_lets_no_more_than_the_plan(
    desk: Desk, approved: Any, changes: dict[str, str]
) -> None:
    desk.resign(approved, **changes)
    assert validation.objections(approved) != []
    assert (validation.objections(approved, answered=True) != []) is ("never" in changes.values())


def withdraw(desk: Desk, version: Any) -> int:
    reason = ["--withdraw", "it leans on age"]
    return approve.main([str(version.version), "--key", desk.key(VERA), *reason])


def test_a_withdrawn_version_is_not_approved_nor_released(
    desk: Desk, approved: Any, refusal: Refusal
) -> None:
    desk.patch.setattr(make, "main", lambda arguments: pytest.fail("released"))

    assert withdraw(desk, approved) == 0

    (objection,) = validation.objections(approved, answered=True)
    assert re.fullmatch("the approval was withdrawn by .* it leans on age", objection)
    assert "it leans on age" in refusal(release.main, str(approved.version))
    validation.approval_path(approved).unlink()
    assert "the approval was withdrawn" in validation.withdrawal_objections(approved)[0]


@pytest.mark.tried(
    "Delete the file of a withdrawal, or leave it out of a merge",
    "it still counts: git and the log remember it",
)
def test_a_withdrawal_whose_file_is_deleted_still_counts(desk: Desk, approved: Any) -> None:
    withdraw(desk, approved)
    desk.commit(VERA, message="Withdraw")
    (file,) = desk.folder.glob("governance/validation/*.withdrawal-*.json")
    file.unlink()
    desk.commit(ADA, message="Clean up")

    (objection,) = validation.objections(approved)
    assert f"withdrawn, and {file.name} was deleted since" in objection


@pytest.mark.parametrize("way", ["a merge", "git replace"])
def test_history_remembers_a_file_that_is_hidden(desk: Desk, way: str) -> None:
    before = desk.git("rev-parse", "HEAD")
    withdrawal = desk.commit(VERA, {"governance/withdrawal.json": "{}"})
    desk.git("checkout", "-q", "-b", "side", before)
    other = desk.commit(ADA)
    if way == "a merge":
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        desk.git(*who, "merge", "-q", "-s", "ours", "main")
        desk.git("branch", "-D", "main")
    else:
        desk.git("replace", withdrawal, other)

    assert signed_approval.in_history(desk.folder / "governance/withdrawal.json")


def test_a_new_approval_after_a_withdrawal_counts(desk: Desk, approved: Any) -> None:
    withdraw(desk, approved)
    desk.resign(approved, approved=datetime.now(UTC).isoformat())
    assert validation.objections(approved) == []


@pytest.mark.tried(
    "Delete `governance/allowed_signers`, so that the record alone counts",
    "refused: git remembers it",
)
def test_without_allowed_signers_the_record_alone_counts_unless_they_were_deleted(
    desk: Desk, refusal: Refusal
) -> None:
    (desk.folder / signatures.SIGNERS).unlink()
    version = desk.version()
    desk.record(version)

    (objection,) = validation.objections(version)
    assert "allowed_signers was deleted" in objection

    desk.patch.setattr(signed_approval, "in_history", lambda path: False)
    assert validation.objections(version) == []
    desk.patch.setattr(approve, "_key", lambda given: pytest.fail("no key is needed"))
    output = refusal(approve.main, str(version.version), "--key", desk.key(VERA))
    assert "In a team of one the record alone approves" in output
