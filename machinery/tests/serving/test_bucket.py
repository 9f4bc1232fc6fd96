"""The service takes its releases from a bucket, and serves the last good one whatever becomes of that."""

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from machinery.tests.conftest import LogCapture, Patch, RunVerb
from machinery.tests.data.object_store.fake import FakeStore
from machinery.tests.release.conftest import FIRST, SECOND, copy_as
from machinery.tests.serving.test_watch import Watched
from rung_ops.errors import SettingsError
from rung_ops.model import bundle
from rung_ops.monitoring import observation
from rung_ops.project import paths
from rung_ops.project.service_settings import Limits
from rung_ops.release import bucket, deploy, rollback, state, status
from rung_ops.release.history import ChangeRefusedError, UncertainChangeError
from rung_ops.release.rollout import read_policy
from rung_ops.serving.rollout import Rollout
from rung_ops.system import buckets, files

HISTORY = "team/staging/history.jsonl"
# A stand-in: no emulator that a registry brings speaks Google's XML as obstore does.
ALSO_GOOGLE = pytest.mark.parametrize("store", ["s3", "gs"], indirect=True)
GOOGLE = ("client_email", "private_key", "private_key_id")
BACKOFF = {name: timedelta(milliseconds=1) for name in ("init_backoff", "max_backoff")}


def store_of(variable: str, cache: Path, patch: Patch, scheme: str = "s3") -> FakeStore:
    """Start a store with an empty bucket, which a variable names, for this machine's cache."""
    made = FakeStore()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_ENDPOINT_URL": made.endpoint,
        "GOOGLE_BASE_URL": made.endpoint,
        "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(
            dict.fromkeys(GOOGLE, "") | {"disable_oauth": True}
        ),
        variable: f"{scheme}://bucket{made.endpoint.rpartition(':')[2]}/team",
        f"{variable}_CACHE": str(cache),
    }.items():
        patch.setenv(name, value)
    patch.setenv("AWS_SECRET_ACCESS_KEY", "never-to-be-printed")
    patch.setattr(buckets, "RETRY", {**buckets.RETRY, "max_retries": 3, "backoff": BACKOFF})
    return made


@pytest.fixture
def store(
    release_folder: Path,
    release_private_key: bytes,
    release_key: bytes,
    tmp_path: Path,
    monkeypatch: Patch,
    request: pytest.FixtureRequest,
) -> Iterator[FakeStore]:
    """A store whose bucket is empty, an operator with two candidates, and one who takes part."""
    scheme = getattr(request, "param", "s3")
    made = store_of("RELEASES", tmp_path / "operator", monkeypatch, scheme)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    (tmp_path / "release.pub").write_bytes(release_key)
    copy_as(release_folder, paths.candidates(), FIRST, release_private_key)
    copy_as(release_folder, paths.candidates(), SECOND, release_private_key)
    yield made
    made.close()


class Machine(Watched):
    """A service on another machine than the operator's, kept in step by looks of the test's own."""

    def __init__(self, runner: asyncio.Runner, patch: Patch, cache: Path) -> None:
        self.patch, self.cache = patch, cache
        with patch.context() as other:
            other.setenv("RELEASES_CACHE", str(cache))
            super().__init__(paths.environment("staging"), runner, Limits())

    def poll(self, times: int = 1) -> None:
        with self.patch.context() as other:
            other.setenv("RELEASES_CACHE", str(self.cache))
            super().poll(times)


@pytest.fixture
def machine(store: FakeStore, tmp_path: Path, monkeypatch: Patch) -> Iterator[Machine]:
    with asyncio.Runner() as runner:
        made = Machine(runner, monkeypatch, tmp_path / "service")
        yield made
        made.service.close()


@pytest.fixture
def staging(store: FakeStore, run_verb: RunVerb) -> Path:
    """The operator's folder of staging, which serves the first release."""
    assert run_verb(deploy.main, "staging", FIRST)[0] == 0
    return paths.environment("staging")


