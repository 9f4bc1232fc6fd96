"""The feature store on a Redis or Valkey server: a hash for each view, with an entity in each field.

A filling has hashes of its own. One key, the pointer, says which filling counts; it is moved when the
hashes are whole, and those before are deleted.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, NamedTuple

from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import RedisError
from redis.retry import Retry

from rung_ops.features.store import (
    FeatureStoreError,
    LookupResult,
    StoredView,
    StoreUnreachableError,
)

AT_ONCE = 1_000  # entities in a command
WRITING = 30.0  # seconds that a command which fills the store may take
DRAFT = 3_600  # seconds that a filling lasts which was never finished, or has been replaced
PAUSE = 1.0  # seconds after which a server that failed is asked whether it answers again
TRIES = 3  # of a look-up, while fillings take the place of each other


class _Filling(NamedTuple):
    """What the pointer says."""

    text: bytes | None
    version: str
    as_of: dict[str, int]
    names: dict[str, list[str]]


NOTHING = _Filling(None, "", {}, {})


class RedisStore:
    """A feature store on a server."""

    def __init__(self, address: str, package: str, limit: float) -> None:
        self.name = "Redis"  # for people
        self._address = address
        self._limit = limit
        self._prefix = f"rung:{package}:features"
        self._client = self._connected(limit)
        self._filling = NOTHING
        self._failed = ""  # why, until the server answers again

    def write(self, views: Sequence[StoredView]) -> None:
        """Fill hashes with these views, and let them take the place of those before."""
        version = secrets.token_hex(8)
        described = {view.id: {"as_of": view.as_of, "names": view.names} for view in views}
        text = json.dumps({"version": version, "views": described}).encode()
        drafts = {self._key(version, view.id): len(view.entities) for view in views}
        with self._named("it cannot be written"), self._connected(WRITING) as client:
            try:
                for view in views:
                    _fill(client, self._key(version, view.id), view)
                replaced = self._swap(client, text, drafts)
            except (RedisError, FeatureStoreError):
                client.unlink(*drafts)
                raise
            if replaced:
                client.unlink(*replaced)

    def as_of(self) -> Mapping[str, int]:
        """Return what the values of each view are of, by its id."""
        with self._named("it cannot be read"):
            self._follow(self._client.get(self._prefix))
        return self._filling.as_of

    def read(self, view: str) -> StoredView:
        """Read all values of a view."""
        if view not in self.as_of():
            raise FeatureStoreError(f"it has no view {view}")
        now = self._filling
        with self._named("it cannot be read"), self._connected(WRITING) as client:
            packed = list(client.hscan_iter(self._key(now.version, view), count=AT_ONCE))
        return StoredView.unpacked(view, now.as_of[view], now.names[view], packed)

    def look_up(self, keys: Mapping[str, Sequence[bytes]]) -> LookupResult:
        """Read entities of several views, in one round trip.

        Only one look-up waits for a server that fails; those that follow have no values at once.
        """
        if self._failed:
            raise FeatureStoreError(self._failed)
        try:
            with self._named("it cannot be read"):
                for _ in range(TRIES):
                    if features := self._looked_up(keys):
                        return features
        except FeatureStoreError as error:
            self._failed = str(error)
            threading.Thread(target=self._reconnect, name="feature-store", daemon=True).start()
            raise
        raise FeatureStoreError("it is replaced faster than it can be read")

    def _reconnect(self) -> None:
        """Open a connection as soon as the server answers: no request has to wait for that."""
        while self._failed:
            time.sleep(PAUSE)
            with suppress(RedisError, OSError):
                self._client.ping()
                self._failed = ""

    def _looked_up(self, keys: Mapping[str, Sequence[bytes]]) -> LookupResult | None:
        """Look up in the filling that counted last; None where another one has taken its place."""
        before = self._filling
        filled = [view for view in keys if view in before.as_of]
        pipe = self._client.pipeline(transaction=False)
        for view in filled:
            pipe.hmget(self._key(before.version, view), keys[view])
        # Last: a filling that is still the one that counts was there when it was asked.
        pipe.get(self._prefix)
        *packed, text = pipe.execute()
        if text == before.text and text is not None:
            return LookupResult(before.as_of, dict(zip(filled, packed, strict=True)))
        self._follow(text)
        return None

    def _follow(self, text: Any) -> None:
        if text is None:
            raise FeatureStoreError(f"it is empty: {self.name} has no key {self._prefix}")
        if text != self._filling.text:
            self._filling = self._parsed(text)

    def _parsed(self, text: bytes) -> _Filling:
        try:
            content = json.loads(text)
            views = content["views"].items()
            as_of = {view: int(each["as_of"]) for view, each in views}
            return _Filling(
                text, content["version"], as_of, {v: each["names"] for v, each in views}
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FeatureStoreError(f"the key {self._prefix} is not of a feature store") from error

    def _swap(self, client: Redis, text: bytes, drafts: Mapping[str, int]) -> list[str]:
        """Let a filling count; return the keys of the one before, which expire."""

        def swap(pipe: Pipeline) -> list[str]:
            known: Any = pipe.get(self._prefix)
            before = self._parsed(known) if known else NOTHING
            for key, entities in drafts.items():
                if pipe.hlen(key) != entities:
                    raise FeatureStoreError(
                        "the server has deleted keys while it was filled (maxmemory)"
                    )
            replaced = [self._key(before.version, view) for view in before.as_of]
            pipe.multi()
            for key in drafts:
                pipe.persist(key)
            for key in replaced:
                pipe.expire(key, DRAFT)
            pipe.set(self._prefix, text)
            return replaced

        # Its types know no function that returns something.
        transaction: Any = client.transaction
        return list(transaction(swap, self._prefix, value_from_callable=True))

    def _key(self, version: str, view: str) -> str:
        return f"{self._prefix}:{version}:{view}"

    def _connected(self, limit: float) -> Redis:
        try:
            return Redis.from_url(
                self._address,
                socket_timeout=limit,
                socket_connect_timeout=limit,
                retry=Retry(NoBackoff(), 0),
                # Neither the newer protocol nor the client's name: each is a round trip more.
                protocol=2,
                lib_name=None,
                lib_version=None,
            )
        except (ValueError, TypeError) as error:
            raise FeatureStoreError(
                "REDIS_URL is not an address such as redis://HOST:6379/0"
            ) from error

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise StoreUnreachableError(f"{what}: {self.name} says: {error}") from error


def _fill(client: Redis, key: str, view: StoredView) -> None:
    packed = view.packed()
    while some := dict[Any, Any](islice(packed, AT_ONCE)):
        pipe = client.pipeline(transaction=False)
        pipe.hset(key, mapping=some)
        pipe.expire(key, DRAFT)
        pipe.execute()
