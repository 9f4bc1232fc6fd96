"""Shell commands, without those that only print, search or install, and those never reached."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise, takewhile

from rung.check.review import python

LEXEME = re.compile(
    r"""(?P<escaped>\\.)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*+)"|(?P<blank>\s+)"""
    r"|(?P<variable>\$\([A-Z_0-9]+\)|\$\{[^{}]*\}|(?<![^\s;|&])\w+\+?=\([^()]*\))|(?P<opens>\$\(|`)"
    r"|(?P<operator>&&|\|\||;;|\|&|(?<![<>])&(?!>)|[;|()])"
    r"|(?P<comment>(?<![^\s;|&()])\#.*)|(?P<plain>[^\s'\"\\$`&|;()#]+|.)",
    re.DOTALL,
)
# An expression of GitHub, which may contain what looks like shell operators.
EXPRESSION = re.compile(r"\$\{\{([^{}]*)\}\}")
SUBSTITUTED = re.compile(r"\$\((?!\()|`")
MAX_LENGTH = 1_000  # characters of a command
MAX_DEPTH = 6  # nested substitutions

INTERPRETER = re.compile(r"(?<![\w.])(?:(?P<python>python[\d.]*)|(?:ba|z|da)?sh|ssh)(?![\w.])")
HEREDOC = re.compile(r"(?<!<)<<-?\s*(['\"]?)(\w+)\1")
BEGINS = re.compile(r"(?:^|[;&|]\s*)(?:if|for|while|until|case)\b")
ENDS = re.compile(r"(?:^|[;&|]\s*)(?:fi|done|esac)\b")
BRANCHES = re.compile(r"\b(?:if|for|while|until|case)\b|[({]")
EXITS = re.compile(r"exit(?:\s+[\d$?]+)?\s*(?:$|;|&&|#)")
FUNCTION = re.compile(
    r"^([ \t]*+)(?:function[ \t]++(?P<a>[\w-]++)(?:[ \t]*\(\))?|(?P<b>[\w-]++)[ \t]*\([ \t]*\))\s*\{"
    r"(?:[^\n]*\}[ \t]*$|[^\n]*+(?:\n(?!\1\})[^\n]*+){0,500}+\n\1\})",
    re.MULTILINE,
)
WORD = re.compile(r"[\w-]+")
CALLS_ANY = re.compile(r"""^[ \t]*["']?\$(?:[@*1]|\{[@*1])""", re.MULTILINE)

# A line that is no setting: the script is then no library of functions.
ACTS = re.compile(r"^(?![ \t]*(?:$|#|set\b|export\b|readonly\b|source\b|\.\s|\w+=))", re.MULTILINE)

SHELLS = ("bash", "sh", "zsh", "dash")
ASSIGNED = re.compile(r"\w+\+?=")

# The options of `set` and of a shell, with which a script ends once a command fails or goes on.
ERREXIT = re.compile(r"(?:^|\s)([-+])(?:[^\We]*+e\w*+|\w*o\s+errexit)(?![\w-])")
# Options with which a program succeeds whatever it finds.
EXIT_ZERO = re.compile(
    r"--(?:exit-zero|exit-code[= ]0|ignore-errors|continue-on-error|soft-fail|no-fail)(?!\S)"
    r"|^make .*(?<=\s)-[a-hj-z]*+i[a-z]*+(?!\S)"
)
DECIDES = ("false", "wait", "test", "[", "[[", "grep", "diff")
CONDITIONS = ("if", "elif", "while", "until")
ENDS_CONDITION = (["fi"], ["done"])

