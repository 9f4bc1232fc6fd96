"""A release answers in production if its signed approval, in the signed log, names its hashes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from machinery.governance.tests.conftest import Patch
from machinery.governance.tests.signing import Desk, approved_line, new_key
from machinery.tests.conftest import FACTS
from rung_governance.approval import (
    admission,
    audit,
    bound_facts,
    signatures,
    signed_approval,
    signed_log,
    validation,
)
from rung_governance.approval.admission import Admission, SignedStateReader
from rung_governance.approval.bound_facts import NotApprovedError
from rung_governance.approval.signed_log import APPROVED, WITHDRAWN, SignedLog
from rung_ops import contract
from rung_ops.model import bundle
from rung_ops.project import active_addons, current
from rung_ops.release import history, state
from rung_ops.serving.state_reader import Objection

RELEASE = "v1-aaaaaaaa-bbbbbb"
MANIFEST = FACTS | {"id": RELEASE}


class Door:
    """An environment whose log is written line by line, and the admission that follows it."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.folder = folder
        self.key = new_key(place / "vera.key")
        self.signers = place / "allowed_signers"
        self.signers.write_text(signatures.line_for(self.key, "vera@example.org"))
        self.log = SignedLog(folder)
        self.admission = Admission(self.log, self.signers)

    def approve(self, **changes: Any) -> dict[str, str]:
        line = approved_line(RELEASE, self.key, **changes)
        assert audit.record(self.folder, APPROVED, "Vera", **line) == []
        return line

    def objection(self, **manifest: Any) -> Objection | None:
        self.log.follow()
        return self.admission.objection(MANIFEST | manifest)

    def reason(self, refuses: bool = True, **manifest: Any) -> str:
        objection = self.objection(**manifest)
        assert objection is not None and objection.refuses is refuses
        return objection.reason


@pytest.fixture
def door(production: Path, tmp_path: Path) -> Door:
    return Door(production, tmp_path)


def test_a_release_with_a_signed_approval_may_answer(door: Door) -> None:
    door.approve()
    assert door.objection() is None


def test_without_a_signed_line_in_the_log_it_may_not(door: Door) -> None:
    audit.record(door.folder, "reviewed", "Ada")

    assert door.reason() == (
        f"{RELEASE} may not answer: no signed line of the audit log approves of it: "
        "`uv run poe promote 1` writes it"
    )
    state.note(door.folder, APPROVED, "Eve", **approved_line(RELEASE, door.key))
    assert "no signed line" in door.reason()


@pytest.mark.parametrize("name", ["model", "version", "model_hash", "git_commit", "data_hash"])
@pytest.mark.parametrize("side", ["approval", "release"])
@pytest.mark.tried(
    "Serve a release by an approval of other hashes, of a key that may not approve, or edited",
    "the service answers 503",
)
def test_an_approval_of_something_else_does_not_count(door: Door, name: str, side: str) -> None:
    door.approve(**({name: "other"} if side == "approval" else {}))
    reason = door.reason(**({name: "other"} if side == "release" else {}))
    assert f"its approval is of {name} " in reason


@pytest.mark.tried(
    "Let other source into an approved release: `git replace`, filters, attributes, an edited "
    "copy of the run, a new signature",
    "the service answers 503",
)
def test_a_release_with_other_source_than_the_approved_does_not_count(door: Door) -> None:
    door.approve()
    reason = door.reason(files={"src/credit/features.py": "0" * 64})
    assert "its approval is of source_hash " in reason


@pytest.mark.tried(
    "Put another `model.onnx` into an approved release, and sign it again",
)
def test_a_release_with_another_exported_model_does_not_count(door: Door) -> None:
    files = {"model.onnx": "0" * 64}
    line = approved_line(RELEASE, door.key, MANIFEST | {"files": files})
    audit.record(door.folder, APPROVED, "Vera", **line)

    assert door.objection(files=files) is None
    for changes in ({"files": {"model.onnx": "1" * 64}}, {"files": files, "format": "lightgbm"}):
        assert "approves of other files under this id" in door.reason(**changes)


@pytest.mark.parametrize("name", ["git_commit", "data_hash", "params_hash", "model_hash"])
def test_an_approval_that_names_no_hash_does_not_count(door: Door, name: str) -> None:
    door.approve(**{name: ""})
    assert f"its approval names no {name}" in door.reason(**{name: ""})
    assert "`uv run poe approve 1`, then `uv run poe promote 1`" in door.reason(**{name: ""})


def test_an_approval_of_somebody_else_or_edited_does_not_count(door: Door, tmp_path: Path) -> None:
    eve = new_key(tmp_path / "eve.key")
    audit.record(door.folder, APPROVED, "Eve", **approved_line(RELEASE, eve))
    assert "its approval does not count: the key is not one that may sign" in door.reason()

    line = approved_line(RELEASE, door.key, expires="2020-01-01")
    line["approval"] = line["approval"].replace("2020", "2098")
    audit.record(door.folder, APPROVED, "Eve", **line)
    assert "the signature does not belong to the content" in door.reason()


