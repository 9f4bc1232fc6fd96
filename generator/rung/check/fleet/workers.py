"""A pool of processes in which the death of a process does not affect the others."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from rung.system.process import stopped_like_ctrl_c

Job = TypeVar("Job")
Result = TypeVar("Result")
ALIVE = 1.0  # seconds between checks that the parent process is alive


class _Worker:
    """A process, the connection to it, and the index of the job that it works on."""

    def __init__(self, work: Callable[[Job], Result], room: str) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        arguments = (theirs, work, room, os.getpid())
        self.process = multiprocessing.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()  # so that the connection ends when the process dies

    def give(self, index: int, job: Job) -> None:
        self.index = index
        # If the process died, the end of the connection will show it.
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(job)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, work: Callable[[Job], Result], room: str, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        # The programs that a job starts inherit the mask, and these signals must end them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _stops())
    tempfile.tempdir = room
    try:
        # Other workers inherit the parent's end: the connection may stay open when the parent dies.
        while os.getppid() == parent:
            if connection.poll(ALIVE):
                connection.send(work(connection.recv()))
    except (EOFError, BrokenPipeError):
        pass
    except KeyboardInterrupt:  # of a job that ends the programs it runs, and cleans up
        raise SystemExit(130) from None


def _stops() -> set[signal.Signals]:
    """Return the signals that stop a command, where there is a mask for them."""
    return {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay a stop until a process that is being started is known, so that it can be ended."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, _stops())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def run_all(
    work: Callable[[Job], Result], jobs: Sequence[Job], number: int
) -> Generator[tuple[int, Result | None]]:
    """Yield index and result of each job when it is done; the result is None if its process died.

    When the system kills a process, a pool of the standard library waits forever or gives up all
    jobs. When the iterator is closed, for example by an exception, all processes end, and their
    temporary files are deleted.
    """
    waiting = iter(enumerate(jobs))
    workers: dict[object, _Worker] = {}
    with (
        stopped_like_ctrl_c(),
        tempfile.TemporaryDirectory(prefix="rung-", ignore_cleanup_errors=True) as room,
    ):
        try:
            while True:
                for index, job in itertools.islice(waiting, number - len(workers)):
                    with _uninterrupted():
                        worker = _Worker(work, room)
                        workers[worker.connection] = worker
                    worker.give(index, job)
                if not workers:
                    break
                for connection in wait([worker.connection for worker in workers.values()]):
                    worker = workers[connection]
                    finished = worker.index
                    result, following = None, None
                    with contextlib.suppress(EOFError, OSError):  # it died
                        result = worker.connection.recv()
                        following = next(waiting, None)
                    if following is None:
                        worker.stop()
                        del workers[connection]
                    else:
                        worker.give(*following)
                    yield finished, result
        finally:
            for worker in workers.values():
                worker.stop()