@ALSO_GOOGLE
def test_what_is_deployed_is_served_and_rolled_back_elsewhere(
    staging: Path, machine: Machine, store: FakeStore, run_verb: RunVerb
) -> None:
    machine.poll()
    assert (machine.serving, machine.problems) == (FIRST, "")

    sent = len(store.asked)
    machine.poll(3)
    assert len(store.asked) == sent and store.unchanged >= 3

    assert run_verb(deploy.main, "staging", SECOND)[0] == 0
    store.cuts = [1]  # whose part is asked for again
    machine.poll()
    assert machine.serving == SECOND and not store.cuts

    code, output = run_verb(rollback.main, "staging", "--reason", "worse")
    assert code == 0 and f"serves {FIRST} again instead of {SECOND}" in output
    machine.poll()
    assert (machine.serving, machine.problems) == (FIRST, "")
    assert [path.name for path in (machine.folder / "bundles").glob("[!.]*")] == [FIRST]
    output = run_verb(status.main)[1]
    assert f"serving    {FIRST}" in output and "roll_back" in output and "worse" in output


@ALSO_GOOGLE
def test_of_two_who_deploy_at_once_one_is_refused(staging: Path, store: FakeStore) -> None:
    before = state.read(staging)
    deploy.install(staging, SECOND)
    # After Ben has read the state, and before his change arrives.
    store.before_put = lambda: state.serve(staging, SECOND, "Ada", before.generation)

    with pytest.raises(
        ChangeRefusedError, match="staging was changed in the meantime: serve by Ada"
    ):
        state.stop(staging, "Ben", "too late", before.generation)

    assert state.read(staging) == state.State(before.generation + 1, SECOND, (FIRST,))
    assert store.objects[HISTORY].count(b"\n") == 2


@ALSO_GOOGLE
def test_a_change_whose_answer_was_lost_is_made_once(staging: Path, store: FakeStore) -> None:
    store.loses_answer = True

    assert state.stop(staging, "Ada", "wrong prices").stopped

    assert [event["event"] for event in state.events(staging)] == ["serve", "stop"]


def test_a_store_that_is_busy_is_asked_again(
    store: FakeStore, machine: Machine, run_verb: RunVerb
) -> None:
    for name, verb in {FIRST: deploy.main, SECOND: deploy.main, "": rollback.main}.items():
        store.busy = 3
        code, output = run_verb(verb, "staging", *filter(None, [name]))
        assert code == 0, output
        assert not store.busy

    store.busy = 2
    machine.poll()  # a service looks again anyway, and waits for nothing
    assert store.busy == 1 and "SlowDown" in machine.problems
    machine.poll(2)
    assert (machine.serving, machine.problems) == (FIRST, "")


def test_a_change_that_was_made_and_answered_with_an_error_is_made_once(
    staging: Path, store: FakeStore, run_verb: RunVerb
) -> None:
    deploy.install(staging, SECOND)
    store.after_put = lambda: setattr(store, "busy", 1)
    assert state.serve(staging, SECOND, "Ada").serving == SECOND
    assert [event["event"] for event in state.events(staging)] == ["serve", "serve"]

    store.after_put = lambda: setattr(store, "is_dead", True)
    code, output = run_verb(rollback.main, "staging")
    assert code == 1 and "Nothing was changed" not in output
    assert "staging may have been changed" in output and "poe releases" in output

    store.is_dead = False
    assert state.read(staging).serving == FIRST