def test_a_record_alone_counts_only_without_signers(door: Door) -> None:
    of = bound_facts.release_hash(MANIFEST)
    unsigned = {"release": RELEASE, "release_hash": of, "signed_by": "nobody"}
    audit.record(door.folder, APPROVED, "Vera", **unsigned)

    assert "holds no signed approval of it" in door.reason()
    door.signers.unlink()
    assert door.objection() is None
    assert "approves of other files" in door.reason(files={"model.onnx": "0" * 64})


@pytest.mark.tried(
    "With the audit log's key, approve without a signature",
    "the service answers 503 where an earlier approval was signed",
)
@pytest.mark.parametrize("release", [RELEASE, "v2-aaaaaaaa-bbbbbb"])
def test_where_approvals_were_signed_a_line_without_one_does_not_count(
    door: Door, release: str
) -> None:
    door.approve()
    audit.record(door.folder, APPROVED, "Eve", release=release)
    door.signers.unlink()
    assert "approvals were signed, and" in door.reason(id=release)


def test_a_signer_who_was_struck_off_approves_of_nothing(door: Door) -> None:
    door.approve()
    assert door.objection() is None

    door.signers.write_text("# nobody\n")
    assert "does not count" in door.reason()
    door.signers.unlink()
    assert "governance/allowed_signers is missing here" in door.reason()


@pytest.mark.tried(
    "Go on serving after the approval has expired or was withdrawn",
)
def test_what_expires_is_stopped_or_reported_as_the_plan_said(door: Door) -> None:
    door.approve(expires="2026-02-01")
    assert "may not answer any more: the approval expired on 2026-02-01" in door.reason()

    door.approve(expires="2026-02-01", lapsed="report")
    reported = door.reason(refuses=False)
    assert "answers, as the plan says, but the approval expired on 2026-02-01" in reported


@pytest.mark.tried(
    "Edit the installed library, such as `rung_ops` in `.venv`",
    "a release made by other files of the same version may not answer. Who edits the library "
    "can edit this, too",
)
def test_a_release_of_a_library_with_other_files_may_not_answer(door: Door) -> None:
    here = dict(active_addons.running_library())
    version = here["rung_ops"].split()[0]

    def made_by(recorded: object) -> dict[str, object]:
        line = approved_line(RELEASE, door.key, MANIFEST | {"library": recorded})
        audit.record(door.folder, APPROVED, "Vera", **line)
        return {"library": recorded}

    for same in (here, None, "earlier", {}, {"house_guard": "1 aa"}):
        assert door.objection(**made_by(same)) is None
    edited = made_by(here | {"rung_ops": f"{version} {'0' * 64}"})
    assert f"may not answer: rung_ops {version} has other files here" in door.reason(**edited)
    updated = made_by(here | {"rung_ops": f"0.0.1 {'0' * 64}"})
    assert "it was made by rung_ops 0.0.1" in door.reason(refuses=False, **updated)


@pytest.mark.tried(
    "Set the clock back, so that an expired approval holds",
    "the service answers 503, or reports it (`lapsed`), while a signed line is of a time to "
    "come; `poe promote`, `deploy`, `resume` and `rollback` refuse",
)
def test_a_signed_line_of_a_time_to_come_says_that_the_clock_was_set_back(
    door: Door, monkeypatch: Patch
) -> None:
    now = datetime.now(UTC)

    def written(hours: float, event: str = "override") -> None:
        at = (now + timedelta(hours=hours)).isoformat("T", "milliseconds")
        with monkeypatch.context() as patch:
            patch.setattr(history, "now", lambda: at)
            audit.record(door.folder, event, "Olga")

    door.approve()
    written(hours=0.5)
    assert door.objection() is None
    written(hours=2)
    written(hours=-1)
    door.approve()

    assert "may not answer any more: a line of the audit log is signed of" in door.reason()
    assert "a line of the audit log is signed of" in " ".join(audit.report(door.folder))
    with pytest.raises(audit.UnsignedLogError, match="clock"):
        audit.require_signature(door.folder)
    door.approve(lapsed="report")
    assert "the clock here says" in door.reason(refuses=False)

    written(0, signed_log.REVIEWED)
    assert door.objection() is None
    assert audit.report(door.folder) == []


@pytest.mark.parametrize("signed", [True, False])
def test_a_withdrawal_by_anyone_counts_and_a_new_approval_ends_it(door: Door, signed: bool) -> None:
    digest = door.approve()["approval_hash"]
    assert door.objection() is None
    write = audit.record if signed else state.note
    write(door.folder, WITHDRAWN, "Vera", approval=digest)

    assert door.reason() == f"{RELEASE} may not answer any more: its approval was withdrawn"

    audit.record(door.folder, "reviewed", "Ada", review=True)
    door.approve(expires="2099-02-01")
    assert door.objection() is None


