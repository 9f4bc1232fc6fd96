"""What a line of shell executes: without what it prints, searches, installs, describes or never reaches."""

import re
from collections.abc import Iterator
from functools import lru_cache

LEXEME = re.compile(
    r"""(?P<escaped>\\.)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*+)"|(?P<blank>\s+)"""
    r"|(?P<variable>\$\([A-Z_0-9]+\)|\$\{[^{}]*\})|(?P<opens>\$\(|`)"
    r"|(?P<operator>&&|\|\||;;|\|&|(?<![<>])&(?!>)|[;|()])"
    r"|(?P<comment>(?<![^\s;|&()])\#.*)|(?P<plain>[^\s'\"\\$`&|;()#]+|.)",
    re.DOTALL,
)
# Of GitHub; it may hold what looks like operators.
EXPRESSION = re.compile(r"\$\{\{([^{}]*)\}\}")
SUBSTITUTED = re.compile(r"\$\((?!\()|`")
ASSIGNED = re.compile(r"\w+\+?=")
LONGEST = 1_000  # characters of a command
DEEPEST = 6  # substitutions within one another

KEYWORDS = {"then", "do", "else", "if", "elif", "while", "until", "!", "{", "}"}
# They start what follows them.
WRAPPERS = {"sudo", "env", "nice", "exec", "nohup", "time", "timeout", "builtin", "stdbuf"}
RUNNERS = {"uv", "poetry", "pipenv", "pdm", "rye", "pixi", "conda", "mamba", "micromamba", "hatch"}
# What they are given is text or a name, whatever it says.
QUIET_NAMES = (
    "echo printf print grep egrep fgrep zgrep rg ag ack test [ [[ : true false export "
    "declare local readonly alias unset set cat less more head tail wc ls rm mkdir rmdir "
    "touch cp mv ln chmod chown stat file which type whereis hash man help sed awk sort "
    "uniq cut tr diff tee cd pushd popd read sleep exit return trap jq yq curl wget for "
    "case select logger date pwd tree du df tar zip unzip gzip gunzip write-host "
    "write-output write-information "
)
QUIET = set(QUIET_NAMES.split())
QUIET_PARTS = {
    "git": {
        "commit",
        "log",
        "tag",
        "config",
        "grep",
        "branch",
        "checkout",
        "add",
        "diff",
        "rm",
        "mv",
    },
    "gh": {"pr", "issue", "release", "label", "api"},
    "glab": {"mr", "issue", "release"},
    "make": {"-n", "--just-print", "--dry-run"},
    "command": {"-v", "-V"},
}
INSTALLER_NAMES = (
    "pip pip3 pipx npm yarn pnpm apt apt-get apk yum dnf brew gem cargo go pre-commit prek choco "
)
INSTALLERS = RUNNERS | set(INSTALLER_NAMES.split())
INSTALLS = {"install", "add", "i"}
TRIES = ("--help", "--version", "--dry-run", "--dry", "--collect-only")  # and does nothing
INTERPRETER = re.compile(r"\b(?:ba|z|da)?sh\b|\bpython[\d.]*\b|\bssh\b")
HEREDOC = re.compile(r"(?<!<)<<-?\s*(['\"]?)(\w+)\1")
BEGINS = re.compile(r"(?:^|[;&|]\s*)(?:if|for|while|until|case)\b")
ENDS = re.compile(r"(?:^|[;&|]\s*)(?:fi|done|esac)\b")


@lru_cache(maxsize=50_000)
def executed(command: str) -> str:
    """Return what a command executes, its simple commands joined by semicolons, quotes taken away."""
    return " ; ".join(_executed(EXPRESSION.sub(_expression, command[:LONGEST]), 0))


def _expression(match: re.Match[str]) -> str:
    return "${" + re.sub(r"[^\w.]+", "_", match[1].strip()) + "}"


def _executed(text: str, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        return
    status: bool | None = None  # of the last command, where it is known
    never = False
    for operator, tokens, inner in _commands(text):
        first = tokens[0] if tokens else ""
        if never:
            never = first not in ("fi", "done", "else", "elif")
            continue
        if (operator == "&&" and status is False) or (operator == "||" and status is True):
            continue
        never = first in ("if", "while") and tokens[1:2] == ["false"]
        for each in inner:
            yield from _executed(each, depth + 1)
        argv = _argv(tokens)
        head = argv[0] if argv else ""
        status = {"true": True, ":": True, "false": False}.get(head)
        if head in ("bash", "sh", "zsh") and "-c" in argv[:-1]:
            yield from _executed(argv[argv.index("-c") + 1], depth + 1)
        elif argv and not _is_quiet(head, argv):
            yield " ".join(tokens)


def _commands(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Give each simple command: the operator before it, its tokens, and what it substitutes."""
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


def _closing(text: str, position: int, opened: str) -> int:
    """Return where a substitution ends that begins at a position."""
    if opened == "`":
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


def _argv(tokens: list[str]) -> list[str]:
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
        else:
            return [first.rpartition("/")[2].lower(), *argv[1:]]
    return []


def _is_quiet(head: str, tokens: list[str]) -> bool:
    if head in QUIET or not QUIET_PARTS.get(head, set()).isdisjoint(tokens[1:3]):
        return True
    if any(token.partition("=")[0] in TRIES for token in tokens[1:]):
        return True
    if head.startswith("python") and tokens[1:2] == ["-m"]:
        tokens = tokens[2:]
        head = tokens[0] if tokens else ""
    return head in INSTALLERS and not INSTALLS.isdisjoint(tokens[1:4])


def lines(script: str) -> Iterator[tuple[int, str]]:
    """Give each command of a script that can be reached, and the number of its first line, from 0.

    What goes on in the next line is joined; the text of a here-document is a command only where a
    shell or Python reads it; nothing follows an `exit`.
    """
    all_lines = script.split("\n")
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
        yield first, text[:LONGEST]
        if document and INTERPRETER.search(text[: document.start()]):
            yield from ((number, all_lines[number].strip()) for number in range(index, end))
        index = end + 1 if end > index else index
        if depth <= 0 and re.fullmatch(r"exit(?:\s+\d+)?;?", text):
            return


def _joined(all_lines: list[str], index: int) -> tuple[str, int]:
    """Return the command that begins in a line, and the number of the line after it."""
    text = all_lines[index].strip()
    index += 1
    if text.startswith("#"):
        return "", index
    while text.endswith("\\") and index < len(all_lines) and len(text) < LONGEST:
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
    """Return the quote that a line opens and does not close."""
    for match in LEXEME.finditer(text[:LONGEST]):
        if match["plain"] in ("'", '"'):
            return str(match["plain"])
    return ""


def _end(all_lines: list[str], index: int, tag: str) -> int:
    """Return the line in which a here-document ends; the line given where it does not."""
    for number in range(index, len(all_lines)):
        if all_lines[number].strip() == tag:
            return number
    return index
