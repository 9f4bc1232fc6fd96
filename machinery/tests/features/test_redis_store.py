"""The feature store on a real server: filled as a whole, read in one round trip, and every failure said."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from machinery.tests.redis_server import RedisServer, running
from rung_ops.errors import SettingsError
from rung_ops.features import stores
from rung_ops.features.redis_store import DRAFT, PAUSE, RedisStore
from rung_ops.features.store import FeatureStoreError, StoredView, key_of, keys_of

LIMIT = 0.2  # seconds; long enough for a busy machine
NAMES = ["height", "weight"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def store(server: RedisServer, request: pytest.FixtureRequest) -> RedisStore:
    """A store whose keys are the test's own."""
    return RedisStore(server.address(), request.node.name, LIMIT)


def view(identity: str = "a", first: float = 0.0, entities: int = 2_500) -> StoredView:
    """Make a view whose numbers count from a first one."""
    numbers = np.arange(entities * 2, dtype=float).reshape(entities, 2) + first
    numbers[0, 0] = np.nan
    return StoredView(identity, 5, NAMES, keys_of([range(entities)]), numbers)


FIRST = {"a": [key_of([1])]}


def again(store: RedisStore) -> RedisStore:
    """Open a store once more, as another process does."""
    return RedisStore(store._address, store._prefix.split(":")[1], LIMIT)


def first_of(store: RedisStore) -> list[float]:
    """Look up the entity 1 of view a."""
    return np.frombuffer(store.look_up(FIRST).packed["a"][0] or b"").tolist()


def test_what_was_written_is_read_back_by_entity_and_as_a_whole(store: RedisStore) -> None:
    store.write([view("a"), view("b", 0.5, entities=3)])

    asked = [key_of([2]), key_of(["nobody"]), key_of([1])]
    features = store.look_up({"a": asked, "b": asked[:1], "unknown": asked})

    assert features.as_of == {"a": 5, "b": 5}
    assert features.packed.keys() == {"a", "b"}
    two, none, one = features.packed["a"]
    assert none is None
    assert np.frombuffer(two or b"").tolist() == [4.0, 5.0]
    assert np.frombuffer(one or b"").tolist() == [2.0, 3.0]
    assert np.frombuffer(features.packed["b"][0] or b"").tolist() == [4.5, 5.5]
    read, wrote = store.read("a"), view("a")
    assert read[:3] == wrote[:3]
    numbers = dict(zip(read.entities, read.numbers.tolist(), strict=True))
    assert numbers[key_of([2_499])] == [4_998.0, 4_999.0]
    assert np.isnan(numbers[key_of([0])][0])
    with pytest.raises(FeatureStoreError, match="no view"):
        store.read("unknown")


def test_a_new_filling_replaces_the_old_one_and_leaves_nothing_of_it(store: RedisStore) -> None:
    store.write([view("a"), view("b")])
    reader = again(store)
    assert first_of(reader) == [2.0, 3.0]

    store.write([view("a", 100.0, entities=2)])

    assert first_of(reader) == [102.0, 103.0]
    assert reader.as_of().keys() == {"a"}
    keys = list(store._client.scan_iter(f"{store._prefix}*"))
    assert len(keys) == 2
    assert all(store._client.ttl(key) == -1 for key in keys)


