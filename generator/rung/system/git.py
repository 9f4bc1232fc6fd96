"""Git, started so that it runs no program and contacts no server that a repository names.

Every call of git goes through here. A repository can come from anywhere, and its configuration may
name programs: filters, hooks, a file system monitor, a pager, an editor, a command for ssh. Git has
no switch that turns all of them off, so they are turned off one by one.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from rung.errors import RungError
from rung.system import shortage

# Against settings that run programs, ask questions or hide files.
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
# The same, but files that the user's own excludes file ignores count as ignored.
QUIET_AS_IGNORED = {name: value for name, value in QUIET.items() if name != "core.excludesFile"}
# Variables that lead git to another repository, or change how it reads paths and attributes.
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
    "GIT_ALLOW_PROTOCOL": "",  # an empty list: no remote at all, not even ext:: and file::
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": ":",
    "GIT_SEQUENCE_EDITOR": ":",
    "GIT_LFS_SKIP_SMUDGE": "1",  # Git LFS would download with programs that the repository names
    "LC_ALL": "C.UTF-8",
}
# Commands that neither read nor write files of a work tree, so that git runs no filter for them.
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
MISSING = (
    "git is not installed, or not on PATH. Rung keeps the template and every project in git.\n"
    f"Install git, then run the same command again. {shortage.DOCTOR}"
)
NO_FILTER = {"clean": "", "smudge": "", "process": "", "required": "false"}
USER_SCOPES = {"system", "global", "command"}  # scopes that a repository cannot write to
# Settings of Git LFS by which a repository names programs for it.
LFS_PROGRAM = re.compile(r"lfs\.(extension|customtransfer)\.|lfs\..*standalonetransferagent$")

LINK, SUBMODULE = "120000", "160000"  # modes in a tree

# For commits that are the same on every machine, with the same id.
SAME_EVERYWHERE = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "Rung"),
        ("EMAIL", "rung@localhost"),
        ("DATE", "2026-01-01T00:00:00+0000"),
    )
}
# Git's own defaults: no configuration of the system or the user.
NO_USER_CONFIG = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
}
RUNG_IDENTITY = {"user.name": "Rung", "user.email": "rung@localhost"}

PARTIAL = r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for git: the current one, without ways to other repositories."""
    kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return {**kept, **CLOSED, **(extra or {})}


def completed(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] = QUIET,
    extra: Mapping[str, str] | None = None,
    stdin: bytes | IO[bytes] = b"",
    timeout: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder to its end, and capture its output.

    `settings` and `extra` are configuration and environment variables for this one call. After `timeout`
    seconds git is ended with `subprocess.TimeoutExpired`.
    """
    fed: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    call = _call(folder, arguments, settings, extra)
    return subprocess.run(**call, **fed, capture_output=True, check=False, timeout=timeout)


def started(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] = QUIET,
    extra: Mapping[str, str] | None = None,
    **streams: Any,
) -> subprocess.Popen[bytes]:
    """Start git in a folder; `streams` are those of `subprocess.Popen`."""
    return subprocess.Popen(**_call(folder, arguments, settings, extra), **streams)


def _call(
    folder: Path,
    arguments: tuple[str, ...],
    settings: Mapping[str, str],
    extra: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return what `subprocess` needs to start git with these settings."""
    variables = environment(extra)
    # The name of a branch may contain `=`, which no option can name. These variables need git 2.31.
    odd = [(name, value) for name, value in settings.items() if "=" in name]
    first = int(variables.get("GIT_CONFIG_COUNT") or 0)
    for number, (name, value) in enumerate(odd, start=first):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    if odd:
        variables["GIT_CONFIG_COUNT"] = str(first + len(odd))
    if _may_filter(arguments):
        settings = {**settings, **filters_off(folder, extra)}
    plain = {name: value for name, value in settings.items() if "=" not in name}
    options = [word for name, value in plain.items() for word in ("-c", f"{name}={value}")]
    command = ["git", "--no-pager", *options, *arguments]
    return {"args": command, "cwd": folder, "env": variables}


