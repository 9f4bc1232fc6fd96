"""The previous release comes back in one step, and nothing but files is needed for it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from machinery.tests.conftest import RunVerb
from rung_ops.project import current, hooks, keyless, paths
from rung_ops.release import history, rollback, state
from rung_ops.release.history import State

BY = "Ada"
# What takes long to import, or would ask somebody who may not answer.
NEVER = {"mlflow", "polars", "numpy", "sklearn", "onnxruntime", "requests", "urllib3", "dvc"}


@pytest.fixture
def folder(untouched: Path) -> Path:
    """Production, which serves v2 after v1; their bundles are as good as empty."""
    for release in ("v1", "v2"):
        paths.bundle(untouched, release).mkdir(parents=True)
        (paths.bundle(untouched, release) / "manifest.json").write_text("{}")
        state.serve(untouched, release, BY)
    return untouched


def test_the_release_before_answers_again(folder: Path, run_verb: RunVerb) -> None:
    code, output = run_verb(rollback.main, "--reason", "too many late answers")

    assert code == 0
    assert "production serves v1 again instead of v2." in output
    assert state.read(folder) == State(3, "v1")
    last = history.read(folder / state.HISTORY)[-1]
    assert (last["event"], last["detail"]["reason"]) == ("roll_back", "too many late answers")


def test_a_rollback_by_a_person_is_told_by_the_hook_notify(
    folder: Path, run_verb: RunVerb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The autopilot, whose rollback is this verb, tells of its own itself."""
    told: list[str] = []
    monkeypatch.setattr(hooks, "notify", lambda subject, message: told.append(message))
    monkeypatch.setattr(keyless, "environment", lambda kept: os.environ)
    monkeypatch.setenv(paths.ACTOR, "Ada")
    run_verb(rollback.main, "--reason", "too many late answers")
    monkeypatch.setenv(paths.ACTOR, paths.AUTOPILOT)
    state.serve(folder, "v2", BY)
    run_verb(rollback.main)

    assert told == ["production serves v1 again instead of v2. Ada: too many late answers."]


@pytest.mark.parametrize(
    ("trial", "ended"),
    [(state.canary, "canary"), (lambda *at: state.shadow(*at[:2], 1.0, at[2]), "shadow")],
    ids=["canary", "shadow"],
)
def test_a_trial_ends_before_what_answers_is_rolled_back(
    folder: Path, run_verb: RunVerb, trial: Callable[..., State], ended: str
) -> None:
    trial(folder, "v3", BY)

    code, output = run_verb(rollback.main)
    assert code == 0
    assert output.startswith(
        f"The {ended} v3 has ended. production still serves v2. "
        "Run `uv run poe rollback production --from v2` to go back to v1.\n"
    )
    assert state.read(folder) == State(4, "v2", ("v1",))

    assert run_verb(rollback.main, "--from", "v2")[0] == 0
    assert state.read(folder).serving == "v1"


def test_a_trial_ends_even_if_the_bundle_of_the_previous_release_is_missing(
    folder: Path, run_verb: RunVerb
) -> None:
    state.shadow(folder, "v3", 1.0, BY)
    (paths.bundle(folder, "v1") / "manifest.json").unlink()

    assert run_verb(rollback.main)[0] == 0
    assert state.read(folder) == State(4, "v2", ("v1",))


def test_where_nothing_was_before_nothing_is_changed(folder: Path, run_verb: RunVerb) -> None:
    run_verb(rollback.main)

    code, output = run_verb(rollback.main)

    assert code == 1
    assert output == (
        "Nothing was changed in production: There is no previous release to roll back to.\n"
    )
    assert state.read(folder).serving == "v1"


def test_a_release_without_its_bundle_does_not_come_back(folder: Path, run_verb: RunVerb) -> None:
    (paths.bundle(folder, "v1") / "manifest.json").unlink()

    code, output = run_verb(rollback.main)

    assert (code, "poe deploy production v1 --at-once" in output) == (1, True)
    assert state.read(folder).serving == "v2"


def test_another_environment_is_left_alone(folder: Path, run_verb: RunVerb) -> None:
    assert run_verb(rollback.main, "staging")[0] == 1
    assert state.read(folder).serving == "v2"


@pytest.mark.parametrize("trial", [False, True])
def test_five_rollbacks_at_once_go_back_once(folder: Path, trial: bool) -> None:
    state.serve(folder, "v3", BY)
    if trial:
        state.canary(folder, "v4", BY)
    before = state.read(folder)
    command = [sys.executable, "-m", "rung_ops", "rollback"]
    ended = [
        subprocess.Popen(command, cwd=current().root, stderr=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    messages = [process.communicate()[1] for process in ended]

    assert sorted(process.returncode for process in ended) == [0, 1, 1, 1, 1]
    left = "v3" if trial else "v2"
    assert state.read(folder).generation == before.generation + 1
    assert state.read(folder).serving == left
    refused = [message for message in messages if message]
    assert all("in the meantime" in m or f"production --from {left}`" in m for m in refused)


def test_right_after_a_rollback_the_next_one_names_what_it_leaves(
    folder: Path, run_verb: RunVerb, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.serve(folder, "v3", BY)
    assert run_verb(rollback.main, "--from", "v3")[0] == 0

    code, output = run_verb(rollback.main, "--from", "v3")
    assert (code, "v3 is neither served nor on trial" in output) == (1, True)
    code, output = run_verb(rollback.main)
    assert (code, "`uv run poe rollback production --from v2`" in output) == (1, True)
    assert state.read(folder).serving == "v2"

    monkeypatch.setattr(rollback, "RECENT", 0.0)
    assert run_verb(rollback.main)[0] == 0
    assert state.read(folder).serving == "v1"


def test_going_back_needs_neither_a_registry_nor_a_network_nor_a_model(folder: Path) -> None:
    """What it imports shows it: whoever is not imported is not asked, and takes no time."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rung_ops", "rollback"],
        cwd=current().root,
        env=os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "production serves v1 again" in done.stdout
    lines = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines())
    imported = {line.partition(".")[0] for line in lines}
    assert {"click", "rung_ops"} <= imported
    assert imported & NEVER == set()
