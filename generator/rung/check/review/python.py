"""Python source: imports, calls, commands, functions, and lines that never run (decision 61).

Imports, calls and text come from tokens, so that Python 2, notebooks with `%magic` and files that do
not parse are read as well, and because `ast` takes six times as long (tokens: 0.12 s per megabyte).
Functions and lines that never run come from `ast`, only in files where they matter.
"""

import ast
import re
import warnings
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

# A string reaches to its end or, without one, to the end of the line or file, so that no character
# is read twice. Three quotes begin a string unless a word precedes them that is no prefix. The
# patterns begin with rare characters, which makes the search fast.
TOKEN = re.compile(
    r"(#[^\n]*+"
    r'|"""(?:(?<!\w""")|(?<=\b[rbuRBUfF]""")|(?<=\b[rbuRBUfF]{2}"""))'
    r'[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+(?:""")?'
    r"|'''(?:(?<!\w''')|(?<=\b[rbuRBUfF]''')|(?<=\b[rbuRBUfF]{2}'''))"
    r"[^'\\]*+(?:(?:\\.|'(?!''))[^'\\]*+)*+(?:''')?"
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?'
    r"|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'?)",
    re.DOTALL,
)
PREFIX = re.compile(r"(?<!\w)[rbuRBUfF]{1,2}\Z")
PREFIXES = frozenset("rbuRBUfF")
IMPORT = re.compile(
    r"\n[ \t]*+(?:from[ \t]+(?P<module>\.*[\w.]*)[ \t]+import[ \t]*(?P<names>\([^)]{0,4000}\)|[^\n;]*)"
    r"|import[ \t]+(?P<modules>[^\n;]*))"
)
CALL = re.compile(r"\([ \t]*+([\w.]++)(?<=[A-Za-z_.])")  # in reversed code
DEFINED = re.compile(r"\b(?:def|class)[ \t]+\Z")
DERIVED = re.compile(r"\n[ \t]*+class[ \t]+\w+[ \t]*\(([^)]{0,1000})\)")
DECORATOR = re.compile(r"\n[ \t]*+@[ \t]*([\w.]+)")
NAME = re.compile(r"[A-Za-z_][\w.]*")
KEYWORD_NAMES = "import if elif while and or not in return yield await print"
KEYWORDS = frozenset(KEYWORD_NAMES.split())
MAX_CALLS = 20_000  # per file
DEFINITION = re.compile(r"(def(?<!\wdef)[ \t]+\w+)\(")

# Calls that start commands, and their arguments.
STARTS = re.compile(
    r"\b(?:(?:session\.run\w*)\((?P<arguments>[^)]{0,1000})\)"
    r"|(?:subprocess\.(?:run|call)|check_call|check_output|Popen|os\.system|(?:c|ctx|context)\.run)"
    r"\([ \t\n]*(?:(?P<list>\[[^\]]{0,2000}\])|(?P<text>[^\n]{0,1000})))"
)
# Statements that start a command and go on whatever it returns.
ARGUMENTS = r"\((?P<{0}>(?:[^()]++|\([^()]*+\))*+)\)"
DROPS = re.compile(
    rf"^[ \t]*(?:(?:subprocess\.(?:run|call|Popen)|os\.system){ARGUMENTS.format('plain')}"
    rf"|(?:c|ctx|context|session)\.run\w*{ARGUMENTS.format('checked')})"
    r"(?!\s*(?:[.,)\]}<>=!]|(?:and|or)\b))",  # in a larger expression, which sees what it returns
    re.MULTILINE,
)
CHECKS = re.compile(r"\bcheck[ \t]*=[ \t]*True")
TOLERATES = re.compile(r"\bwarn[ \t]*=[ \t]*True|\bsuccess_codes[ \t]*=[^=]*\b1\b")
# Calls of the team's own functions whose names suggest that they run a command.
RUNS = r"\b\w*(?:run|exec|call|popen|output|command|cmd)\w*\([ \t\n]*"
PASSED = re.compile(rf"{RUNS}(?:(?P<list>\[[ \t\n]*[\"'][^\]]{{0,2000}}\])|(?P<name>\w+))")
ASSIGNED = re.compile(
    r"^[ \t]*(?P<name>\w+)[ \t]*(?::[^=\n]{0,60})?=[ \t]*(?P<list>\[[ \t\n]*[\"'][^\]]{0,2000}\])",
    re.MULTILINE,
)
QUOTED = re.compile(r"""["']([^"'\n]*)["']""")

