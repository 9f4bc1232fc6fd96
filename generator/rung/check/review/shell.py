"""What a line of shell executes: without what it prints, searches, installs, describes or never reaches."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from rung.check.review import python_source, subprocess_calls
from rung.check.review.simple_commands import argv_of, is_quiet, script_of, without_names

LEXEME = re.compile(
    r"""(?P<escaped>\\.)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*+)"|(?P<blank>\s+)"""
    r"|(?P<variable>\$\([A-Z_0-9]+\)|\$\{[^{}]*\}|(?<![^\s;|&])\w+\+?=\([^()]*\))|(?P<opens>\$\(|`)"
    r"|(?P<operator>&&|\|\||;;|\|&|(?<![<>])&(?!>)|[;|()])"
    r"|(?P<comment>(?<![^\s;|&()])\#.*)|(?P<plain>[^\s'\"\\$`&|;()#]+|.)",
    re.DOTALL,
)
# Of GitHub; it may hold what looks like operators.
EXPRESSION = re.compile(r"\$\{\{([^{}]*)\}\}")
SUBSTITUTED = re.compile(r"\$\((?!\()|`")
LONGEST = 1_000  # characters of a command
DEEPEST = 6  # substitutions within one another

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

# Anything but settings: so the script is no library of functions.
ACTS = re.compile(r"^(?![ \t]*(?:$|#|set\b|export\b|readonly\b|source\b|\.\s|\w+=))", re.MULTILINE)


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
        argv = argv_of(without_names(tokens))
        head = argv[0] if argv else ""
        status = {"true": True, ":": True, "false": False}.get(head)
        if head == "exit" and operator in ("", ";") and not BRANCHES.search(text):
            return
        script = script_of(argv)
        if script is not None and head.startswith("python"):
            yield from (name for name, _ in _of_python(script))
        elif script is not None:
            yield from _executed(script, depth + 1)
        elif argv and not is_quiet(argv):
            yield " ".join(without_names(tokens))


def _of_python(text: str) -> Iterator[tuple[str, int]]:
    """Give the commands that Python code starts, and the functions that it calls, with their lines."""
    source = python_source.read(text)
    yield from subprocess_calls.commands(source)
    yield from ((f"{name}()", line) for name, line in source.calls.items() if name != "sys.exit")


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


def lines(script: str) -> Iterator[tuple[int, str]]:
    """Give each command of a script that can be reached, and the number of its first line, from 0.

    What goes on in the next line is joined; the text of a here-document is a command only where a
    shell or Python reads it; nothing follows an `exit`.
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
        yield first, text[:LONGEST]
        reader = INTERPRETER.search(executed(text[: document.start()])) if document else None
        if reader and reader["python"]:
            code = "\n".join(all_lines[index:end])
            yield from ((index + line - 1, command) for command, line in _of_python(code))
        elif reader:
            yield from ((number, all_lines[number].strip()) for number in range(index, end))
        index = end + 1 if end > index else index
        if depth <= 0 and EXITS.match(text):
            return


def _without_idle_functions(script: str) -> str:
    """Return a script without the functions that it does not call; a library of them as it is."""
    if "()" not in script and "function" not in script:
        return script

    words = Counter(WORD.findall(script))

    def called(match: re.Match[str]) -> str:
        name = match["a"] or match["b"]
        if words[name] > WORD.findall(match[0]).count(name):
            return match[0]
        return "\n" * match[0].count("\n")

    rest = FUNCTION.sub("", script)
    if CALLS_ANY.search(rest) or not ACTS.search(rest):
        return script
    return FUNCTION.sub(called, script)


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
