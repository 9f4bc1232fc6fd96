"""What is served survives kills and writers side by side, and its history shows any change."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from machinery.tests.system.kills import in_a_process, killed_at
from rung_ops.release import history, state
from rung_ops.release.history import State

BY = "Ada"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment that serves v2, after v1."""
    state.serve(tmp_path, "v1", BY)
    state.serve(tmp_path, "v2", BY)
    return tmp_path


def events(folder: Path) -> list[str]:
    return [each["event"] for each in history.read(folder / state.HISTORY)]


def fault(folder: Path) -> str | None:
    return history.verify(folder / state.HISTORY)


def test_a_kill_at_any_point_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    outcomes = set()
    point, killed = 0, True
    while killed:
        folder = tmp_path / str(point)
        state.serve(folder, "v1", BY)
        state.serve(folder, "v2", BY)
        killed = killed_at(point, partial(state.roll_back, folder, BY))
        left = state.read(folder)
        assert left in (State(2, "v2", ("v1",)), State(3, "v1", ()))

        state.stop(folder, BY, "to see that it goes on")

        reported = [each for each in events(folder) if each != history.REPAIRED]
        happened = ["roll_back"] if left.generation == 3 else []
        assert reported == ["serve", "serve", *happened, "stop"]
        assert fault(folder) is None
        assert state.read(folder).generation == left.generation + 1
        outcomes.add((left.generation, history.REPAIRED in events(folder)))
        point += 1
    # Killed before it happened, after it, and while its line was being written.
    assert outcomes == {(2, False), (3, False), (3, True)}
    assert point > 12


def test_a_kill_while_a_torn_line_is_repaired_loses_nothing(tmp_path: Path) -> None:
    point, killed = 0, True
    while killed:
        folder = tmp_path / str(point)
        state.serve(folder, "v1", BY)
        with (folder / state.HISTORY).open("ab") as lines:
            lines.write(b'{"at":"2026-')
        killed = killed_at(point, partial(state.stop, folder, BY, "enough"))
        state.note(folder, "looked", BY)
        stopped = ["stop"] if state.read(folder).stopped else []
        reported = events(folder)
        assert reported[:2] == ["serve", history.REPAIRED]
        assert [each for each in reported[2:] if each != history.REPAIRED] == [*stopped, "looked"]
        assert fault(folder) is None
        point += 1
    assert point > 12


def test_writers_side_by_side_lose_no_change(folder: Path) -> None:
    state.canary(folder, "v3", BY)

    def advance() -> None:
        for _ in range(10):
            state.advance(folder, BY)

    running = [in_a_process(advance) for _ in range(5)]
    while running:
        assert state.read(folder).serving == "v2"  # whoever reads meanwhile never sees a draft
        for child in running[:]:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                assert status == 0
                running.remove(child)

    tried = state.read(folder).canary
    assert tried is not None and tried.step == 50
    assert events(folder).count("advance") == 50
    assert fault(folder) is None


def test_of_those_who_decide_on_one_state_one_wins_and_the_others_are_reported(
    folder: Path,
) -> None:
    observed = state.read(folder).generation

    def roll_back() -> None:
        try:
            state.roll_back(folder, BY, expected=observed)
        except state.ChangeRefusedError:
            os._exit(1)

    children = [in_a_process(roll_back) for _ in range(6)]
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)

    assert codes == [0, 1, 1, 1, 1, 1]
    assert state.read(folder) == State(3, "v1", ())
    with pytest.raises(state.ChangeRefusedError, match="roll_back by Ada"):
        state.serve(folder, "v3", BY, expected=observed)


@pytest.mark.parametrize(
    ("line", "change", "expected"),
    [
        (1, {"by": "Eve"}, "line 2 (serve) was changed"),
        (0, {"detail": {"release": "v9"}}, "line 1 (serve) was changed"),
        (1, None, "line 2 (stop) does not follow"),
        (0, None, "line 1 (serve) does not follow"),
    ],
)
def test_a_line_that_was_changed_or_taken_out_is_named(
    folder: Path, line: int, change: dict[str, Any] | None, expected: str
) -> None:
    state.stop(folder, BY, "enough")
    path = folder / state.HISTORY
    assert fault(folder) is None
    lines = [json.loads(each) for each in path.read_text().splitlines()]
    if change is None:
        del lines[line]
    else:
        lines[line] |= change
    path.write_bytes(b"".join(map(history.line_of, lines)))

    assert str(fault(folder)).startswith(expected)


def test_a_last_line_that_was_taken_out_comes_back_from_the_state(folder: Path) -> None:
    path = folder / state.HISTORY
    complete = path.read_bytes()
    known = state.events(folder)
    path.write_bytes(complete.splitlines(keepends=True)[0])

    assert known == state.events(folder)  # as it was killed before the line was written
    state.note(folder, "looked", BY)

    assert path.read_bytes().startswith(complete)
    assert fault(folder) is None


