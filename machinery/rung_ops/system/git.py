"""Git, started for the repository that a folder is in, whatever the environment says."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rung_ops.errors import OpsError

# Variables that lead git to another repository, or change how it reads paths. Git sets some of them
# for its hooks, which may run a verb.
REDIRECTING = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
}


class GitError(OpsError):
    """Git could not do it; the message is what it printed last."""


def run(
    folder: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    errors: str = "replace",
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run git in a folder, and keep its output and errors apart for the caller.

    Args:
        folder: where it runs.
        arguments: of git.
        variables: of its environment, beside those of `environment`.
        environment: by default that of this process. REDIRECTING are left out of it.
        errors: how text that is not UTF-8 is read; `surrogateescape` keeps the names of files.
        seconds: after which it is ended.

    Returns:
        Whatever it ended with: where there is no repository, a code that is not 0 and no output.

    Raises:
        OSError: git cannot be started.
        subprocess.TimeoutExpired: it took longer.
    """
    how = {"text": True, "encoding": "utf-8", "errors": errors, "timeout": seconds}
    return _started(folder, arguments, variables, environment, **how)


def output(
    folder: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> str:
    """Return what git prints, without the end of its last line; the arguments are those of run().

    Raises:
        GitError: it failed, cannot be started, or took longer.
    """
    try:
        done = run(
            folder, *arguments, variables=variables, environment=environment, seconds=seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(str(error)) from error
    _refuse_failed(done.returncode, done.stderr, arguments)
    return done.stdout.rstrip("\n")


def content(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> bytes:
    """Return what git prints, byte by byte, such as a file that was committed.

    Raises:
        GitError: it failed, or cannot be started.
    """
    try:
        done = _started(folder, arguments, variables, None)
    except OSError as error:
        raise GitError(str(error)) from error
    _refuse_failed(done.returncode, done.stderr.decode(errors="replace"), arguments)
    return bytes(done.stdout)


def _refuse_failed(code: int, printed: str, arguments: tuple[str, ...]) -> None:
    if code:
        lines = printed.strip().splitlines()
        raise GitError(lines[-1] if lines else f"`git {arguments[0]}` ended with {code}")


def _started(
    folder: Path,
    arguments: tuple[str, ...],
    variables: Mapping[str, str] | None,
    environment: Mapping[str, str] | None,
    **how: Any,
) -> subprocess.CompletedProcess[Any]:
    base = os.environ if environment is None else environment
    kept = {name: value for name, value in base.items() if name not in REDIRECTING}
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=kept | dict(variables or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        **how,
    )
