"""Work in a process of its own that is killed at one of its system calls."""

import os
import signal
from collections.abc import Callable
from typing import Any

CALLS = ("open", "write", "fsync", "replace", "close")  # of os, which a kill may hit


def in_a_process(work: Callable[[], Any]) -> int:
    """Run work in a separate process, which ends with 2 where it raises; return its id."""
    child = os.fork()
    if child:
        return child
    code = 2
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def killed_at(point: int, work: Callable[[], Any]) -> bool:
    """Run work in a process that is killed at its point-th system call; False: it was finished.

    A write that is hit is half done.
    """
    calls = {name: getattr(os, name) for name in CALLS}
    left = point

    def counted(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                if name == "write":
                    descriptor, content = arguments
                    calls["write"](descriptor, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return calls[name](*arguments, **named)

        return call

    def hit() -> None:
        for name in calls:
            setattr(os, name, counted(name))
        work()

    _, status = os.waitpid(in_a_process(hit), 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False
