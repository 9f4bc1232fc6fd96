"""Run many jobs in separate processes; one that dies does not affect the others."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
ALIVE = 1.0  # seconds between two checks whether the parent process is alive


class _Worker:
    """A process, the line to it, and the job it is at."""

    def __init__(self, work: Callable[[Job], Result]) -> None:
        self.line, theirs = multiprocessing.Pipe()
        arguments = (theirs, work, os.getpid())
        self.process = multiprocessing.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()  # so that its death ends the line
        self.job: int | None = None

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.line.close()


def _serve(line: Connection, work: Callable[[Job], Result], parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    with contextlib.suppress(EOFError, BrokenPipeError):
        # Other processes hold copies of the far end, so that it may outlive the parent.
        while os.getppid() == parent:
            if line.poll(ALIVE):
                line.send(work(line.recv()))


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait: a process that has just been started must be known before it can be ended."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def run_all(
    work: Callable[[Job], Result], jobs: Sequence[Job], number: int
) -> Generator[tuple[int, Result | None]]:
    """Give the index of a job and its result as each is done; None if its process died.

    A pool of the standard library waits forever for a process that the system has killed, or gives
    up all of its jobs. When the iterator is closed, for example by an exception, all processes end.

    Args:
        work: a function that can be pickled.
        jobs: what it is called with.
        number: of processes.
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
            for line in wait([worker.line for worker in workers]):
                worker = next(candidate for candidate in workers if candidate.line is line)
                done = worker.job
                assert done is not None
                result, died = None, False
                try:
                    result = worker.line.recv()
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
                yield done, result
    finally:
        for worker in workers:
            worker.stop()


def _give(worker: _Worker, jobs: Sequence[Job], index: int) -> None:
    worker.job = index
    with contextlib.suppress(BrokenPipeError):  # it died; the end of its line says so
        worker.line.send(jobs[index])
