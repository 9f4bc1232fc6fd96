"""Which release answers a row: a canary gets a share of the keys, always the same ones."""

import hashlib
from typing import Literal

Arm = Literal["serving", "canary"]

SPAN = 2**64


class TrafficSplit:
    """Divides keys between the serving release and a canary.

    A key that is with the canary at one share stays with it at every larger one. Another release
    gets other keys, so that it is not always the same callers who try what is new.
    """

    def __init__(self, canary: str | None = None, share: float = 0.0) -> None:
        """Divide.

        Args:
            canary: id of the release on trial; None for none.
            share: of the keys that it answers, in [0, 1].
        """
        self.canary = canary
        self.share = share if canary else 0.0
        self._limit = int(self.share * SPAN)
        self._release = hashlib.sha256((canary or "").encode()).digest()

    def choose(self, key: str) -> Arm:
        """Tell which arm answers the rows of a key."""
        if not self._limit:
            return "serving"
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=self._release).digest()
        return "canary" if int.from_bytes(digest, "big") < self._limit else "serving"
