"""What each verb of an operator makes of each state of an environment: the whole table.

A state is written as `SERVING < PREVIOUS canary RELEASE shadow RELEASE`. v5 is the release that is
deployed. A verb that is refused must leave state and history as they were.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from machinery.tests.conftest import Patch
from rung_ops.project import paths
from rung_ops.release import deploy, rollback, state
from rung_ops.release.history import State
from rung_ops.release.rollout import CanaryPolicy, Policy, ShadowPolicy

BY = "Ada"
REFUSED = "refused"
VERBS = "deploy-shadow deploy-canary at-once promote rollback abort".split()
# Each row: a state, and what it is after each of VERBS.
TABLE = {
    "nothing": ("v5", "v5", "v5", REFUSED, REFUSED, REFUSED),
    "v1": ("v1 shadow v5", "v1 canary v5", "v5 < v1", REFUSED, REFUSED, REFUSED),
    "v2 < v1": (
        *("v2 < v1 shadow v5", "v2 < v1 canary v5", "v5 < v2 v1"),
        *(REFUSED, "v1", REFUSED),
    ),
    "v1 shadow v3": (
        *("v1 shadow v5", "v1 canary v5 shadow v3", "v5 < v1"),
        *(REFUSED, "v1", "v1"),
    ),
    "v2 < v1 shadow v3": (
        *("v2 < v1 shadow v5", "v2 < v1 canary v5 shadow v3", "v5 < v2 v1"),
        *(REFUSED, "v2 < v1", "v2 < v1"),
    ),
    "v1 canary v3": (
        *("v1 canary v3 shadow v5", "v1 canary v5", "v5 < v1"),
        *("v3 < v1", "v1", "v1"),
    ),
    "v2 < v1 canary v3": (
        *("v2 < v1 canary v3 shadow v5", "v2 < v1 canary v5", "v5 < v2 v1"),
        *("v3 < v2 v1", "v2 < v1", "v2 < v1"),
    ),
    "v1 canary v3 shadow v4": (
        *("v1 canary v3 shadow v5", "v1 canary v5 shadow v4", "v5 < v1"),
        *("v3 < v1 shadow v4", "v1", "v1 shadow v4"),
    ),
    "v2 < v1 canary v3 shadow v4": (
        *("v2 < v1 canary v3 shadow v5", "v2 < v1 canary v5 shadow v4", "v5 < v2 v1"),
        *("v3 < v2 v1 shadow v4", "v2 < v1", "v2 < v1 shadow v4"),
    ),
}
CASES = [
    (before, verb, after)
    for before, row in TABLE.items()
    for verb, after in zip(VERBS, row, strict=True)
]


def policy(shadow_share: float) -> Policy:
    """Make the rules of a rollout that begins in the shadow, or as a canary where the share is 0."""
    shadow = ShadowPolicy(shadow_share, 1, 0, 60, 0.1, 0.1, 0.1)
    return Policy(0.01, shadow, CanaryPolicy([0.1, 1.0], 1, 0, 60, 0.1, 2.0, 0.1))


def reach(folder: Path, before: str) -> None:
    """Bring an environment to a state."""
    text = before.replace("nothing", "").split()
    trial = next((at for at, word in enumerate(text) if word in ("canary", "shadow")), len(text))
    for release in reversed([word for word in text[:trial] if word != "<"]):
        state.serve(folder, release, BY)
        manifest = paths.bundle(folder, release) / "manifest.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_text("{}")
    for arm, release in zip(text[trial::2], text[trial + 1 :: 2], strict=True):
        if arm == "canary":
            state.canary(folder, release, BY)
        else:
            state.shadow(folder, release, 1.0, BY)


def written(now: State) -> str:
    """Write a state as the table does."""
    text = [now.serving or "nothing"]
    text += ["<", *now.previous] if now.previous else []
    text += ["canary", now.canary.release] if now.canary else []
    text += ["shadow", now.shadow.release] if now.shadow else []
    return " ".join(text)


def act(folder: Path, verb: str, monkeypatch: Patch) -> bool:
    """Do what an operator's command does; tell whether it was done, not refused."""
    monkeypatch.setattr(
        deploy, "read_policy", lambda: policy(0.0 if verb == "deploy-canary" else 1.0)
    )
    verbs: dict[str, Callable[[], object]] = {
        "deploy-shadow": lambda: deploy.begin(folder, "v5", BY),
        "deploy-canary": lambda: deploy.begin(folder, "v5", BY),
        "at-once": lambda: deploy.begin(folder, "v5", BY, at_once=True),
        "promote": lambda: state.promote(folder, BY),
        "rollback": lambda: rollback.roll_back(folder, BY, "it is worse"),
        "abort": lambda: state.abort(folder, "it is worse", BY),
        "stop": lambda: state.stop(folder, BY, "it harms people"),
        "resume": lambda: state.resume(folder, BY),
    }
    try:
        verbs[verb]()
    except state.ChangeRefusedError:
        return False
    return True


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*") if path.is_file()}


@pytest.fixture
def folder(untouched: Path) -> Path:
    """Production, in which nothing has happened yet."""
    untouched.mkdir(parents=True)
    return untouched


@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize(("before", "verb", "after"), CASES)
def test_a_verb_leads_to_the_state_of_the_table_and_leaves_the_kill_switch_alone(
    folder: Path, monkeypatch: Patch, before: str, verb: str, after: str, is_stopped: bool
) -> None:
    reach(folder, before)
    if is_stopped:
        state.stop(folder, BY, "it harms people")
    kept = content(folder)

    done = act(folder, verb, monkeypatch)

    now = state.read(folder)
    assert (done, written(now)) == (after != REFUSED, before if after == REFUSED else after)
    assert (now.stopped is not None) is is_stopped
    assert done or content(folder) == kept


@pytest.mark.parametrize("before", TABLE)
def test_stop_and_resume_change_nothing_but_the_kill_switch(
    folder: Path, monkeypatch: Patch, before: str
) -> None:
    reach(folder, before)

    assert not act(folder, "resume", monkeypatch)
    for _ in range(2):  # stopping twice is allowed: the last reason counts
        assert act(folder, "stop", monkeypatch)
        assert (written(state.read(folder)), bool(state.read(folder).stopped)) == (before, True)
    assert act(folder, "resume", monkeypatch)
    assert (written(state.read(folder)), state.read(folder).stopped) == (before, None)


@pytest.mark.parametrize(
    ("before", "tried"),
    [
        ("v2 < v1 canary v3", ["v3"]),
        ("v2 < v1 shadow v3", ["v3"]),
        ("v2 < v1 canary v3 shadow v4", ["v3", "v4"]),
    ],
)
def test_what_a_rollback_took_out_of_a_trial_is_not_deployed_again_by_itself(
    folder: Path, before: str, tried: list[str]
) -> None:
    reach(folder, before)

    rollback.roll_back(folder, BY, "it is worse")

    for release in tried:
        event = deploy.rollback_event(folder, release)
        assert event is not None and event["detail"]["reason"] == "it is worse"
    assert deploy.rollback_event(folder, "v2") is None
