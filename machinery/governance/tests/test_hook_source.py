"""Hooks change what is answered: the service refuses others than the approved ones, or says so."""

from pathlib import Path
from typing import Any

import pytest

from machinery.governance.tests.conftest import Patch
from machinery.governance.tests.signing import Desk, approved_line
from machinery.governance.tests.test_admission import RELEASE, Door
from machinery.tests.conftest import FACTS
from rung_governance.approval import audit, bound_facts, signed_approval, validation
from rung_governance.approval.signed_log import APPROVED
from rung_governance.approval.signed_state import SignedStateReader
from rung_ops import contract
from rung_ops.model import bundle, source_hash
from rung_ops.project import current

HALVED = {"after_prediction": f"{contract.package()}.hooks:halved"}


def files() -> dict[str, str]:
    """The files of a release that was made of the source in the project."""
    folder = current().root / bundle.SOURCE / contract.package()
    return {
        path.relative_to(current().root).as_posix(): bundle.digest(path)
        for path in folder.rglob("*")
        if path.is_file() and not source_hash.left_out(path.relative_to(folder).parts)
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
        made_of = {"source_hash": source_hash.of_files(manifest["files"])}
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
