"""What a simple command starts, by its words: nothing, if its program only prints, reads or installs."""

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise

SHELLS = ("bash", "sh", "zsh", "dash")
ASSIGNED = re.compile(r"\w+\+?=")

KEYWORDS = {"then", "do", "else", "if", "elif", "while", "until", "!", "{", "}"}
# They start what follows them.
WRAPPERS = {
    "sudo",
    "env",
    "nice",
    "exec",
    "eval",
    "nohup",
    "time",
    "timeout",
    "builtin",
    "stdbuf",
    "xargs",
    "uvx",
}
RUNNERS = {"uv", "poetry", "pipenv", "pdm", "rye", "pixi", "conda", "mamba", "micromamba", "hatch"}
STARTERS = RUNNERS | {"uvx", "run"}
# Their options that take a word, which is the name of a package, a group or a folder.
NAMING = {"--with", "--from", "--extra", "--group", "--only-group", "--no-group", "--package"}
# What they are given is text or a name, whatever it says.
QUIET_NAMES = (
    "echo printf print grep egrep fgrep zgrep rg ag ack test [ [[ : true false export "
    "declare local readonly alias unset set cat less more head tail wc ls rm mkdir rmdir "
    "touch cp mv ln chmod chown stat file which type whereis hash man help sed awk sort "
    "uniq cut tr diff tee cd pushd popd read sleep exit return trap jq yq curl wget for "
    "case select logger date pwd tree du df tar zip unzip gzip gunzip write-host "
    "write-output write-information kill pkill killall pgrep scp rsync perl node ruby "
    "pip pip3 apt apt-get apk yum dnf brew gem choco "
)
QUIET = set(QUIET_NAMES.split())
QUIET_PARTS = {
    "gh": {"pr", "issue", "release", "label", "api"},
    "glab": {"mr", "issue", "release"},
    "make": {"-n", "--just-print", "--dry-run"},
    "command": {"-v", "-V"},
    "docker": {"pull", "tag", "push", "login", "logout", "rmi", "inspect", "images", "ps"},
    "podman": {"pull", "tag", "push", "login", "logout", "rmi", "inspect", "images", "ps"},
    "aws": {"s3", "s3api"},
    "tox": {"-l", "--listenvs", "--notest", "list", "config"},
    "nox": {"-l", "--list"},
    "just": {"-l", "--list"},
    "invoke": {"-l", "--list"},
    "inv": {"-l", "--list"},
    "snakemake": {"-n"},
    "uv": {"sync", "lock", "export", "remove", "python", "venv"},
    "pdm": {"sync", "lock", "export", "remove", "update", "venv"},
    "poetry": {"sync", "lock", "export", "remove", "update", "env"},
    "pipenv": {"sync", "lock", "uninstall", "update"},
    "conda": {"create", "env", "update", "activate"},
    "mamba": {"create", "env", "update", "activate"},
    "micromamba": {"create", "env", "update", "activate"},
}
# Others do, but for these parts.
ACTIVE_PARTS = {"git": {"lfs", "bisect"}, "find": {"-exec", "-execdir", "-ok", "-okdir"}}
INSTALLERS = RUNNERS | {"pipx", "npm", "yarn", "pnpm", "cargo", "go", "pre-commit", "prek"}
INSTALLS = {"install", "add", "i"}
# They read the files that they are given, and run none.
READER_NAMES = "ruff black isort flake8 pylint mypy pyright bandit pydocstyle yamllint shellcheck "
READERS = set(READER_NAMES.split())
# With one of these a program does nothing.
TRY_NAMES = (
    "--help --version --dry-run --dry --collect-only --co --fixtures --markers --setup-plan "
)
TRIES = set(TRY_NAMES.split())


def argv_of(tokens: list[str]) -> list[str]:
    """Return the arguments of a command from the program on, its name without a path."""
    argv = list(tokens)
    while argv:
        first = argv[0].lstrip("@-+") if len(argv[0]) > 1 else argv[0]
        if first in KEYWORDS or ASSIGNED.match(first):
            del argv[0]
        elif first in WRAPPERS or (first in RUNNERS and argv[1:2] == ["run"]):
            del argv[: 1 if first in WRAPPERS else 2]
            while argv and (argv[0].startswith("-") or argv[0][:1].isdigit()):
                del argv[0]
            if first in RUNNERS and argv[:1] == ["test"]:
                return ["run", *argv]  # a task of that name
        else:
            return [first.rpartition("/")[2].lower(), *argv[1:]]
    return []


def without_names(tokens: list[str]) -> list[str]:
    """Return a command without what it gives only a name or reads: packages, groups, files to check."""
    kept: list[str] = []
    before, of_runner = "", False  # whether an option here is one of uv's and the like
    for token in tokens:
        of_runner = token in STARTERS or (of_runner and (token.startswith("-") or before in NAMING))
        if not of_runner or (before not in NAMING and token.partition("=")[0] not in NAMING):
            kept.append(token)
        before = token
    head = next((token for token in argv_of(kept)[:1]), "")
    if head in READERS:
        return [token for token in kept if not re.search(r"\w\.\w+$", token)]
    return kept


def is_quiet(argv: list[str]) -> bool:
    """Say whether a command starts nothing."""
    head, *rest = argv
    if head in QUIET or not QUIET_PARTS.get(head, set()).isdisjoint(rest[:2]):
        return True
    if head in ACTIVE_PARTS and ACTIVE_PARTS[head].isdisjoint(rest):
        return True
    if rest == ["-h"] or any(token.partition("=")[0] in TRIES for token in rest):
        return True
    if head.startswith("python") and rest[:1] == ["-m"]:
        head, *rest = [*rest[1:], ""]
    return head in QUIET or (head in INSTALLERS and not INSTALLS.isdisjoint(rest[:3]))


def script_of(argv: Sequence[str]) -> str | None:
    """Return the program that an interpreter is given with -c."""
    head = argv[0].rpartition("/")[2] if argv else ""
    if head in SHELLS or head.startswith("python"):
        for option, following in pairwise(argv[1:]):
            if re.fullmatch(r"-\w*c", option):
                return following
            if not option.startswith("-") and (head not in SHELLS or "." in option):
                break
    return None


def joined(arguments: Sequence[str]) -> str:
    """Return what a list of arguments runs, as a line: the script where a shell is given one."""
    given = [argument for argument in arguments if argument]
    script = script_of(["sh", *given] if given[:1] == ["-c"] else given)
    if script is not None and not given[0].rpartition("/")[2].startswith("python"):
        return script
    return given[0] if len(given) == 1 else shlex.join(given)
