"""What went wrong on a worker, and what to do about it."""

import errno
from collections.abc import Iterator


def explain(error: BaseException) -> str:
    """Say what happened, and what to do about it."""
    chain = list(_causes(error))
    names = {type(one).__name__ for one in chain}
    texts = " ".join(str(one) for one in chain)
    if "OutOfMemoryError" in names:
        return (
            "A worker was ended because its machine ran out of memory. Lower `rows` or `workers` "
            "in ops/ray.toml, or raise `memory_mb`, so that fewer of them share a machine."
        )
    full = any(isinstance(one, OSError) and one.errno == errno.ENOSPC for one in chain)
    if full or "OutOfDiskError" in names or "No space left on device" in texts:
        return f"There is no room left on a disk: {_last(chain)} Make room, and run it again."
    if names & {"ActorDiedError", "WorkerCrashedError", "NodeDiedError", "ObjectLostError"}:
        return (
            "Workers ended before they had answered, more often than `retries` in ops/ray.toml allows. "
            "Was their memory too little, or a machine lost? Ray's own logs, below "
            "/tmp/ray/session_latest/logs on their machine, say more."
        )
    return _last(chain)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__


def _last(chain: list[BaseException]) -> str:
    lines = str(chain[-1]).strip().splitlines() or [type(chain[-1]).__name__]
    # Ray puts the worker's traceback first, and what was wrong into the last line.
    return lines[-1].strip() if "Traceback" in "".join(lines) else " ".join(lines)
