"""What a line of shell executes: without what it prints, searches, installs, describes or never reaches."""

import re
from collections.abc import Iterator
from functools import lru_cache

TOKEN = re.compile(
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
QUIET_WORDS = (
    "echo printf print grep egrep fgrep zgrep rg ag ack test [ [[ : true false export "
    "declare local readonly alias unset set cat less more head tail wc ls rm mkdir rmdir "
    "touch cp mv ln chmod chown stat file which type whereis hash man help sed awk sort "
    "uniq cut tr diff tee cd pushd popd read sleep exit return trap jq yq curl wget for "
    "case select logger date pwd tree du df tar zip unzip gzip gunzip write-host "
    "write-output write-information "
)
QUIET = set(QUIET_WORDS.split())
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
INSTALLERS_WORDS = (
    "pip pip3 pipx npm yarn pnpm apt apt-get apk yum dnf brew gem cargo go pre-commit prek choco "
)
INSTALLERS = RUNNERS | set(INSTALLERS_WORDS.split())
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


def _expression(found: re.Match[str]) -> str:
    return "${" + re.sub(r"[^\w.]+", "_", found[1].strip()) + "}"


def _executed(text: str, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        return
    status: bool | None = None  # of the last command, where it is known
    never = False
    for operator, words, inner in _commands(text):
        first = words[0] if words else ""
        if never:
            never = first not in ("fi", "done", "else", "elif")
            continue
        if (operator == "&&" and status is False) or (operator == "||" and status is True):
            continue
        never = first in ("if", "while") and words[1:2] == ["false"]
        for each in inner:
            yield from _executed(each, depth + 1)
        bare = _bare(words)
        head = bare[0] if bare else ""
        status = {"true": True, ":": True, "false": False}.get(head)
        if head in ("bash", "sh", "zsh") and "-c" in bare[:-1]:
            yield from _executed(bare[bare.index("-c") + 1], depth + 1)
        elif bare and not _is_quiet(head, bare):
            yield " ".join(words)


def _commands(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Give each simple command: the operator before it, its words, and what it substitutes."""
    operator, word = "", ""
    words: list[str] = []
    inner: list[str] = []
    place = 0
    while match := TOKEN.match(text, place):
        place = match.end()
        kind, said = str(match.lastgroup), match[0]
        if kind == "opens":
            end = _closing(text, place, said)
            inner.append(text[place:end])
            place = end + 1
        elif kind in ("single", "double", "escaped", "variable", "plain"):
            word += match[kind] if kind in ("single", "double") else said
            if kind == "double":
                inner += _substituted(match[kind])
        elif word:
            words.append(word)
            word = ""
        if kind == "operator":
            if words or inner:
                yield operator, words, inner
            operator, words, inner = said, [], []
    if word:
        words.append(word)
    if words or inner:
        yield operator, words, inner


def _closing(text: str, place: int, opened: str) -> int:
    """Return where a substitution ends that begins at a place."""
    if opened == "`":
        end = text.find("`", place)
        return end if end >= 0 else len(text)
    depth = 1
    for match in re.compile(r"[()]").finditer(text, place):
        depth += 1 if match[0] == "(" else -1
        if not depth:
            return match.start()
    return len(text)


def _substituted(text: str) -> list[str]:
    found = []
    place = 0
    while match := SUBSTITUTED.search(text, place):
        place = _closing(text, match.end(), match[0])
        found.append(text[match.end() : place])
        place += 1
    return found


def _bare(words: list[str]) -> list[str]:
    """Return the words of a command from the program on, its name without a path."""
    bare = list(words)
    while bare:
        first = bare[0].lstrip("@-+") if len(bare[0]) > 1 else bare[0]
        if first in KEYWORDS or ASSIGNED.match(first):
            del bare[0]
        elif first in WRAPPERS or (first in RUNNERS and bare[1:2] == ["run"]):
            del bare[: 1 if first in WRAPPERS else 2]
            while bare and (bare[0].startswith("-") or bare[0][:1].isdigit()):
                del bare[0]
        else:
            return [first.rpartition("/")[2].lower(), *bare[1:]]
    return []


def _is_quiet(head: str, words: list[str]) -> bool:
    if head in QUIET or not QUIET_PARTS.get(head, set()).isdisjoint(words[1:3]):
        return True
    if any(word.partition("=")[0] in TRIES for word in words[1:]):
        return True
    if head.startswith("python") and words[1:2] == ["-m"]:
        words = words[2:]
        head = words[0] if words else ""
    return head in INSTALLERS and not INSTALLS.isdisjoint(words[1:4])


def lines(script: str) -> Iterator[tuple[int, str]]:
    """Give each command of a script that can be reached, and the number of its first line, from 0.

    What goes on in the next line is joined; the text of a here-document is a command only where a
    shell or Python reads it; nothing follows an `exit`.
    """
    all_lines = script.split("\n")
    place = depth = 0
    until = ""
    while place < len(all_lines):
        first = place
        text, place = _joined(all_lines, place)
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
        end = _end(all_lines, place, document[2]) if document else place
        yield first, text[:LONGEST]
        if document and INTERPRETER.search(text[: document.start()]):
            yield from ((number, all_lines[number].strip()) for number in range(place, end))
        place = end + 1 if end > place else place
        if depth <= 0 and re.fullmatch(r"exit(?:\s+\d+)?;?", text):
            return


def _joined(all_lines: list[str], place: int) -> tuple[str, int]:
    """Return the command that begins in a line, and the number of the line after it."""
    text = all_lines[place].strip()
    place += 1
    if text.startswith("#"):
        return "", place
    while text.endswith("\\") and place < len(all_lines) and len(text) < LONGEST:
        more = all_lines[place].strip()
        text = f"{text[:-1].rstrip()} {more}".strip() if not more.startswith("#") else text
        place += 1
    text = text.removesuffix("\\").rstrip()
    quote = _open_quote(text)
    if quote:
        for end in range(place, min(place + 40, len(all_lines))):
            if quote in all_lines[end]:
                return " ".join(
                    [text, *(line.strip() for line in all_lines[place : end + 1])]
                ), end + 1
    return text, place


def _open_quote(text: str) -> str:
    """Return the quote that a line opens and does not close."""
    for match in TOKEN.finditer(text[:LONGEST]):
        if match["plain"] in ("'", '"'):
            return str(match["plain"])
    return ""


def _end(all_lines: list[str], place: int, tag: str) -> int:
    """Return the line in which a here-document ends; the place where it does not."""
    for number in range(place, len(all_lines)):
        if all_lines[number].strip() == tag:
            return number
    return place