def test_a_canary_goes_step_by_step_until_it_answers_everything(folder: Path) -> None:
    state.shadow(folder, "v3", 0.5, BY)
    tried = state.read(folder).shadow
    assert tried is not None and (tried.release, tried.share) == ("v3", 0.5)

    state.canary(folder, "v3", BY)
    state.advance(folder, BY)
    tried = state.read(folder)
    state.promote(folder, BY)

    assert tried.shadow is None
    assert tried.canary is not None and tried.canary.step == 1
    assert tried.releases() == {"v1", "v2", "v3"}
    assert state.read(folder) == State(6, "v3", ("v2", "v1"))


def test_of_two_on_trial_the_named_one_is_ended(folder: Path) -> None:
    state.canary(folder, "v3", BY)
    state.shadow(folder, "v4", 1.0, BY)

    first = state.abort(folder, "it cannot be loaded", BY, release="v4")
    with pytest.raises(state.ChangeRefusedError, match="v4 is neither"):
        state.abort(folder, "again", BY, release="v4")
    second = state.abort(folder, "drift", BY)

    assert first.on_trial == ("v3",)
    assert second.on_trial == () and second.serving == "v2"
    last = history.read(folder / state.HISTORY)[-1]
    detail = {"generation": 6, "serving": "v2", "release": "v3", "reason": "drift"}
    assert (last["event"], last["detail"]) == (
        "abort",
        detail | {"state": json.loads(json.dumps(asdict(second)))},
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: state.serve(folder, "v2", BY),
        lambda folder: state.shadow(folder, "v2", 0.5, BY),
        lambda folder: state.shadow(folder, "v3", 0.0, BY),
        lambda folder: state.shadow(folder, "v3", float("nan"), BY),
        lambda folder: state.canary(folder, "v2", BY),
        lambda folder: state.advance(folder, BY),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    folder: Path, change: Callable[[Path], State]
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    with pytest.raises(state.ChangeRefusedError):
        change(folder)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_nothing_can_be_tried_where_nothing_is_served(tmp_path: Path) -> None:
    assert state.read(tmp_path) == State()
    with pytest.raises(state.ChangeRefusedError, match="No release is served"):
        state.canary(tmp_path, "v1", BY)


def test_serving_an_old_release_again_does_not_name_it_twice(folder: Path) -> None:
    assert state.serve(folder, "v1", BY).previous == ("v2",)


def written(folder: Path, count: int) -> list[str]:
    """Note so many events; return the hashes of all lines."""
    for number in range(count):
        state.note(folder, "looked", "monitor", reason=f"{number}: " + "x" * 300)
    return [each["hash"] for each in history.read(folder / state.HISTORY)]


def test_appending_reads_the_end_of_a_history_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.serve(tmp_path, "v1", "Ada")
    written(tmp_path, 200)  # longer than what is read at once, several times
    monkeypatch.setattr(history, "content", pytest.fail)

    state.note(tmp_path, "looked", "Ada")
    state.serve(tmp_path, "v2", "Ada")
    monkeypatch.undo()

    assert fault(tmp_path) is None
    assert events(tmp_path)[-2:] == ["looked", "serve"]
    assert len(events(tmp_path)) == 203


@pytest.mark.parametrize("gone", [slice(None), slice(0, 1), slice(3, None)])
def test_the_change_of_the_state_is_written_again_where_its_line_is_gone(
    tmp_path: Path, gone: slice
) -> None:
    state.serve(tmp_path, "v0", "Ada")
    state.serve(tmp_path, "v1", "Ada")
    written(tmp_path, 200)
    path = tmp_path / state.HISTORY
    lines = path.read_bytes().splitlines(keepends=True)
    change = lines.pop(1)
    del lines[gone]
    path.write_bytes(b"".join(lines))

    state.note(tmp_path, "looked", "Ada")

    assert change in path.read_bytes()
    assert fault(tmp_path) is not None


def test_the_events_after_a_line_that_is_known_are_verified_without_the_others(
    tmp_path: Path,
) -> None:
    path = tmp_path / state.HISTORY
    state.serve(tmp_path, "v1", "Ada")
    hashes = written(tmp_path, 100)
    lines = path.read_bytes().splitlines(keepends=True)

    def since(known: str, changed: int | None = None) -> list[str] | None:
        path.write_bytes(
            b"".join(
                line.replace(b"looked", b"looked!") if at == changed else line
                for at, line in enumerate(lines)
            )
        )
        found = history.since(path, known)
        return None if found is None else [each["hash"] for each in found]

    assert since(history.START) == hashes
    assert since(hashes[60]) == hashes[61:]
    assert since(hashes[60], changed=50) == hashes[61:]
    assert since(hashes[60], changed=70) is None
    assert since("0" * 63 + "1") is None
