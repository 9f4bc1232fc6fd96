"""A state.json that these functions did not write is refused, whatever is wrong with it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung_ops.model.bundle import BundleError
from rung_ops.release import deploy, history, state

BY = "Ada"
Content = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment that serves v2 after v1, tries v3 and v4, and is stopped."""
    state.serve(tmp_path, "v1", BY)
    state.serve(tmp_path, "v2", BY)
    state.canary(tmp_path, "v3", BY)
    state.shadow(tmp_path, "v4", 0.5, BY)
    state.stop(tmp_path, BY, "enough")
    return tmp_path


def change(folder: Path, how: Callable[[Content], object]) -> None:
    """Change state.json by hand."""
    path = folder / state.STATE
    content = json.loads(path.read_bytes())
    how(content)
    path.write_text(json.dumps(content))


def signed_again(content: Content) -> None:
    """Make the hash of the entry fit its content, as an attacker would."""
    entry = content["entry"]
    content["entry"] = history.new_event(
        entry["previous_hash"], entry["event"], entry["by"], entry["detail"]
    )


GONE = ...  # a key that is taken away
OTHER = "`entry`: it belongs to another state"
# Where in state.json, a value that no command writes there, and what the refusal says.
WRONG = [
    ("serving", "../../candidates/v9", "`serving` is not the id of a release"),
    ("serving", ".draft", "`serving`"),
    ("serving", "v2\n", "`serving`"),
    ("serving", "v" * 1000, "`serving`"),
    ("serving", 2, "`serving`"),
    ("serving", GONE, "`serving` is missing"),
    ("serving", "v1", OTHER),
    ("previous", ["v1/.."], "`previous"),
    ("previous", ["v1"] * 1000, "`previous"),
    ("canary.release", "../v3", "`canary"),
    ("canary.step", -1, "`canary"),
    ("canary.step", GONE, "`canary"),
    ("shadow.share", 7, "`shadow"),
    ("shadow.share", float("nan"), "`shadow"),
    ("shadow.release", "..", "`shadow"),
    ("stopped.reason", GONE, "`stopped"),
    ("generation", -1, "`generation`"),
    ("generation", float("inf"), "`generation`"),
    ("generation", 99, OTHER),
    ("entry", GONE, "`entry` is missing"),
    ("entry", {"event": "x"}, "`entry`"),
    ("entry.by", "Eve", "`entry`: it was changed"),
]


@pytest.mark.parametrize(("where", "value", "reason"), WRONG, ids=lambda value: repr(value)[:40])
def test_a_value_that_no_command_writes_is_named(
    folder: Path, where: str, value: object, reason: str
) -> None:
    def how(content: Content) -> None:
        *above, name = where.split(".")
        table = content[above[0]] if above else content
        table[name] = value
        if value is GONE:
            del table[name]

    change(folder, how)

    with pytest.raises(state.StateError, match="Delete it and `poe deploy`") as refused:
        state.read(folder)

    assert reason in str(refused.value)


def test_a_state_is_refused_by_its_values_also_where_its_entry_fits(folder: Path) -> None:
    def consistent(content: Content) -> None:
        content["serving"] = content["entry"]["detail"]["serving"] = "../../candidates/v9"
        signed_again(content)

    change(folder, consistent)

    with pytest.raises(state.StateError, match="is not the id of a release"):
        state.read(folder)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"generation": ' + b"9" * 10_000 + b"}", id="a long number"),
        pytest.param(b'"' + b"x" * 2_000_000 + b'"', id="large"),
    ],
)
def test_what_is_not_a_state_is_refused(folder: Path, content: bytes) -> None:
    (folder / state.STATE).write_bytes(content)

    with pytest.raises(state.StateError, match=r"state\.json"):
        state.read(folder)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with path.open("wb") as opened:
        opened.truncate(1 << 40)


def link(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [pipe, sparse, link, Path.mkdir])
def test_only_a_regular_file_is_read(folder: Path, put: Callable[[Path], None]) -> None:
    path = folder / state.STATE
    path.unlink()
    put(path)

    with pytest.raises(state.StateError, match="Delete it"):
        state.read(folder)
    with pytest.raises(state.StateError):
        state.stop(folder, BY, "now")


@pytest.mark.parametrize("put", [pipe, sparse])
def test_a_history_that_is_not_a_regular_file_does_not_block(
    folder: Path, put: Callable[[Path], None]
) -> None:
    path = folder / state.HISTORY
    path.unlink()
    put(path)

    with pytest.raises(OSError, match=r"history\.jsonl"):
        state.stop(folder, BY, "now")
    with pytest.raises(OSError, match=r"history\.jsonl"):
        state.events(folder)


def test_a_pipe_or_a_link_in_the_place_of_the_draft_does_not_block(folder: Path) -> None:
    draft, victim = folder / ".state.json.tmp", folder.parent / "victim"
    victim.write_text("mine")

    os.mkfifo(draft)
    state.resume(folder, BY)
    draft.symlink_to(victim)
    state.stop(folder, BY, "again")

    assert victim.read_text() == "mine"
    assert state.read(folder).stopped is not None


@pytest.mark.parametrize("name", ["../../candidates/v9", "/tmp/v9", ".draft", "", "a b", "v1\n"])
def test_no_command_writes_an_invalid_id(folder: Path, name: str) -> None:
    before = (folder / state.STATE).read_bytes()

    for change_to in (
        lambda: state.serve(folder, name, BY),
        lambda: state.canary(folder, name, BY),
        lambda: state.shadow(folder, name, 0.5, BY),
    ):
        with pytest.raises(state.ChangeRefusedError, match="is not the id of a release"):
            change_to()
    with pytest.raises(BundleError, match="There is no release "):
        deploy.install(folder, name)

    assert (folder / state.STATE).read_bytes() == before


def test_a_reason_that_would_not_be_read_again_is_refused(folder: Path) -> None:
    before = (folder / state.STATE).read_bytes()

    with pytest.raises(state.ChangeRefusedError, match="shorter"):
        state.stop(folder, BY, "x" * 2_000_000)

    assert (folder / state.STATE).read_bytes() == before


def test_a_state_of_an_earlier_version_is_read(folder: Path) -> None:
    """It says neither how a trial goes nor when a shadow began."""
    content = json.loads((folder / state.STATE).read_bytes())
    for written in (content, content["entry"]["detail"]["state"]):
        del written["canary"]["plan"], written["shadow"]["plan"], written["shadow"]["since"]
    signed_again(content)
    (folder / state.STATE).write_text(json.dumps(content))

    now = state.read(folder)

    assert now.on_trial == ("v3", "v4")
    assert now.canary is not None and now.canary.plan is None
