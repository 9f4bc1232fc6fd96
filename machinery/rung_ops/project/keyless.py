"""Run code of the project, or of a release, in a separate process that is given no key.

What signs does so in its own process, which imports none of that code. The other one runs as the
same user and can read what that user can, files of keys and other processes among it, unless
CANDIDATE_COMMAND puts a sandbox around it: `namespaces`, or a command such as `bwrap ... --`.
"""

import importlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from rung_ops.errors import OpsError, StageError
from rung_ops.project import current
from rung_ops.system import key_names

MODULE = "rung_ops.project.keyless"
SANDBOX = "CANDIDATE_COMMAND"
NAMESPACES = "namespaces"
# Of Linux: folders of keys are empty, other processes are not seen, and as the last user namespace
# owns none of the mounts, nothing in it can unmount them.
_UNSHARE = ("unshare", "--user", "--map-root-user")
_HIDE = f"""
while [ "$1" != -- ]; do [ ! -d "$1" ] || mount -t tmpfs none "$1" || exit; shift; done
shift
exec {" ".join(_UNSHARE)} "$@"
"""


class CandidateError(StageError):
    """The other process could not do it; the message says why."""


def environment(kept: Collection[str] = ()) -> dict[str, str]:
    """Return the variables of this process without keys and tokens, but for those that are kept."""
    withheld = key_names.ALL - set(kept)
    return {name: value for name, value in os.environ.items() if name not in withheld}


def drop() -> None:
    """Take keys and tokens out of the environment of this process, which needs none."""
    for name in key_names.ALL:
        os.environ.pop(name, None)


def without_keys(module: str, arguments: Collection[str], kept: Collection[str]) -> int | None:
    """Run a module of the library in a process without keys, but for those that are kept.

    Returns:
        The exit code; None if nothing was run, as there is no key to withhold.
    """
    if environment(kept).keys() == os.environ.keys():
        return None
    return _run(command(module, *arguments), kept)


def _run(words: list[str], kept: Collection[str]) -> int:
    try:
        return subprocess.run(words, env=environment(kept), check=False).returncode
    except OSError as error:
        raise CandidateError(f"{SANDBOX} cannot be run: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Replace this process by a command, such as `dvc repro`, without its keys."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help"):
        print("usage: rung-ops keyless COMMAND ...\n\nRun it without keys and tokens.")
        return 0 if words else 2
    words = [*_sandbox(), *words]
    try:
        os.execvpe(words[0], words, environment())
    except OSError as error:
        raise CandidateError(f"{words[0]} cannot be run: {error}") from error


def command(module: str, *arguments: str) -> list[str]:
    """Return the command of a process for code of a candidate; it runs a module of the library."""
    return [*_sandbox(), sys.executable, "-P", "-m", module, *arguments]


def _sandbox() -> list[str]:
    """Return what goes in front of the command of the other process."""
    state = os.environ.get(SANDBOX, "")
    if state != NAMESPACES:
        return shlex.split(state)
    hidden = [str(current().repository / ".keys"), str(Path.home() / ".ssh"), "--"]
    own = ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", _HIDE, "sh"]
    return [*_UNSHARE, *own, *hidden]


def guarded(function: str, *arguments: Any, kept: Collection[str] = ()) -> Any:
    """Call a function as call() does where this process has keys to withhold, else in this one."""
    if environment(kept).keys() == os.environ.keys():
        return _named(function)(*arguments)
    return call(function, *arguments, kept=kept)


def call(
    function: str,
    *arguments: Any,
    raises: tuple[type[Exception], ...] = (),
    kept: Collection[str] = (),
) -> Any:
    """Call a function in a process without keys.

    Args:
        function: `MODULE:NAME`, such as `rung_ops.release.deploy:check_bundle`.
        arguments: what JSON can hold.
        raises: errors that are raised here as well, when the function raises them there.
        kept: names of keys that it needs.

    Returns:
        What it returned, as JSON has it.

    Raises:
        CandidateError: it raised another error, or ended without an answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        code = _run(command(MODULE, function, json.dumps(arguments), str(answer)), kept)
        if not answer.is_file():
            raise CandidateError(f"{function} ended with {code} and gave no answer")
        answered = json.loads(answer.read_bytes())
    if "error" not in answered:
        return answered["returned"]
    for kind in raises:
        if kind.__name__ == answered["error"]:
            raise kind(answered["message"])
    if answered["is_ours"]:
        raise CandidateError(answered["message"])
    raise CandidateError(f"{function} failed ({answered['error']}: {answered['message']})")


def _named(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    named: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return named


def _answer(function: str, arguments: str, answer: str) -> None:
    try:
        answered: dict[str, Any] = {"returned": _named(function)(*json.loads(arguments))}
    except Exception as error:  # code of the candidate may raise anything
        ours = isinstance(error, OpsError)
        answered = {"error": type(error).__name__, "message": str(error), "is_ours": ours}
    Path(answer).write_text(json.dumps(answered), encoding="utf-8")


if __name__ == "__main__":
    _answer(*sys.argv[1:])