def test_an_approval_that_cannot_be_read_does_not_count(door: Door) -> None:
    line = approved_line(RELEASE, door.key)
    for wrong in ("[]", "{", '"text"'):
        line |= {"approval": wrong, "approval_signature": signatures.sign(wrong.encode(), door.key)}
        with pytest.raises(NotApprovedError):
            admission.approved(line, MANIFEST, door.signers.read_text())


HALVED = {"after_prediction": f"{contract.package()}.hooks:halved"}


def files() -> dict[str, str]:
    """The files of a release that was made of the source in the project."""
    folder = current().root / bundle.SOURCE / contract.package()
    return {
        path.relative_to(current().root).as_posix(): bundle.digest(path)
        for path in folder.rglob("*")
        if path.is_file() and not bundle.left_out(path.relative_to(folder).parts)
    }


def named(monkeypatch: Patch, hooks: dict[str, str]) -> None:
    """Name hooks in pyproject.toml."""
    monkeypatch.setattr(bound_facts.hooks, "named", lambda: hooks)


class Hooked:
    """A service with hooks, and the signed approval of a release that it may serve."""

    def __init__(self, folder: Path, place: Path, monkeypatch: Patch) -> None:
        self.door = Door(folder, place)
        self.patch = monkeypatch
        monkeypatch.setattr(
            "rung_governance.approval.signatures.signers_file", lambda: self.door.signers
        )

    def reason(self, hooks: dict[str, str], terms: dict[str, Any], **changed: str) -> str:
        """Say what speaks against the release, and whether it is refused."""
        manifest = FACTS | {"id": RELEASE, "files": files() | changed}
        made_of = {"source_hash": bundle.source_hash(manifest["files"])}
        line = approved_line(RELEASE, self.door.key, manifest, **made_of, **terms)
        assert audit.record(self.door.folder, APPROVED, "Vera", **line) == []
        named(self.patch, hooks)
        reader = SignedStateReader(self.door.folder)
        reader.read()
        objection = reader.objection(manifest)
        return "" if objection is None else f"{objection.refuses}: {objection.reason}"


@pytest.fixture
def service(production: Path, tmp_path: Path, monkeypatch: Patch) -> Hooked:
    return Hooked(production, tmp_path, monkeypatch)


def terms(hooks: dict[str, str], policy: str = "refuse") -> dict[str, Any]:
    return {bound_facts.HOOKS: hooks, bound_facts.OTHER_HOOKS: policy}


@pytest.mark.tried(
    "Change the answers by a hook that came after the approval",
    "the service answers 503, or reports it (`hooks: report` in the plan)",
)
def test_hooks_that_the_approval_does_not_name_are_refused(service: Hooked) -> None:
    assert service.reason(HALVED | {"notify": "mail:send"}, terms(HALVED)) == ""
    refused = service.reason(HALVED, terms({}))
    assert "True: " in refused
    assert f"the hooks after_prediction ({HALVED['after_prediction']}), and its approval" in refused
    assert "`uv run poe approve 1`, then `uv run poe promote 1`" in refused
    assert "the service has no hooks" in service.reason({}, terms(HALVED))
    assert service.reason(HALVED, terms({}, "report")).startswith("False: ")


def test_hooks_of_other_source_than_the_approved_are_refused(service: Hooked) -> None:
    other = {f"src/{contract.package()}/hooks.py": "0" * 64}
    pages = {"routes": "elsewhere.pages:more"}

    assert "True: " in (refused := service.reason(HALVED, terms(HALVED), **other))
    assert "of other source in src/ than was approved with it" in refused
    assert "routes of elsewhere.pages, whose source no approval names" in (
        service.reason(pages, terms(pages))
    )
    assert service.reason({}, terms({}), **other) == ""


def test_an_approval_of_an_earlier_library_reports_hooks(service: Hooked) -> None:
    assert service.reason(HALVED, {}).startswith(f"False: {RELEASE} answers through the hooks ")
    assert service.reason({}, {}) == ""


def test_an_approval_names_the_hooks_and_is_void_when_they_change(
    desk: Desk, monkeypatch: Patch
) -> None:
    named(monkeypatch, HALVED)
    version = desk.version()
    assert desk.approve(version) == 0
    signed, _ = signed_approval.read(validation.approval_path(version), desk.folder)

    assert (signed[bound_facts.HOOKS], signed[bound_facts.OTHER_HOOKS]) == (HALVED, "refuse")
    assert validation.objections(version) == []
    named(monkeypatch, {})
    assert any("the hooks of the service" in each for each in validation.objections(version))
    assert validation.objections(version, answered=True) == []