KEYWORDS = {"then", "do", "else", "if", "elif", "while", "until", "!", "{", "}"}
# Commands that start the command that follows them.
WRAPPER_NAMES = "sudo env nice exec eval nohup time timeout builtin stdbuf xargs uvx"
WRAPPERS = set(WRAPPER_NAMES.split())
RUNNER_NAMES = "uv poetry pipenv pdm rye pixi conda mamba micromamba hatch"
RUNNERS = set(RUNNER_NAMES.split())
STARTERS = RUNNERS | {"uvx", "run"}
# Options of these that take the name of a package or group.
NAMING = {"--with", "--from", "--extra", "--group", "--only-group", "--no-group", "--package"}
# Commands whose arguments are texts or names, never commands.
QUIET_NAMES = (
    "echo printf print grep egrep fgrep zgrep rg ag ack test [ [[ : true false export "
    "declare local readonly alias unset set cat less more head tail wc ls rm mkdir rmdir "
    "touch cp mv ln chmod chown stat file which type whereis hash man help sed awk sort "
    "uniq cut tr diff tee cd pushd popd read sleep exit return trap jq yq curl wget for "
    "case select logger date pwd tree du df tar zip unzip gzip gunzip write-host "
    "write-output write-information kill pkill killall pgrep scp rsync perl node ruby "
    "pip pip3 apt apt-get apk yum dnf brew gem choco"
)
QUIET = set(QUIET_NAMES.split())
# Modules of Python that only read the files in their arguments.
COMPILERS = {"py_compile", "compileall", "tabnanny"}
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
# Quiet unless one of these arguments follows.
ACTIVE_PARTS = {"git": {"lfs", "bisect"}, "find": {"-exec", "-execdir", "-ok", "-okdir"}}
INSTALLERS = RUNNERS | {"pipx", "npm", "yarn", "pnpm", "cargo", "go", "pre-commit", "prek"}
INSTALLS = {"install", "add", "i"}
# Commands that read the files in their arguments, and run none.
READER_NAMES = "ruff black isort flake8 pyflakes pycodestyle pylint mypy pyright bandit pydocstyle yamllint shellcheck"
READERS = set(READER_NAMES.split())
# Options with which a program does nothing.
DRY_RUN_NAMES = (
    "--help --version --dry-run --dry --collect-only --co --fixtures --markers --setup-plan"
)
DRY_RUNS = set(DRY_RUN_NAMES.split())


@lru_cache(maxsize=50_000)
def executed(command: str, enforced: bool = False, errexit: bool = True) -> str:
    """Return what a command executes: simple commands without quotes, joined by semicolons.

    Args:
        command: A line of a script.
        enforced: Whether to leave out commands whose failure is ignored, as by `|| true`.
        errexit: Whether the shell ends once a command fails.
    """
    text = EXPRESSION.sub(
        lambda match: "${" + re.sub(r"[^\w.]+", "_", match[1].strip()) + "}", command[:MAX_LENGTH]
    )
    return " ; ".join(_executed(text, 0, enforced, errexit))


def errexit_after(options: str, before: bool) -> bool:
    """Return whether a shell ends once a command fails, after options of `set` or of its own."""
    signs = ERREXIT.findall(options)
    return signs[-1] == "-" if signs else before


def _executed(text: str, depth: int, enforced: bool, errexit: bool) -> Iterator[str]:
    if depth > MAX_DEPTH:
        return
    status: bool | None = None  # of the last command, where it is known
    never = False
    commands = list(_commands(text))
    ignored = _ignored(commands) if enforced else [False] * len(commands)
    for number, (operator, tokens, inner) in enumerate(commands):
        first = tokens[0] if tokens else ""
        if never:
            never = first not in ("fi", "done", "else", "elif")
            continue
        if (operator == "&&" and status is False) or (operator == "||" and status is True):
            continue
        never = first in ("if", "while") and tokens[1:2] == ["false"]
        for substituted in inner:
            yield from _executed(substituted, depth + 1, enforced, errexit)
        argv = argv_of(without_names(tokens))
        head = argv[0] if argv else ""
        status = {"true": True, ":": True, "false": False}.get(head)
        if head == "exit" and operator in ("", ";") and not BRANCHES.search(text):
            return
        if head == "set":
            errexit = errexit_after(" ".join(argv), errexit)
        may_fail = ignored[number]
        if may_fail or (may_fail is None and not errexit):
            continue
        script = None if _checks_syntax(argv) else script_of(argv)
        if script is not None and head.startswith("python"):
            yield from (name for name, _ in _python_commands(script))
        elif script is not None:
            options = " ".join(argv[1 : argv.index(script)])
            yield from _executed(script, depth + 1, enforced, errexit_after(options, False))
        elif argv and not is_quiet(argv):
            yield " ".join(without_names(tokens))


