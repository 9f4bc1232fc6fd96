"""Start git so that it runs no program and contacts no server that a repository names.

Every call of git goes through here. A repository can come from anywhere, and its configuration may
name programs: filters, hooks, a file system monitor, a pager, an editor, a command for ssh. Git
offers no switch that turns all of them off, so each is turned off on its own.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from rung.errors import RungError

# Settings that would run programs, ask questions or hide files.
QUIET = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.excludesFile": os.devnull,
    "core.filesRefLockTimeout": "10000",  # ms: another Rung may be writing the same tag
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "log.showSignature": "false",  # it would run gpg.program
    "gc.auto": "0",  # a child in the background would hold locks
    "maintenance.auto": "false",
}
# The same where what the person's own file ignores counts as ignored by the project.
QUIET_AS_IGNORED = {name: value for name, value in QUIET.items() if name != "core.excludesFile"}
# Variables that lead git to another repository, or make it read paths and attributes in another way.
ELSEWHERE = {
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
CLOSED = {
    # A partial clone would start its remote for an object that it lacks.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",  # an empty list: no way to any remote, ext:: and file:: included
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": ":",
    "GIT_SEQUENCE_EDITOR": ":",
    "GIT_LFS_SKIP_SMUDGE": "1",  # Git LFS would download with programs that the repository names
    "LC_ALL": "C.UTF-8",
}
# Commands that compare or write no files of a work tree, for which git may run filters.
WITHOUT_FILES = {
    "cat-file",
    "check-ignore",
    "check-ref-format",
    "commit-tree",
    "config",
    "diff-tree",
    "for-each-ref",
    "init",
    "log",
    "ls-files",
    "ls-remote",
    "ls-tree",
    "merge-file",
    "merge-tree",
    "mktree",
    "pack-objects",
    "read-tree",
    "rev-parse",
    "symbolic-ref",
    "tag",
    "unpack-objects",
    "update-ref",
    "version",
    "write-tree",
}
NO_FILTER = {"clean": "", "smudge": "", "process": "", "required": "false"}
THE_PERSONS = {"system", "global", "command"}  # scopes that a repository cannot write to
# Settings of Git LFS by which a repository names programs for it.
LFS_PROGRAM = re.compile(r"lfs\.(extension|customtransfer)\.|lfs\..*standalonetransferagent$")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for git: this one, with all ways out closed.

    Args:
        extra: Variables to add, which win.
    """
    kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return {**kept, **CLOSED, **(extra or {})}


def completed(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] = QUIET,
    extra: Mapping[str, str] | None = None,
    stdin: bytes | IO[bytes] = b"",
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder to its end, and capture its output.

    Args:
        folder: Where git runs.
        arguments: What follows `git`.
        settings: Configuration for this one call.
        extra: Environment variables to add.
        stdin: What git reads: bytes, or an open file.
    """
    fed: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    return subprocess.run(
        _command(folder, arguments, settings, extra),
        cwd=folder,
        env=_environment(settings, extra),
        capture_output=True,
        check=False,
        **fed,
    )


def started(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] = QUIET,
    extra: Mapping[str, str] | None = None,
    **streams: Any,
) -> subprocess.Popen[bytes]:
    """Start git in a folder; `streams` are those of `subprocess.Popen`."""
    return subprocess.Popen(
        _command(folder, arguments, settings, extra),
        cwd=folder,
        env=_environment(settings, extra),
        **streams,
    )


def _command(
    folder: Path,
    arguments: tuple[str, ...],
    settings: Mapping[str, str],
    extra: Mapping[str, str] | None,
) -> list[str]:
    if _may_filter(arguments):
        settings = {**settings, **filters_off(folder, extra)}
    plain = {name: value for name, value in settings.items() if "=" not in name}
    options = [word for name, value in plain.items() for word in ("-c", f"{name}={value}")]
    return ["git", "--no-pager", *options, *arguments]


def _environment(settings: Mapping[str, str], extra: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment for git, with the settings that no option can name.

    A branch may have `=` in its name. Git knows these variables from 2.31 on.
    """
    variables = environment(extra)
    odd = [(name, value) for name, value in settings.items() if "=" in name]
    first = int(variables.get("GIT_CONFIG_COUNT") or 0)
    for number, (name, value) in enumerate(odd, start=first):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables | ({"GIT_CONFIG_COUNT": str(first + len(odd))} if odd else {})


def _may_filter(arguments: tuple[str, ...]) -> bool:
    """Say whether a command may read or write files of a work tree."""
    if {"--filters", "-u", "--refresh"} & set(arguments):
        return True
    if {"--no-filters", "--index-info"} & set(arguments):
        return False
    return arguments[0] not in WITHOUT_FILES


def filters_off(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return settings that turn the filters off which a repository's own configuration has.

    The person's own, such as Git LFS in ~/.gitconfig, stay.

    Raises:
        RungError: A filter has a name that cannot be given on git's command line.
    """
    asked = ("--show-scope", "--name-only", "-z", "--get-regexp", r"^(filter|lfs)\.")
    output = subprocess.run(
        ["git", "config", *asked],
        cwd=folder,
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    ).stdout.decode("utf-8", "surrogateescape")
    fields = output.split("\0")
    pairs = zip(fields[0::2], fields[1::2], strict=False)
    keys = {key for scope, key in pairs if scope not in THE_PERSONS}
    names = {key.removeprefix("filter.").rpartition(".")[0] for key in keys if key[:1] == "f"}
    if any(LFS_PROGRAM.match(key) for key in keys):
        names.add("lfs")
    if odd := next((name for name in names if "=" in name), None):
        raise RungError(
            f"The repository's configuration has a filter `{odd}`, which Rung cannot turn off, and "
            "it runs no program of a repository.\nRename the filter, without `=` in its name."
        )
    return {
        f"filter.{name}.{key}": value for name in sorted(names) for key, value in NO_FILTER.items()
    }
