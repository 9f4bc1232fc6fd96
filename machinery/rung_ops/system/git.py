"""Git, started for the repository that a folder is in, whatever the environment says."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rung_ops.errors import OpsError

# What would show other files or commits: replacements, grafts and commit graph of this clone alone.
PLAIN = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}
NO_GRAPH = ("-c", "core.commitGraph=false")

# Of git's own variables, those that say who commits and who asks a remote. Any other may lead it to
# another repository, remote or program, or change what it reads.
KEPT = {
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE"),
    *("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE"),
    *("GIT_ASKPASS", "GIT_TERMINAL_PROMPT", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"),
}
# Settings that a job of CI gives git by GIT_CONFIG_KEY_0 and so on.
KEPT_SETTINGS = re.compile(
    r"credential\..+|http\.(.+\.)?extraheader|safe\.directory", re.IGNORECASE
)
MOST_SETTINGS = 100
# Git dies where a program that it starts ends before it has read all, as ssh-keygen does of a signature
# that is none: of a hundred `git log --format=%G?` about one.
TRIES = 5
UNHEARD = -13  # ended by SIGPIPE, a signal that Windows does not name


class GitError(OpsError):
    """Git could not do it; the message is what it printed last."""


def variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which git works on the repository of its folder, as that is set up.

    Args:
        environment: by default that of this process. Of its GIT_* only KEPT and KEPT_SETTINGS stay.
    """
    base = os.environ if environment is None else environment
    left = {name: base[name] for name in base if not name.startswith("GIT_") or name in KEPT}
    settings = [
        (key, base.get(f"GIT_CONFIG_VALUE_{number}", ""))
        for number in range(MOST_SETTINGS)
        if KEPT_SETTINGS.fullmatch(key := base.get(f"GIT_CONFIG_KEY_{number}", ""))
    ]
    for number, (key, value) in enumerate(settings):
        left |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return left | ({"GIT_CONFIG_COUNT": str(len(settings))} if settings else {})


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
        folder: where it runs; without a repository, git ends with a code that is not 0 and no output.
        arguments: of git.
        variables: of its environment, beside those of `environment`.
        environment: by default that of this process; variables() says what of it counts.
        errors: how text that is not UTF-8 is read; `surrogateescape` keeps the names of files.
        seconds: after which it is ended, with subprocess.TimeoutExpired.
    """
    how = {"text": True, "encoding": "utf-8", "errors": errors, "timeout": seconds}
    return _started(folder, arguments, variables, environment, **how)


def output(folder: Path, *arguments: str, **how: Any) -> str:
    """Return what git prints, without the end of its last line; the arguments are those of run().

    Raises:
        GitError: it failed, cannot be started, or took longer.
    """
    try:
        done = run(folder, *arguments, **how)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(str(error)) from error
    _refuse_failed(done.returncode, done.stderr, arguments)
    return done.stdout.rstrip("\n")


def content(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> bytes:
    """Return what git prints, byte by byte, such as a file that was committed; otherwise as output()."""
    try:
        done = _started(folder, arguments, variables, None)
    except OSError as error:
        raise GitError(str(error)) from error
    _refuse_failed(done.returncode, done.stderr.decode(errors="replace"), arguments)
    return bytes(done.stdout)


def _refuse_failed(code: int, printed: str, arguments: tuple[str, ...]) -> None:
    if code:
        lines = printed.strip().splitlines()
        lines = [line for line in lines if not line.startswith("hint:")] or lines
        raise GitError(lines[-1] if lines else f"`git {arguments[0]}` ended with {code}")


def _started(
    folder: Path,
    arguments: tuple[str, ...],
    further: Mapping[str, str] | None,
    environment: Mapping[str, str] | None,
    **how: Any,
) -> subprocess.CompletedProcess[Any]:
    for _ in range(TRIES):
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=variables(environment) | dict(further or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            **how,
        )
        if done.returncode != UNHEARD:
            break
    return done