def _ignored(commands: Sequence[tuple[str, list[str], list[str]]]) -> list[bool | None]:
    """Return for each command whether its failure is ignored, as that of `a` in `a || true`.

    None stands for a failure that is ignored unless the shell ends once a command fails.
    """
    ignored: list[bool | None] = []
    decisive = ""  # the next operator below that decides about a failure
    noted = False  # whether what follows the next `||` fails or notes the failure
    fails = fails_here = False  # whether a command below fails, and before the next semicolon
    ends = False  # whether the end of a condition is below
    for operator, tokens, _ in reversed(commands):
        argv = argv_of(tokens)
        options = " ".join(word for word in argv if " " not in word)
        if EXIT_ZERO.search(options) or tokens[:1] == ["!"]:
            ignored.append(True)
        elif tokens[:1] and tokens[0] in CONDITIONS:
            ignored.append(ends and not fails)  # else the lines below say what happens
        elif decisive == "||":
            ignored.append(not noted)
        elif decisive == "&" or not decisive:
            ignored.append(bool(decisive) and not fails)
        else:
            ignored.append(False if fails else None)
        own = _fails(argv)
        fails, fails_here, ends = fails or own, fails_here or own, ends or tokens in ENDS_CONDITION
        if operator == "||":
            decisive = operator
            noted = (fails if tokens[:1] == ["{"] else fails_here) or not (argv and is_quiet(argv))
        elif operator == "&" or (operator in (";", "(") and tokens != ["}"]):
            decisive = operator
        if operator == ";":
            fails_here = False
    return ignored[::-1]


def _fails(argv: list[str]) -> bool:
    """Return whether a command fails, or depends on whether another did."""
    head, *arguments = argv or [""]
    return head in DECIDES or (head in ("exit", "return") and arguments != ["0"])


def _python_commands(text: str) -> Iterator[tuple[str, int]]:
    """Yield the commands that Python code starts and the functions that it calls, with lines."""
    source = python.Source(text)
    yield from source.commands
    yield from ((f"{name}()", line) for name, line in source.calls.items() if name != "sys.exit")


