"""Explain errors of workers."""

import errno
from collections.abc import Iterator


def explain(error: BaseException) -> str:
    """Return the cause of an error and what to do about it."""
    chain = list(_causes(error))
    names = {type(one).__name__ for one in chain}
    texts = " ".join(str(one) for one in chain)
    if "OutOfMemoryError" in names:
        return (
            "A worker was killed because its machine ran out of memory. Lower `rows` or `workers` "
            "in ops/ray.toml, or raise `memory_mb`, so that fewer workers share a machine."
        )
    full = any(isinstance(one, OSError) and one.errno == errno.ENOSPC for one in chain)
    if full or "OutOfDiskError" in names or "No space left on device" in texts:
        return f"A disk is full: {_last(chain)} Free space, and run the command again."
    if names & {"ActorDiedError", "WorkerCrashedError", "NodeDiedError", "ObjectLostError"}:
        return (
            "Workers ended before they finished, more often than `retries` in ops/ray.toml allows: "
            "they had too little memory, or a machine was lost. See Ray's logs in "
            "/tmp/ray/session_latest/logs on their machine."
        )
    return _last(chain)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__


def _last(chain: list[BaseException]) -> str:
    lines = str(chain[-1]).strip().splitlines() or [type(chain[-1]).__name__]
    # Ray puts the worker's traceback first, and the error into the last line.
    return lines[-1].strip() if "Traceback" in "".join(lines) else " ".join(lines)
