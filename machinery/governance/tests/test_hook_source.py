"""Hooks change what is answered: the service says where their source is not the approved one."""

from typing import Any

import pytest

from rung_governance.approval import signed_state
from rung_governance.approval.signed_state import HookSource
from rung_ops import contract
from rung_ops.model import bundle, source_hash
from rung_ops.project import current

RELEASE = "v1-aaaaaaaa-bbbbbb"


def files() -> dict[str, str]:
    """The files of a release that was made of the source in the project."""
    folder = current().root / bundle.SOURCE / contract.package()
    return {
        path.relative_to(current().root).as_posix(): bundle.digest(path)
        for path in folder.rglob("*")
        if path.is_file() and not source_hash.left_out(path.relative_to(folder).parts)
    }


def reason(monkeypatch: pytest.MonkeyPatch, hooks: dict[str, Any], **changed: str) -> str:
    monkeypatch.setattr(signed_state.hooks, "named", lambda: hooks)
    objection = HookSource().objection({"id": RELEASE, "files": files() | changed})
    assert objection is None or not objection.refuses
    return "" if objection is None else objection.reason


@pytest.mark.tried(
    "Change what is answered by a hook of the service that came after the approval",
    "the service reports it, where the hook's source in src/ is not the approved one, or is elsewhere",
)
def test_hooks_of_other_source_than_the_approved_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = {"after_prediction": f"{contract.package()}.hooks:halved", "notify": "mail:send"}
    other = {f"src/{contract.package()}/hooks.py": "0" * 64}

    assert reason(monkeypatch, own) == ""
    assert reason(monkeypatch, own, **other) == (
        f"{RELEASE} answers through the hook after_prediction of other source in src/ than was "
        "approved with it"
    )
    assert "the hook routes of elsewhere.pages, whose source no approval names" in (
        reason(monkeypatch, {"routes": "elsewhere.pages:more"})
    )


def test_without_hooks_of_the_service_the_source_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert reason(monkeypatch, {"notify": "mail:send"}, **{"src/x.py": "0" * 64}) == ""