def test_a_filling_that_was_never_finished_counts_for_nothing_and_expires(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write([view("a")])
    monkeypatch.setattr(RedisStore, "_swap", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.write([view("a", 100.0)])

    assert first_of(store) == [2.0, 3.0]
    left = [store._client.ttl(key) for key in store._client.scan_iter(f"{store._prefix}:*")]
    assert sorted(left)[0] == -1
    assert 0 < sorted(left)[1] <= DRAFT


def test_two_that_fill_at_once_leave_one_filling(store: RedisStore) -> None:
    """The second one moves the pointer between the first one's look at it and its move."""
    other = again(store)
    parsed, moved = store._parsed, []

    def late(text: bytes) -> object:
        if not moved:
            moved.append(other.write([view("a", 7.0)]))
        return parsed(text)

    store.write([view("a")])
    store._parsed = late  # type: ignore[method-assign, assignment]
    store.write([view("a", 100.0)])

    assert moved == [None]
    assert len(list(store._client.scan_iter(f"{store._prefix}:*"))) == 1


class OneByOne:
    """A pipeline whose commands are sent one by one, with something between the first two."""

    def __init__(self, client: Any, between: Callable[[], None]) -> None:
        self._client, self._between, self._answers = client, between, []

    def execute(self) -> list[Any]:
        return self._answers

    def __getattr__(self, command: str) -> Callable[..., None]:
        def send(*arguments: Any) -> None:
            self._answers.append(getattr(self._client, command)(*arguments))
            if len(self._answers) == 1:
                self._between()

        return send


def test_a_filling_that_is_replaced_while_it_is_read_is_read_again(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write([view("a")])
    store.look_up(FIRST)
    other = again(store)
    fillings = iter([lambda: other.write([view("a", 100.0)])])

    def one_by_one(**_: Any) -> OneByOne:
        return OneByOne(store._client, next(fillings, lambda: None))

    monkeypatch.setattr(store._client, "pipeline", one_by_one)

    assert first_of(store) == [102.0, 103.0]


def test_an_empty_server_or_a_foreign_key_is_not_a_store(store: RedisStore) -> None:
    with pytest.raises(FeatureStoreError, match="it is empty"):
        store.as_of()
    store._client.set(store._prefix, "[1]")
    with pytest.raises(FeatureStoreError, match="not of a feature store"):
        store.as_of()


def test_wrong_credentials_are_reported_without_them(server: RedisServer) -> None:
    store = RedisStore(server.address("wrong secret"), "p", LIMIT)

    for use in (store.as_of, lambda: store.look_up({}), lambda: store.write([view()])):
        with pytest.raises(FeatureStoreError, match="(?i)password|authentication") as refused:
            use()
        assert "secret" not in str(refused.value)


def test_an_invalid_address_is_reported_without_printing_it() -> None:
    with pytest.raises(FeatureStoreError, match="REDIS_URL") as refused:
        RedisStore("redis://:pass/word@host:1/0", "p", LIMIT)
    assert "pass" not in str(refused.value)


def test_a_full_server_refuses_a_filling_and_keeps_the_one_before(tmp_path: Path) -> None:
    limits = ("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    with running(tmp_path, *limits) as server:
        store = RedisStore(server.address(), "p", LIMIT)
        store.write([view("a", entities=100)])

        with pytest.raises(FeatureStoreError, match="cannot be written.*memory"):
            store.write([view("a", 100.0, entities=100_000)])

        assert first_of(store) == [2.0, 3.0]
        assert len(list(store._client.scan_iter("*"))) == 2


def test_a_server_that_deletes_what_is_written_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru") as server:
        store = RedisStore(server.address(), "p", LIMIT)

        with pytest.raises(FeatureStoreError, match="maxmemory"):
            store.write([view(name, entities=20_000) for name in "abcdef"])


def test_a_killed_server_is_left_alone_for_a_while_and_found_when_it_is_back(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as server:
        store = RedisStore(server.address(), "p", LIMIT)
        store.write([view()])
        store.look_up(FIRST)
        server.kill()
        with pytest.raises(FeatureStoreError, match="cannot be read"):
            store.look_up(FIRST)
        server.start()
        RedisStore(server.address(), "p", LIMIT).write([view()])
        with pytest.raises(FeatureStoreError, match="cannot be read"):
            store.look_up(FIRST)
        until = time.monotonic() + 30
        while store._failed and time.monotonic() < until:
            time.sleep(PAUSE / 10)

        assert store.look_up(FIRST).packed["a"] != [None]


def test_a_server_that_started_again_is_asked_again_at_once(tmp_path: Path) -> None:
    """Its connections are closed, and no look-up fails for that."""
    with running(tmp_path) as server:
        store = RedisStore(server.address(), "p", LIMIT)
        store.write([view()])
        store.look_up({})
        server.kill()
        server.start()
        RedisStore(server.address(), "p", LIMIT).write([view("a", 50.0)])

        assert first_of(store) == [52.0, 53.0]


@pytest.mark.parametrize(
    "text",
    [
        "[redis]\ntimeout_ms = 0",
        "[redis]\nurl = 'x'",
        "[",
    ],
)
def test_settings_that_mean_nothing_are_reported(tmp_path: Path, text: str) -> None:
    file = tmp_path / "features.toml"
    file.write_text(text)

    with pytest.raises(SettingsError, match=r"features\.toml"):
        stores.timeout(file)


def test_the_settings_say_that_the_store_is_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "features.toml"
    file.write_text("[redis]\ntimeout_ms = 30\n")
    monkeypatch.setattr(stores, "settings_file", lambda: file)
    monkeypatch.delenv(stores.ADDRESS, raising=False)

    with pytest.raises(FeatureStoreError, match="REDIS_URL is not set"):
        stores.project_store()
    monkeypatch.setenv(stores.ADDRESS, "redis://localhost")
    assert stores.project_store().name == "Redis"