# Functions, and lines that never run.
MAGIC = re.compile(r"^([ \t]*)[%!?].*", re.MULTILINE)  # in a notebook
MAX_DEPTH = 60  # nested blocks
MAX_FOLLOWED = 40  # functions that a function leads to
# The patterns begin with letters, which makes the search fast.
MAY_SKIP = re.compile(
    r"\.xfail\(|@skip|\.skip(?:[iI]f\(|Unless\(|\b(?:(?<=\bmark\.skip)|(?<=\bunittest\.skip))|\((?<=pytest\.skip\()|Test\((?<=self\.skipTest\())"
)
MAY_BE_IDLE = (
    re.compile(r"if(?<!\wif)[ \t]+(?:False|0)[ \t]*:"),
    re.compile(r"TYPE_CHECKING[ \t]*:"),
)
# A top-level statement, recognised by its indentation.
STATEMENT = re.compile(
    r"^(?:@[^\n]*\n)*+[^\s#)\]}@][^\n]*+"
    r"(?:\n(?:(?:[^\S\n]|[#)\]}]|el(?:se|if)\b|except\b|finally\b)[^\n]*+)?+(?![^\n]))*+",
    re.MULTILINE,
)
SKIPS_THE_MODULE = ("pytestmark", "allow_module_level")
FALSE = re.compile(r"False|0|(?:typing\.)?TYPE_CHECKING")
SKIP = re.compile(
    r"(?:(?:pytest\.)?mark\.|unittest\.|\A)"
    r"(?:skip(?![\w.])|skip[iI]f\((?:condition=)?(?:True|1|'True'|'1')(?=[,)])"
    r"|skipUnless\((?:False|0)(?=[,)])|xfail\((?:.*\W)?run=False\b)"
)
SKIPS = re.compile(r"pytest\.skip\(|self\.skipTest\(")

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function of a file and its lines or, with an empty name, the code outside of functions."""

    name: str
    lines: frozenset[int]
    nodes: tuple[ast.stmt, ...]

    @cached_property
    def calls(self) -> frozenset[str]:
        """Names of the functions and of the object's own methods that are called.

        Those that a decorator takes count, as `@task(build)` of Invoke, and those that nox notifies.
        """
        called = set()
        waiting: list[ast.AST] = list(self.nodes)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Call):
                function = node.func
                if isinstance(function, ast.Name):
                    called.add(function.id)
                elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                    called |= {function.attr} if function.value.id in ("self", "cls") else set()
                    if function.attr == "notify":
                        constants = (name for name in node.args if isinstance(name, ast.Constant))
                        called |= {str(name.value) for name in constants}
            if isinstance(node, Definition):
                calls = [call for call in node.decorator_list if isinstance(call, ast.Call)]
                taken = (part for call in calls for part in ast.walk(call) if part is not call.func)
                called |= {part.id for part in taken if isinstance(part, ast.Name)}
            if self.name or not isinstance(node, Definition):
                waiting.extend(ast.iter_child_nodes(node))
        return frozenset(called)


class Source:
    """The source of a Python file. Strings and comments are told from code only if necessary.

    Attributes:
        raw: The source as written.
        aliases: Full names of what is imported, by its name in the file.
    """

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self.aliases: dict[str, str] = {}

    @cached_property
    def text_and_code(self) -> tuple[str, str]:
        """The source without comments and docstrings, and also without the content of strings.

        Line numbers are kept.
        """
        return _split(self.raw)

    @property
    def text(self) -> str:
        """The source without comments and docstrings; line numbers are kept."""
        return self.text_and_code[0]

    @property
    def code(self) -> str:
        """The text without the content of strings."""
        return self.text_and_code[1]

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.split("\n")

    @cached_property
    def calling(self) -> list[str]:
        """The lines of the text, in which a call differs from a definition."""
        return DEFINITION.sub(r"\1 (", self.text).split("\n")

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(line) + 1 for line in self.code.split("\n"))][:-1]

    def line(self, position: int) -> int:
        """Return the line number, from 1, of a position in the code."""
        return bisect_right(self._starts, position)

    @cached_property
    def imports(self) -> dict[str, int]:
        """Imported dotted names, relative ones with their leading dots, and their lines."""
        imports: dict[str, int] = {}
        for match in IMPORT.finditer(f"\n{self.code}"):
            line = self.line(match.start())
            for name, alias in _imported(match.groupdict()):
                imports.setdefault(name, line)
                if alias:
                    self.aliases[alias] = name
        return imports

    @cached_property
    def calls(self) -> dict[str, int]:
        """Dotted names that are called, used as decorator or base class, and their first lines."""
        assert self.imports is not None  # reading the imports fills `aliases`
        calls: dict[str, int] = {}
        for name, position in self._called():
            if len(calls) > MAX_CALLS:
                break
            first, dot, rest = name.partition(".")
            if first not in KEYWORDS:
                full = self.aliases.get(first, first) + dot + rest
                if full not in calls:
                    calls[full] = self.line(position)
        return calls

    @cached_property
    def called(self) -> frozenset[str]:
        """The last part of each name in `calls`."""
        return frozenset(name.rpartition(".")[2] for name in self.calls)

    def _called(self) -> Iterator[tuple[str, int]]:
        end = len(self.code)
        for match in reversed(list(CALL.finditer(self.code[::-1]))):
            name, position = match[1][::-1], end - match.end()
            after_blank = position and self.code[position - 1] in " \t"
            if after_blank and DEFINED.search(self.code, max(0, position - 30), position):
                continue
            if name != ".":
                yield name, position
        lines = f"\n{self.code}"
        for match in DERIVED.finditer(lines):
            for name in NAME.findall(match[1]):
                yield name, match.start()
        for match in DECORATOR.finditer(lines):
            yield match[1], match.start()

    @cached_property
    def commands(self) -> list[tuple[str, int]]:
        """Commands that the file starts, with their lines; only literal arguments are known."""
        text = self.text
        commands = {
            match.start(): match["arguments"]
            or match["list"]
            or (match["text"] or "").partition(", ")[0]
            for match in STARTS.finditer(text)
        }
        if "subprocess" in text:  # a function of the file may start the command that it is passed
            passed = list(PASSED.finditer(text))
            names = {match["name"] for match in passed}
            listed = [match for match in passed if match["list"]]
            listed += [match for match in ASSIGNED.finditer(text) if match["name"] in names]
            known = set(commands.values())
            commands |= {
                match.start("list"): match["list"] for match in listed if match["list"] not in known
            }
        return [
            (command, text.count("\n", 0, position) + 1)
            for position, arguments in sorted(commands.items())
            if (command := " ".join(QUOTED.findall(arguments)))
        ]

    @cached_property
    def dropped(self) -> frozenset[int]:
        """The lines of statements that start a command and go on whatever it returns."""
        return frozenset(
            self.text.count("\n", 0, match.end() - len(match[0].lstrip())) + 1
            for match in DROPS.finditer(self.text)
            if (match["plain"] is not None and not CHECKS.search(match["plain"]))
            or TOLERATES.search(match["checked"] or "")
        )

    @cached_property
    def statements(self) -> list[tuple[int, str]]:
        """What look like the top-level statements, by their indentation, with their first lines."""
        statements = []
        line, position = 1, 0
        for match in STATEMENT.finditer(self.raw):
            line += self.raw.count("\n", position, match.start())
            position = match.start()
            statements.append((line, match[0]))
        return statements

    @cached_property
    def trees(self) -> list[tuple[int, ast.Module]]:
        """The file parsed by `ast`, or those of its top-level statements that parse; first lines."""
        if whole := _parse(self.raw):
            return [(1, whole)]
        return [(line, tree) for line, text in self.statements if (tree := _parse(text))]

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Functions by name, and under an empty name the code outside of them.

        Lines that do not parse are outside of functions.
        """
        functions: dict[str, Function] = {}
        outside = set(range(1, self.raw.count("\n") + 2))
        for first, tree in self.trees:
            for node in _statements(tree):
                if isinstance(node, Definition):
                    last = node.end_lineno or node.lineno
                    lines = frozenset(range(first - 1 + node.lineno, first + last))
                    functions[node.name] = Function(node.name, lines, (node,))
                    outside -= lines
        body = tuple(node for _, tree in self.trees for node in tree.body)
        functions[""] = Function("", frozenset(outside), body)
        return functions

    def idle_lines(self, lines: Collection[int], is_test: bool) -> frozenset[int]:
        """Return the lines that never run: below a false condition, or in skipped tests.

        The file is parsed only if one of the lines with matches may be idle.
        """
        patterns = [*MAY_BE_IDLE, MAY_SKIP] if is_test else MAY_BE_IDLE
        if not any(pattern.search(self.raw) for pattern in patterns):
            return frozenset()
        doubtful = [
            range(first, first + text.count("\n") + 1)
            for first, text in self.statements
            if any(pattern.search(text) for pattern in patterns)
        ]
        skips = is_test and any(mark in self.raw for mark in SKIPS_THE_MODULE)
        if not skips and not any(line in part for part in doubtful for line in lines):
            return frozenset()
        idle: set[int] = set()
        try:
            for first, tree in self.trees:
                if is_test and any(map(_skips_the_module, tree.body)):
                    return frozenset(range(1, self.raw.count("\n") + 2))
                idle.update(first + line - 1 for line in _idle_lines(tree, is_test))
        except RecursionError:  # an expression nests too deep for ast.unparse
            return frozenset()
        return frozenset(idle)