def _commands(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield operator before, tokens and command substitutions of each simple command."""
    operator, token = "", ""
    tokens: list[str] = []
    inner: list[str] = []
    position = 0
    while match := LEXEME.match(text, position):
        position = match.end()
        kind, lexeme = str(match.lastgroup), match[0]
        if kind == "opens":
            end = _closing(text, position, lexeme)
            inner.append(text[position:end])
            position = end + 1
        elif kind in ("single", "double", "escaped", "variable", "plain"):
            token += match[kind] if kind in ("single", "double") else lexeme
            if kind == "double":
                inner += _substituted(match[kind])
        elif token:
            tokens.append(token)
            token = ""
        if kind == "operator":
            if tokens or inner:
                yield operator, tokens, inner
            operator, tokens, inner = lexeme, [], []
    if token:
        tokens.append(token)
    if tokens or inner:
        yield operator, tokens, inner


def _closing(text: str, position: int, opening: str) -> int:
    """Return the end of a command substitution that begins at a position."""
    if opening == "`":
        end = text.find("`", position)
        return end if end >= 0 else len(text)
    depth = 1
    for match in re.compile(r"[()]").finditer(text, position):
        depth += 1 if match[0] == "(" else -1
        if not depth:
            return match.start()
    return len(text)


def _substituted(text: str) -> list[str]:
    substituted = []
    position = 0
    while match := SUBSTITUTED.search(text, position):
        position = _closing(text, match.end(), match[0])
        substituted.append(text[match.end() : position])
        position += 1
    return substituted


def lines(script: str) -> Iterator[tuple[int, str]]:
    """Yield each command of a script that can be reached, and the number of its first line, from 0.

    Continued lines are joined. The text of a here-document counts only if a shell or Python reads
    it. Lines after an `exit` are skipped.
    """
    all_lines = _without_idle_functions(script).split("\n")
    index = depth = 0
    until = ""
    while index < len(all_lines):
        first = index
        text, index = _joined(all_lines, index)
        if until:
            until = "" if re.match(rf"{until}\b|else\b", text) else until
            continue
        if not text:
            continue
        if re.match(r"(?:if|while)\s+false\b(?!.*\b(?:fi|done)\b)", text):
            until = "fi" if text.startswith("if") else "done"
            continue
        depth += len(BEGINS.findall(text)) - len(ENDS.findall(text))
        depth += text.endswith("{") - text.startswith("}")
        document = HEREDOC.search(text)
        end = _end(all_lines, index, document[2]) if document else index
        yield first, text[:MAX_LENGTH]
        reader = INTERPRETER.search(executed(text[: document.start()])) if document else None
        if reader and reader["python"]:
            code = "\n".join(all_lines[index:end])
            yield from ((index + line - 1, command) for command, line in _python_commands(code))
        elif reader:
            yield from ((number, all_lines[number].strip()) for number in range(index, end))
        index = end + 1 if end > index else index
        if depth <= 0 and EXITS.match(text):
            return


def _without_idle_functions(script: str) -> str:
    """Return a script without functions that it does not call; a library of functions as it is."""
    if "()" not in script and "function" not in script:
        return script

    words = Counter(WORD.findall(script))

    def if_called(match: re.Match[str]) -> str:
        name = match["a"] or match["b"]
        if words[name] > WORD.findall(match[0]).count(name):
            return match[0]
        return "\n" * match[0].count("\n")

    rest = FUNCTION.sub("", script)
    if CALLS_ANY.search(rest) or not ACTS.search(rest):
        return script
    return FUNCTION.sub(if_called, script)


def _joined(all_lines: list[str], index: int) -> tuple[str, int]:
    """Return the command that begins in a line, and the number of the line after its end."""
    text = all_lines[index].strip()
    index += 1
    if text.startswith("#"):
        return "", index
    while text.endswith("\\") and index < len(all_lines) and len(text) < MAX_LENGTH:
        more = all_lines[index].strip()
        text = f"{text[:-1].rstrip()} {more}".strip() if not more.startswith("#") else text
        index += 1
    text = text.removesuffix("\\").rstrip()
    quote = _open_quote(text)
    if quote:
        for end in range(index, min(index + 40, len(all_lines))):
            if quote in all_lines[end]:
                return " ".join(
                    [text, *(line.strip() for line in all_lines[index : end + 1])]
                ), end + 1
    return text, index


def _open_quote(text: str) -> str:
    """Return the quote that a line opens and does not close, or nothing."""
    for match in LEXEME.finditer(text[:MAX_LENGTH]):
        if match["plain"] in ("'", '"'):
            return str(match["plain"])
    return ""


def _end(all_lines: list[str], index: int, tag: str) -> int:
    """Return the line in which a here-document ends; its first line if it does not end."""
    for number in range(index, len(all_lines)):
        if all_lines[number].strip() == tag:
            return number
    return index


def argv_of(tokens: list[str]) -> list[str]:
    """Return the program, without its path, and its arguments, without wrappers such as `sudo`."""
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
    """Return a command without names of packages and groups and files that are only read."""
    kept: list[str] = []
    before, of_runner = "", False  # whether an option here belongs to uv or a similar runner
    for token in tokens:
        of_runner = token in STARTERS or (of_runner and (token.startswith("-") or before in NAMING))
        if not of_runner or (before not in NAMING and token.partition("=")[0] not in NAMING):
            kept.append(token)
        before = token
    if next(iter(_of_module(argv_of(kept))), "") in READERS:
        return [token for token in kept if not re.search(r"\w\.\w+$", token)]
    return kept


def _of_module(argv: list[str]) -> list[str]:
    """Return a program and its arguments; of `python -m MODULE`, the module and its own."""
    is_module = argv[1:2] == ["-m"] and argv[0].startswith("python")
    return argv[2:] if is_module else argv


def is_quiet(argv: list[str]) -> bool:
    """Return whether a command starts nothing."""
    head, *rest = argv
    if (
        _checks_syntax(argv)
        or head in QUIET
        or not QUIET_PARTS.get(head, set()).isdisjoint(rest[:2])
    ):
        return True
    if head in ACTIVE_PARTS and ACTIVE_PARTS[head].isdisjoint(rest):
        return True
    if rest == ["-h"] or any(token.partition("=")[0] in DRY_RUNS for token in rest):
        return True
    head, *rest = _of_module(argv) or [""]
    return head in QUIET | COMPILERS or (head in INSTALLERS and not INSTALLS.isdisjoint(rest[:3]))


def _checks_syntax(argv: Sequence[str]) -> bool:
    """Return whether a shell only reads its script: `bash -n`."""
    options = list(takewhile(lambda word: word[:1] == "-", argv[1:]))
    return (
        bool(argv)
        and argv[0] in SHELLS
        and ("noexec" in argv or any(re.fullmatch(r"-\w*n\w*", option) for option in options))
    )


def script_of(argv: Sequence[str]) -> str | None:
    """Return the script that an interpreter gets with `-c`."""
    head = argv[0].rpartition("/")[2] if argv else ""
    if head in SHELLS or head.startswith("python"):
        for option, following in pairwise(argv[1:]):
            if re.fullmatch(r"-\w*c", option):
                return following
            if not option.startswith("-") and (head not in SHELLS or "." in option):
                break
    return None


def joined(arguments: Sequence[str]) -> str:
    """Return a list of arguments as a command; the script itself if it is for `sh -c`."""
    words = [argument for argument in arguments if argument]
    script = script_of(["sh", *words] if words[:1] == ["-c"] else words)
    if script is not None and not words[0].rpartition("/")[2].startswith("python"):
        return script
    return words[0] if len(words) == 1 else shlex.join(words)