def _may_filter(arguments: tuple[str, ...]) -> bool:
    """Say whether a command may read or write files of a work tree."""
    if {"--filters", "-u", "--refresh"} & set(arguments):
        return True
    if {"--no-filters", "--index-info"} & set(arguments):
        return False
    return arguments[0] not in WITHOUT_FILES


def filters_off(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return settings that turn off the filters in a repository's own configuration.

    Those of the user, such as Git LFS in ~/.gitconfig, stay.

    Raises:
        RungError: A filter has a name that cannot be given on git's command line.
    """
    listing = ("--show-scope", "--name-only", "-z", "--get-regexp", r"^(filter|lfs)\.")
    output = subprocess.run(
        ["git", "config", *listing],
        cwd=folder,
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    ).stdout.decode("utf-8", "surrogateescape")
    fields = output.split("\0")
    pairs = zip(fields[0::2], fields[1::2], strict=False)
    keys = {key for scope, key in pairs if scope not in USER_SCOPES}
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


def require() -> None:
    """Raise a RungError when git is not installed."""
    if shutil.which("git") is None:
        raise RungError(MISSING)


def run(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] = QUIET,
    stdin: str = "",
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run git as `completed` does and return what it prints; its failure is a RungError."""
    text = stdin.encode("utf-8", "surrogateescape")
    try:
        done = completed(folder, *arguments, settings=settings, extra=extra, stdin=text)
    except OSError:
        require()
        raise
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip() or shortage.end(done.returncode)
        lines = [f"`git {arguments[0]}` failed in {folder}:", message, shortage.remedy_in(message)]
        raise RungError("\n".join(filter(None, lines)))
    return done.stdout.decode("utf-8", "surrogateescape")


def output(folder: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> str | None:
    """Return what git prints, stripped, or None when it fails."""
    try:
        return run(folder, *arguments, extra=extra).strip()
    except RungError:
        return None


def revision(folder: Path, name: str, extra: Mapping[str, str] | None = None) -> str | None:
    """Return the id of the object that a name stands for, or None."""
    return output(folder, "rev-parse", "--verify", "--quiet", name, extra=extra)


def named(repository: Path) -> dict[str, str]:
    """Return the variable that names a repository: git may be set not to discover bare ones."""
    inside = repository / ".git"
    return {"GIT_DIR": str(inside if inside.exists() else repository)}


def show(repository: Path, version: str, path: str) -> str | None:
    """Return the text of a file in a version, or None if it is not there."""
    named_file = f"{version}:{path}"
    return output(repository, "cat-file", "blob", named_file, extra=named(repository))


def repository_above(folder: Path) -> Path | None:
    """Return the nearest folder, from this one up, that is a git work tree."""
    real = folder.resolve()  # the parents of `../project`, as written, are other folders
    return next((up for up in (real, *real.parents) if os.path.lexists(up / ".git")), None)


def has_identity(folder: Path) -> bool:
    """Say whether git has a name and an address to commit with."""
    lines = (output(folder, "config", "--get-regexp", r"^user\.(name|email)$") or "").splitlines()
    configured = {key: value for key, _, value in (line.partition(" ") for line in lines)}
    name = os.environ.get("GIT_AUTHOR_NAME") or configured.get("user.name")
    email = os.environ.get("GIT_AUTHOR_EMAIL") or configured.get("user.email")
    return bool(name and email)


def commit_all(folder: Path, message: str) -> bool:
    """Commit everything in a folder; return False if git knows no user, so that Rung is the author."""
    known = has_identity(folder)
    settings = QUIET if known else QUIET | RUNG_IDENTITY
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "--no-verify", "-m", message, settings=settings)
    return known


def start(folder: Path, message: str) -> bool:
    """Make a folder a repository with one commit on branch main; return what `commit_all` returns."""
    run(folder, "init", "--quiet", "--initial-branch=main")
    return commit_all(folder, message)


def prefix(top: Path, folder: Path) -> str:
    """Return the path of a folder below its repository's root; empty for the root itself."""
    below = folder.resolve().relative_to(top.resolve()).as_posix()
    return "" if below == "." else below


def blobs(output: str, oids: Iterable[str]) -> dict[str, bytes]:
    """Split the output of `cat-file --batch` into blobs, in this order."""
    stream, contents, at = output.encode("utf-8", "surrogateescape"), {}, 0
    for oid in oids:
        head = stream.index(b"\n", at)
        facts = stream[at:head].split()
        if len(facts) != 3:
            raise lacks(oid)
        size = int(facts[2])
        contents[oid] = stream[head + 1 : head + 1 + size]
        at = head + size + 2
    return contents


def lacks(oid: str) -> RungError:
    """Return the error for an object that is missing in a repository."""
    return RungError(
        f"The repository lacks the object {oid}.\n"
        "`git fsck` lists what is missing; a fresh clone brings it back."
    )


READ_BY_GIT = frozenset({".gitattributes", ".gitignore", ".gitmodules"})


def root(folder: Path) -> Path | None:
    """Return the root of the work tree that a folder is in, or None if it is in none.

    Raises:
        RungError: Git refuses the repository, it has no work tree or one elsewhere, or some of its
            objects are on another machine.
    """
    top = repository_above(folder)
    if top is None:
        if folder.is_dir() and output(folder, "rev-parse", "--is-bare-repository") == "true":
            raise RungError(
                f"{folder} is a bare repository, which has no files to work on.\n"
                "Clone it, then run the command in the clone."
            )
        return None
    require()
    _refuse_pipes(top)
    refuse_unreadable(top)
    _refuse_elsewhere(top)
    _refuse_partial(top)
    return top


def _refuse_pipes(top: Path) -> None:
    """Raise a RungError for a pipe in the place of a file that git reads, where it would block."""
    for folder, folders, names in os.walk(top):
        for name in READ_BY_GIT.intersection(names):
            file = Path(folder, name)
            if file.exists() and not file.is_file():
                raise RungError(f"{file} is not a file, and git would read it. Remove it.")
        # Git does not look below what is ignored everywhere.
        below = Path(folder)
        ignored = below != top and ("pyvenv.cfg" in names or below.name == "node_modules")
        folders[:] = [] if ignored else [name for name in folders if name != ".git"]


def refuse_unreadable(top: Path) -> None:
    """Raise a RungError if git refuses a repository altogether."""
    done = completed(top, "rev-parse", "--git-dir")
    if not done.returncode:
        return
    message = done.stderr.decode(errors="replace").strip()
    if "dubious ownership" in message:
        raise RungError(
            f"{top} belongs to another user, so git does not read it.\n"
            f"If you trust it: `git config --global --add safe.directory {shlex.quote(str(top))}`."
        )
    raise RungError(f"Git cannot read the repository {top}:\n{message}")


def _refuse_elsewhere(top: Path) -> None:
    """Raise a RungError if the repository's work tree is another folder, or it has none."""
    if output(top, "rev-parse", "--is-bare-repository") == "true":
        raise RungError(
            f"{top} is set up as a bare repository (`core.bare`), so git has no files to work on.\n"
            "Run `git config --unset core.bare`, then run the command again."
        )
    shown = run(top, "rev-parse", "--show-toplevel").removesuffix("\n")
    if Path(shown).resolve() != top.resolve():
        raise RungError(
            f"The repository {top} keeps its files in {shown} (`core.worktree`).\n"
            "Run the command there, or run `git config --unset core.worktree`."
        )


def _refuse_partial(top: Path) -> None:
    """Raise a RungError for a partial clone; since 2.47 only the remote's settings show it."""
    listing = ("config", "--name-only", "-z", "--get-regexp", PARTIAL)
    keys = [key for key in (output(top, *listing) or "").split("\0") if key]
    if any(not key.endswith("filter") for key in keys):  # a filter alone means nothing
        forget = "".join(f"\n  git config --unset-all {shlex.quote(key)}" for key in keys)
        raise RungError(
            f"{top} is a partial clone, and what it lacks would have to be fetched.\n"
            f"Run these, then run the command again:\n  git fetch --refetch --no-filter{forget}"
        )
