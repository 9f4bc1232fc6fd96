"""Run `rung` in a fork of a process that has loaded it, so that it is not loaded again.

Loading takes half of what a short command costs. This is for Linux: Windows has no fork, and macOS
no sockets that keep messages apart. The process that is forked never ran a test; each fork has the
arguments, the folder, the environment, and the streams that it is given, and ends as Python ends.
"""

import array
import atexit
import functools
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

# What Python itself reads when it starts.
OF_PYTHON = ("PYTHON", "LC_", "LANG")
ROOM = 1_000_000  # bytes: more than any request has


def of_python(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that a Python which runs already does not read."""
    return {name: value for name, value in environment.items() if name.startswith(OF_PYTHON)}


@functools.cache
def _server(of_python: str) -> socket.socket:
    """Start the process that is forked, one for each environment of Python; it ends with this one."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        subprocess.Popen(
            [sys.executable, __file__, str(its.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
            env={**os.environ, **json.loads(of_python)},
        )
    return mine


def run(
    program: Path, arguments: list[str], folder: Path | None, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    server = _server(json.dumps(of_python(environment), sort_keys=True))
    request = [str(program), arguments, str(folder or Path.cwd()), environment]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        streams = array.array("i", [output.fileno(), errors.fileno()])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)]
        server.sendmsg([json.dumps(request).encode()], rights)
        code = int(server.recv(ROOM))
        text = []
        for stream in (output, errors):
            stream.seek(0)
            text.append(stream.read().decode())
    return subprocess.CompletedProcess([program, *arguments], code, *text)


def _serve(connection: socket.socket) -> None:
    """Fork for each request and say how the fork ended; it returns in the forks alone."""
    while True:
        request, streams, _, _ = socket.recv_fds(connection, ROOM, 2)
        if not request:
            os._exit(0)
        child = os.fork()
        if child == 0:
            connection.close()
            _become(streams, *json.loads(request))
            return
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(
    streams: list[int], program: str, arguments: list[str], folder: str, environment: dict[str, str]
) -> None:
    """Be the process that was asked for."""
    for stream, location in zip(streams, (1, 2), strict=True):
        os.dup2(stream, location)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    from plumbum import local  # which remembers both from when it was loaded

    local.env.clear()
    local.env.update(environment)
    local.cwd.chdir(folder)
    sys.argv = [program, *arguments]


def _main() -> NoReturn:
    import copier  # noqa: F401  loaded once, for all forks

    from rung.__main__ import main

    gc.collect()
    gc.freeze()  # a fork that looked through all this would copy it
    _serve(socket.socket(fileno=int(sys.argv[1])))
    code = main()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)  # so would one that takes all modules apart


if __name__ == "__main__":
    _main()
