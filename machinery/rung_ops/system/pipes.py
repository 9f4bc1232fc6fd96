"""End quietly if the output is closed, as in `poe lineage | head`."""

import os
import select
import sys
from collections.abc import Callable

NOBODY_READS = 141  # exit code, as a shell has it for SIGPIPE


def quietly(run: Callable[[], int]) -> int:
    """Run and return the exit code; NOBODY_READS, and no traceback, where stdout was closed."""
    code = NOBODY_READS
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:
        if not _stdout_is_closed():
            raise
        # Python flushes once more when it ends, and would print a traceback then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _stdout_is_closed() -> bool:
    """Tell whether the reader of stdout is gone; another pipe may have broken."""
    waiting = select.poll()
    waiting.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in waiting.poll(0))
