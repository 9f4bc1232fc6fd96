"""Whether a store that is busy or cannot be reached is asked again: by a command, not by a service."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

IS_PATIENT = ContextVar("IS_PATIENT", default=True)


@contextmanager
def without_retries() -> Iterator[None]:
    """Ask a store only once: who calls tries again by itself."""
    token = IS_PATIENT.set(False)
    try:
        yield
    finally:
        IS_PATIENT.reset(token)
