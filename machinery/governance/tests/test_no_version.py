"""A version that does not exist is answered alike by every command, and nothing is written."""

import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from machinery.governance.tests.conftest import Capture, Patch, pem
from machinery.governance.tests.signing import Desk
from machinery.tests.projects import moved
from rung_governance.approval import approve, promote, registry_champion
from rung_governance.documents import examine, file_parts, technical_file
from rung_ops.errors import StageError
from rung_ops.gate import registry_gate
from rung_ops.project.paths import project_name
from rung_ops.release import lineage
from rung_ops.tracking import registry

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "gate": registry_gate.main,
    "approve": approve.main,
    "promote": promote.main,
    "registry promote": registry_champion.promote,
    "examine": examine.main,
    "technical-file": technical_file.main,
    "lineage": lineage.main,
}


def printed(command: str, version: str, capsys: Capture) -> str:
    """Type a command; return what it prints, as `rung-ops` prints the errors of verbs."""
    try:
        assert COMMANDS[command]([version]) == 1
    except StageError as error:
        return str(error)
    return capsys.readouterr().err


@pytest.fixture
def two(desk: Desk, signing_key: ec.EllipticCurvePrivateKey, monkeypatch: Patch) -> Desk:
    """Two versions are there, and reports of neither."""
    monkeypatch.setenv("AUDIT_PRIVATE_KEY", pem(signing_key).decode())
    desk.version()
    desk.version()
    moved(monkeypatch, reports=desk.folder / "reports")
    return desk


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_which_versions_there_are(
    two: Desk, capsys: Capture, command: str
) -> None:
    output = printed(command, "9", capsys)

    expected = (
        f"There is no version 9 of {project_name()}: the registry has 2, 1. "
        "Type the command again with one of these."
    )
    assert expected in output
    assert ("Nothing was signed" in output) is (command == "approve")
    assert not (two.folder / "reports").exists()
    assert not (two.folder.parent / "gate.json").exists()


def test_a_verdict_on_another_version_stays(two: Desk, capsys: Capture) -> None:
    path = two.folder.parent / "gate.json"
    path.write_text(json.dumps({"challenger": {"version": "2"}}))
    assert "gate.json still has the verdict on version 2." in printed("gate", "9", capsys)
    assert json.loads(path.read_text()) == {"challenger": {"version": "2"}}


def test_of_an_empty_registry_it_is_said_what_makes_the_first(desk: Desk) -> None:
    with pytest.raises(registry.NoVersionError, match="has none yet. `uv run poe pipeline` makes"):
        registry.version("champion")


def test_of_many_versions_the_newest_are_named(desk: Desk, monkeypatch: Patch) -> None:
    monkeypatch.setattr(registry, "MOST_LISTED", 2)
    for _ in range(4):
        desk.version()

    with pytest.raises(registry.NoVersionError, match="the registry has 4, 3 and 2 older ones"):
        registry.version("9")


def test_an_alias_is_examined_as_the_version_it_stands_for(two: Desk, monkeypatch: Patch) -> None:
    registry.client().set_registered_model_alias(registry.model_name(), "challenger", "2")
    assert file_parts.version_of("challenger") == "2"


def test_where_the_registry_does_not_answer_the_version_is_taken_as_it_was_typed(
    desk: Desk, monkeypatch: Patch
) -> None:
    """What is examined then says so where it needs the registry."""

    def down(wanted: str) -> None:
        raise registry.ServerDownError("does not answer")

    monkeypatch.setattr(registry, "version", down)

    assert file_parts.version_of("9") == "9"