def test_a_change_that_was_not_answered_may_still_be_made(
    store: FakeStore, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(buckets, "TIMEOUT", "500ms")
    waited, made = threading.Event(), threading.Event()
    store.before_put, store.after_put = waited.wait, made.set

    with pytest.raises(UncertainChangeError, match="staging may have been changed"):
        state.note(paths.environment("staging"), "tried", "Ada")

    assert HISTORY not in store.objects
    waited.set()
    assert made.wait(30) and HISTORY in store.objects


def test_a_step_of_a_rollout_asks_a_store_once(
    staging: Path, store: FakeStore, caplog: LogCapture
) -> None:
    deploy.install(staging, SECOND)
    now = state.canary(staging, SECOND, "Ada", plan=state.Plan((1.0,)))
    rollout = Rollout(staging, read_policy())

    store.busy = 2
    assert rollout.step(now) == now
    assert store.busy == 1  # a stop of the service does not wait for more

    store.busy = 0
    store.before_put = lambda: setattr(store, "busy", 1)
    assert rollout.step(now) == now
    assert "SlowDown" in caplog.text and "may have been changed" not in caplog.text

    assert rollout.step(now).serving == SECOND


@ALSO_GOOGLE
def test_a_first_deployment_replaces_no_other(store: FakeStore, run_verb: RunVerb) -> None:
    folder = paths.environment("staging")
    store.before_put = lambda: state.serve(folder, FIRST, "Ada")

    with pytest.raises(ChangeRefusedError, match="serve by Ada"):
        state.serve(folder, SECOND, "Ben", expected=0)

    assert state.read(folder).serving == FIRST


@ALSO_GOOGLE
def test_a_note_meanwhile_refuses_no_rollback(staging: Path, store: FakeStore) -> None:
    deploy.install(staging, SECOND)
    now = state.serve(staging, SECOND, "Ada")
    store.before_put = lambda: state.note(staging, "without_gate", "Ada", release=FIRST)

    assert state.roll_back(staging, "Ben", expected=now.generation).serving == FIRST

    made = [event["event"] for event in state.events(staging)]
    assert made == ["serve", "serve", "without_gate", "roll_back"]


def test_a_release_that_is_in_the_bucket_is_deployed_from_there(
    staging: Path,
    release_folder: Path,
    release_private_key: bytes,
    store: FakeStore,
    run_verb: RunVerb,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    deploy.install(staging, SECOND)
    there = {key: store.objects[key] for key in store.objects if "/bundles/" in key}
    for name in ("without candidates", "with another of its name"):
        monkeypatch.setenv("RELEASES_CACHE", str(tmp_path / name))
        if name.startswith("with "):
            copy_as(release_folder, paths.candidates(), SECOND, release_private_key)

        code, output = run_verb(deploy.main, "staging", SECOND)

        assert code == 0, output
        assert {key: store.objects[key] for key in there} == there


def test_a_damaged_copy_of_a_release_is_replaced(
    staging: Path, machine: Machine, run_verb: RunVerb
) -> None:
    machine.poll()
    assert run_verb(deploy.main, "staging", SECOND)[0] == 0
    machine.poll()
    copy = machine.folder / "bundles" / FIRST / bundle.CONTRACT

    for is_rolled_back in (False, True):
        copy.unlink()
        if not is_rolled_back:
            assert run_verb(rollback.main, "staging")[0] == 0
        again = Machine(machine.runner, machine.patch, machine.cache)  # as after a restart
        again.poll()
        assert (again.serving, again.problems) == (FIRST, "")
        again.service.close()


def test_a_copy_of_the_state_is_never_torn(
    staging: Path, machine: Machine, store: FakeStore, monkeypatch: Patch
) -> None:
    machine.poll()
    state.stop(staging, "Ada", "wrong prices")
    state.resume(staging, "Ada")
    write, left = files.write, [1]

    def killed(path: Path, content: bytes) -> None:
        if not left:
            raise OSError("killed")
        left.pop()
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", killed)
        machine.poll()
        store.is_dead = True
        machine.poll()

    assert machine.serving == FIRST and machine.service.ready


def test_a_download_is_given_up_for_a_rollback(
    staging: Path, machine: Machine, store: FakeStore
) -> None:
    machine.poll()
    deploy.install(staging, SECOND)
    state.serve(staging, SECOND, "Ada")
    deployed = store.objects[HISTORY]
    state.roll_back(staging, "Ada")
    rolled_back, store.objects[HISTORY] = store.objects[HISTORY], deployed
    store.before_part = lambda: store.objects.update({HISTORY: rolled_back})
    sent = len(store.asked)

    machine.poll()

    assert (machine.serving, machine.problems) == (FIRST, "")
    assert len(store.asked) == sent + 1


def test_an_earlier_release_that_cannot_be_kept_stops_nothing(
    staging: Path, machine: Machine, monkeypatch: Patch
) -> None:
    deploy.install(staging, SECOND)
    state.serve(staging, SECOND, "Ada")
    take_up = bucket.BucketState.take_up

    def full(self: bucket.BucketState, release: str, *version: bucket.Version) -> None:
        if release == FIRST:
            raise OSError("no space left")
        take_up(self, release, *version)

    monkeypatch.setattr(bucket.BucketState, "take_up", full)
    machine.poll()

    assert (machine.serving, machine.problems) == (SECOND, "")


def test_only_stores_that_are_shared_are_taken(store: FakeStore, monkeypatch: Patch) -> None:
    store.is_dead = True
    assert observation.deployed("staging"), "it cannot be seen from here"

    monkeypatch.setenv("RELEASES", "memory://team")
    with pytest.raises(SettingsError, match="s3://"):
        paths.releases()


@pytest.mark.parametrize(
    ("fault", "word"), [("dead", "nothing answers there"), ("expired", "credentials have expired")]
)
def test_while_the_bucket_cannot_be_read_the_last_good_release_is_served(
    staging: Path, machine: Machine, store: FakeStore, run_verb: RunVerb, fault: str, word: str
) -> None:
    machine.poll()
    store.is_dead, store.says = fault == "dead", (400, "ExpiredToken")

    machine.poll()
    reported = machine.problems
    assert machine.serving == FIRST and machine.service.ready
    assert word in reported and "/team/staging: " in reported and ". Since 20" in reported
    machine.poll()
    assert machine.problems == reported, "it is logged once"
    code, output = run_verb(deploy.main, "staging", SECOND)
    assert code == 1 and "Nothing was changed in staging: s3://" in output and word in output

    again = Machine(machine.runner, machine.patch, machine.cache)  # as after a restart
    again.poll()
    assert again.serving == FIRST and word in again.problems
    again.service.close()
    new = Machine(machine.runner, machine.patch, machine.cache / "elsewhere")
    new.poll()
    assert new.serving is None and not new.service.ready and word in new.problems
    new.service.close()

    store.is_dead, store.says = False, None
    assert run_verb(deploy.main, "staging", SECOND)[0] == 0
    machine.poll()
    assert (machine.serving, machine.problems) == (SECOND, "")


@ALSO_GOOGLE
def test_a_half_upload_is_not_taken(
    staging: Path, machine: Machine, store: FakeStore, run_verb: RunVerb
) -> None:
    machine.poll()
    folder, model = "team/staging/bundles", f"{SECOND}/{bundle.CONTRACT}"
    deploy.install(staging, SECOND)  # and killed before the state was changed
    machine.poll()
    assert (machine.serving, machine.problems) == (FIRST, "")
    assert not (machine.folder / "bundles" / SECOND).exists()

    complete = store.objects[f"{folder}/{model}"]
    for content, word in ((complete[:-1], "was changed after it was signed"), (None, "is missing")):
        store.objects.pop(f"{folder}/{model}", None)
        if content is not None:
            store.objects[f"{folder}/{model}"] = content
        if state.read(staging).serving == FIRST:
            state.serve(staging, SECOND, "Ada")
        machine.poll()
        assert machine.serving == FIRST and machine.service.ready
        assert f"{SECOND}: {bundle.CONTRACT}" in machine.problems and word in machine.problems

    # One who has never taken up a release there can roll back.
    shutil.rmtree(staging)
    assert run_verb(rollback.main, "staging")[0] == 0
    machine.poll()
    assert (machine.serving, machine.problems) == (FIRST, "")

    assert run_verb(deploy.main, "staging", SECOND)[0] == 0  # uploads what is missing
    machine.poll()
    assert (machine.serving, machine.problems) == (SECOND, "")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda text: text.replace(b"Ada", b"Eve"), "line 1 (serve) was changed"),
        (lambda text: text[: text.index(b"\n") + 1], "lacks lines that it had"),
        (lambda text: None, "history.jsonl is missing"),
    ],
)
def test_a_history_that_was_tampered_with_is_not_taken(
    store: FakeStore,
    machine: Machine,
    run_verb: RunVerb,
    change: Callable[[bytes], bytes | None],
    word: str,
) -> None:
    folder = paths.environment("staging")
    deploy.install(folder, FIRST)
    state.serve(folder, FIRST, "Ada")
    state.note(folder, "tried", "Ada")
    machine.poll()
    text = change(store.objects.pop(HISTORY))
    if text is not None:
        store.objects[HISTORY] = text

    machine.poll()

    assert machine.serving == FIRST and machine.service.ready
    assert word in machine.problems and "poe deploy` a" in machine.problems

    if "was changed" in word:
        del store.objects[HISTORY]
    code, output = run_verb(deploy.main, "staging", SECOND)
    assert code == 0, output
    machine.poll()
    assert (machine.serving, machine.problems) == (SECOND, "")
