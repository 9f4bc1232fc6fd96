"""Runs the stages of a pipeline: `rung-ops stage FILE`, and the process that one run of DVC shares.

DVC starts a command for each stage, and most of a small stage is the import of its libraries. While
`rung-ops dvc` runs, the verbs that run code of the project hand their arguments, environment and
standard streams to one process, which has loaded them. DVC sees commands and exit codes as ever.
"""

import gc
import io
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import click

from rung_ops.command import verb
from rung_ops.errors import StageError
from rung_ops.project import Project, keyless
from rung_ops.system import key_names
from rung_ops.system.processes import quietly, stop

SOCKET = "RUNG_STAGES"  # environment variable: where that process listens
STARTED = b"+"  # what it answers first; then the exit code
# Files of a project that it loads, and those that they may read as they are loaded: while a replay lasts,
# the autopilot changes params.toml and adds rows.
CODE = (
    "src/**/*",
    "pipeline/**/*.py",
    "machinery/**/*.py",
    "params.toml",
    "data/incoming/**/*.dvc",
)
MOST_OF_ADDRESS = 70  # characters of its folder: the system takes some 100 of all
SECONDS = 5  # for a stage whose caller is gone


@verb("rung-ops stage")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
def main(files: Sequence[str]) -> int:
    """Run scripts of pipeline/ in one process, one after another."""
    for file in files:
        try:
            _run(file)
        except SystemExit as error:
            if error.code not in (None, 0):
                raise
        except Exception as error:
            trace = _within(file, error.__traceback__)
            sys.excepthook(type(error), error.with_traceback(trace), trace)
            return 1
    return 0


def _run(file: str) -> None:
    """Run a script as `python FILE` does, to the end of its threads and of the files that it opened."""
    module, own = ModuleType("__main__"), sys.modules["__main__"]
    module.__file__, sys.argv = file, [file]
    sys.path.insert(0, str(Path(file).resolve().parent))
    sys.modules["__main__"] = module
    before = threading.enumerate()
    try:
        exec(compile(Path(file).read_bytes(), file, "exec"), vars(module))
    finally:
        for thread in threading.enumerate():
            if thread not in before and not thread.daemon:
                thread.join()
        for value in vars(module).values():
            if isinstance(value, io.IOBase) and not value.closed:
                value.flush()
        sys.modules["__main__"] = own
        del sys.path[0]


def _within(file: str, trace: TracebackType | None) -> TracebackType | None:
    """Leave out what called the script."""
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    return trace


@contextmanager
def shared(environment: dict[str, str] | None = None) -> Iterator[None]:
    """Let the verbs that are started in the block share a process; on Windows each has its own.

    Args:
        environment: of that process, where it is not this one's without its keys.
    """
    is_shared = SOCKET in os.environ  # as in a replay
    if is_shared or not hasattr(socket, "send_fds") or len(tempfile.gettempdir()) > MOST_OF_ADDRESS:
        yield
        return
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        address = str(Path(folder) / "stages")
        listener.bind(address)
        listener.listen()
        own = keyless.environment(key_names.OF_LOG)
        serving = ("rung_ops", "--serve-stages", str(listener.fileno()))
        has_keys = environment is None and own.keys() != os.environ.keys()
        words = keyless.command(*serving) if has_keys else [sys.executable, "-P", "-m", *serving]
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,  # its end says that this process has ended
                pass_fds=[listener.fileno()],
                env=own if environment is None else environment,
            )
        except OSError as error:
            raise keyless.CandidateError(f"{words[0]} cannot be run: {error}") from error
        listener.close()  # once that process has ended, no connection comes
        os.environ[SOCKET] = address
        try:
            yield
        finally:
            del os.environ[SOCKET]
            try:
                process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                stop(process, SECONDS)


def delegated(words: list[str]) -> int | None:
    """Run a verb in the process that is shared; return its exit code, or None if there is none."""
    if not os.environ.get(SOCKET):
        return None
    environment = keyless.environment(key_names.OF_LOG)
    address = environment.pop(SOCKET)
    job = {"words": words, "folder": str(Path.cwd()), "environment": environment}
    for _ in range(2):  # it starts again where the code has changed
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(address)
                socket.send_fds(connection, [b"\n"], [0, 1, 2])
                connection.sendall(json.dumps(job).encode() + b"\n")
                answer = connection.makefile("rb").read()
            except (ConnectionError, FileNotFoundError):
                return None
        if answer == STARTED:
            raise StageError(
                f"`rung-ops {' '.join(words)}` was killed before it ended: this machine may have too "
                "little memory for it."
            )
        if answer:
            return int(answer)
    return None


def serve(descriptor: int, run: Callable[[list[str]], int]) -> int:
    """Answer delegated() on a listening socket until standard input ends."""
    known = None
    held: list[socket.socket] = []

    def let_go() -> None:  # a child that a stage forks would keep them open
        for each in held:
            each.close()

    os.register_at_fork(after_in_child=let_go)
    with socket.socket(fileno=descriptor) as listener, suppress(KeyboardInterrupt):
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                break
            connection, _ = listener.accept()
            held[:] = listener, connection
            with connection, suppress(ConnectionError):  # the caller may have been killed
                _, streams, _, _ = socket.recv_fds(connection, 1, 3)
                job = json.loads(connection.makefile("rb").readline())
                code = _code(Path(job["folder"]))
                if known not in (None, code):
                    for stream in streams:
                        os.close(stream)  # the caller's reader waits for its end
                    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
                known = code
                connection.sendall(STARTED)
                connection.sendall(str(_answer(job, streams, run)).encode())
                connection.shutdown(socket.SHUT_RDWR)  # a child of the stage may still hold it
    # Python would search all that the stages have loaded for garbage as it ends, for most of a second.
    gc.freeze()
    return 0


def _code(folder: Path) -> tuple[Path, list[tuple[Path, int]]]:
    """Return what tells whether the code of a project has changed: the model, files and times."""
    project = Project.find(folder)
    files = {
        file
        for root in {project.repository, project.root}
        for pattern in CODE
        for file in root.glob(pattern)
        if file.is_file() and "__pycache__" not in file.parts
    }
    return project.root, sorted((file, file.stat().st_mtime_ns) for file in files)


def _answer(job: dict[str, Any], streams: list[int], run: Callable[[list[str]], int]) -> int:
    """Run a verb where it was typed, with the streams of its caller."""
    own = [os.dup(stream) for stream in range(3)]
    for stream, descriptor in enumerate(streams):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    try:
        return quietly(lambda: run(job["words"]))
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return int(error.code if isinstance(error.code, int) else error.code is not None)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    finally:
        for file in (sys.stdout, sys.stderr):
            with suppress(BrokenPipeError):
                file.flush()
        for stream, descriptor in enumerate(own):
            os.dup2(descriptor, stream)
            os.close(descriptor)