def _parse(text: str) -> ast.Module | None:
    """Parse a file or statement, in a notebook without magic; None if it does not parse."""
    for code in (text, MAGIC.sub(r"\1pass", text)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _idle_lines(tree: ast.Module, is_test: bool) -> Iterator[int]:
    for node in _statements(tree):
        if isinstance(node, ast.If) and FALSE.fullmatch(ast.unparse(node.test)):
            yield from range(node.lineno, (node.body[-1].end_lineno or 0) + 1)
        elif is_test and isinstance(node, Definition | ast.ClassDef) and _is_skipped(node):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield from range(first, (node.end_lineno or 0) + 1)


def _imported(parts: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield each name that an import statement imports, and its name in the file, if any."""
    module = parts["module"]
    if module is None:
        for part in (parts["modules"] or "").split(","):
            names = part.split()
            if names:
                yield names[0], names[2] if len(names) > 2 else ""
        return
    yield module, ""
    for part in (parts["names"] or "").strip("()\\ \t").split(","):
        names = part.replace("\\", " ").split()
        if names and names[0] != "*":
            yield module + ("" if module.endswith(".") else ".") + names[0], names[-1]


def _split(text: str) -> tuple[str, str]:
    """Return Python without comments and docstrings, and also without the content of strings."""
    pieces = TOKEN.split(text)  # strings and comments at odd indexes, the code between at even ones
    code = pieces.copy()
    counted = depth = 0
    line_start = True  # whether only blanks precede the token on its line
    for at in range(1, len(pieces), 2):
        token, between = pieces[at], pieces[at - 1]
        if token[0] == "#":
            pieces[at] = code[at] = ""
            continue
        if between[-1:] in PREFIXES and (
            prefix := PREFIX.search(between, max(0, len(between) - 2))
        ):
            between = code[at - 1] = between[: prefix.start()]
        if between and not between[-1].isspace():
            line_start = False
        else:
            _, broken, before = between.rpartition("\n")
            line_start = not before.strip() and (bool(broken) or line_start)
        lines = "\n" * token.count("\n")
        if line_start:
            between_strings = "".join(code[counted:at])
            depth += sum(map(between_strings.count, "([{"))
            depth -= sum(map(between_strings.count, ")]}"))
            counted = at
            if depth <= 0:  # outside of brackets: a docstring
                pieces[at - 1] = between
                pieces[at] = code[at] = lines
                continue
        # Quotes remain, so that the code on both sides is not joined.
        code[at] = f"''{lines}"
        line_start = False
    return "".join(pieces), "".join(code)


def leads_to(function: Function, functions: Mapping[str, Function]) -> Iterator[Function]:
    """Yield a function and those of the same file that it leads to by calls."""
    visited = {function.name}
    waiting = [function]
    while waiting and len(visited) <= MAX_FOLLOWED:
        current = waiting.pop()
        yield current
        for name in sorted(current.calls & functions.keys() - visited):
            visited.add(name)
            waiting.append(functions[name])


def shortened(text: str, length: int) -> str:
    """Return a text with its lines cut to a number of characters."""
    end = -1  # of the last line known to be short enough
    while len(text) - end - 1 > length:
        end = text.rfind("\n", end + 1, end + length + 2)
        if end < 0:
            return "\n".join(line[:length] for line in text.split("\n"))
    return text


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of a file at any depth, in order."""
    waiting = [(statement, 0) for statement in reversed(tree.body)]
    while waiting:
        node, depth = waiting.pop()
        yield node
        if depth < MAX_DEPTH:
            blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
            for holder in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
                blocks.append(holder.body)
            below = [statement for block in blocks for statement in block]
            waiting += [(statement, depth + 1) for statement in reversed(below)]


def _is_skipped(node: Definition | ast.ClassDef) -> bool:
    if any(SKIP.match(ast.unparse(decorator)) for decorator in node.decorator_list):
        return True
    first = (statement for statement in node.body[:2] if isinstance(statement, ast.Expr))
    return any(SKIPS.match(ast.unparse(statement)) for statement in first)


def _skips_the_module(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        marks = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return marks == ["pytestmark"] and SKIP.search(ast.unparse(node.value)) is not None
    text = ast.unparse(node) if isinstance(node, ast.Expr) else ""
    return text.startswith("pytest.skip(") and "allow_module_level" in text
