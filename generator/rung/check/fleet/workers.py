"""A pool of processes in which the death of a process does not affect the others."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
ALIVE = 1.0  # seconds between checks that the parent process is alive


class _Worker:
    """A process, the connection to it, and the job that it works on."""

    def __init__(self, work: Callable[[Job], Result]) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        arguments = (theirs, work, os.getpid())
        self.process = multiprocessing.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()  # so that the connection ends when the process dies
        self.job: int | None = None

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, work: Callable[[Job], Result], parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    with contextlib.suppress(EOFError, BrokenPipeError):
        # Other workers inherit the parent's end: the connection may stay open when the parent dies.
        while os.getppid() == parent:
            if connection.poll(ALIVE):
                connection.send(work(connection.recv()))


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C until a process that is being started is known, so that it can be ended."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def run_all(
    work: Callable[[Job], Result], jobs: Sequence[Job], number: int
) -> Generator[tuple[int, Result | None]]:
    """Yield index and result of each job when it is done; the result is None if its process died.

    When the system kills a process, a pool of the standard library waits forever or gives up all
    jobs. When the iterator is closed, for example by an exception, all processes end.

    Args:
        work: A function that can be pickled.
        jobs: The arguments, one for each call.
        number: Number of processes.
    """
    waiting = iter(range(len(jobs)))
    workers: list[_Worker] = []
    try:
        for index in waiting:
            with _uninterrupted():
                workers.append(_Worker(work))
            _give(workers[-1], jobs, index)
            if len(workers) == number:
                break
        while workers:
            for connection in wait([worker.connection for worker in workers]):
                worker = next(
                    candidate for candidate in workers if candidate.connection is connection
                )
                finished = worker.job
                assert finished is not None
                result, died = None, False
                try:
                    result = worker.connection.recv()
                except (EOFError, OSError):
                    died = True
                following = next(waiting, None)
                if died or following is None:
                    worker.stop()
                    workers.remove(worker)
                if following is not None:
                    if died:
                        with _uninterrupted():
                            worker = _Worker(work)
                            workers.append(worker)
                    _give(worker, jobs, following)
                yield finished, result
    finally:
        for worker in workers:
            worker.stop()


def _give(worker: _Worker, jobs: Sequence[Job], index: int) -> None:
    worker.job = index
    # If the process died, the end of the connection will show it.
    with contextlib.suppress(BrokenPipeError):
        worker.connection.send(jobs[index])
