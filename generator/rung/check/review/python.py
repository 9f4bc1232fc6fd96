"""Python source: what it imports, calls and starts, its functions, and lines of it that never run.

Imports, calls and text are read by tokens, so that Python 2, notebooks with `%magic` and files that
do not parse are read as well, and because `ast` takes six times as long (decision 61): 0.12 s for a
megabyte. What only the structure shows is read with `ast`, of the few files for which it matters.
"""

import ast
import re
import warnings
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

# Each string runs to its end or, where it has none, to the end of the line or file, so that nothing
# is checked twice. Three quotes begin one unless a word other than a prefix precedes them. The
# patterns begin with a letter that is rare: up to there, the search for a match costs next to nothing.
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
    r"\n[ \t]*+(?:from[ \t]+(?P<of>\.*[\w.]*)[ \t]+import[ \t]*(?P<names>\([^)]{0,4000}\)|[^\n;]*)"
    r"|import[ \t]+(?P<modules>[^\n;]*))"
)
CALL = re.compile(r"\([ \t]*+([\w.]++)(?<=[A-Za-z_.])")  # in code that is turned round
DEFINED = re.compile(r"\b(?:def|class)[ \t]+\Z")
DERIVED = re.compile(r"\n[ \t]*+class[ \t]+\w+[ \t]*\(([^)]{0,1000})\)")
DECORATOR = re.compile(r"\n[ \t]*+@[ \t]*([\w.]+)")
NAME = re.compile(r"[A-Za-z_][\w.]*")
KEYWORD_NAMES = "import if elif while and or not in return yield await print"
KEYWORDS = frozenset(KEYWORD_NAMES.split())
MAX_CALLS = 20_000  # of one file
DEFINITION = re.compile(r"(def(?<!\wdef)[ \t]+\w+)\(")

# Commands that code starts, and their arguments.
STARTS = re.compile(
    r"\b(?:(?:session\.run\w*)\((?P<arguments>[^)]{0,1000})\)"
    r"|(?:subprocess\.(?:run|call)|check_call|check_output|Popen|os\.system|(?:c|ctx|context)\.run)"
    r"\([ \t\n]*(?:(?P<list>\[[^\]]{0,2000}\])|(?P<text>[^\n]{0,1000})))"
)
# The arguments of a function of the team's own whose name says that it runs something.
RUNS = r"\b\w*(?:run|exec|call|popen|output|command|cmd)\w*\([ \t\n]*"
PASSED = re.compile(rf"{RUNS}(?:(?P<list>\[[ \t\n]*[\"'][^\]]{{0,2000}}\])|(?P<name>\w+))")
ASSIGNED = re.compile(
    r"^[ \t]*(?P<name>\w+)[ \t]*(?::[^=\n]{0,60})?=[ \t]*(?P<list>\[[ \t\n]*[\"'][^\]]{0,2000}\])",
    re.MULTILINE,
)
QUOTED = re.compile(r"""["']([^"'\n]*)["']""")

# Structure.
MAGIC = re.compile(r"^([ \t]*)[%!?].*", re.MULTILINE)  # of a notebook
DEEPEST = 60  # blocks within one another
MAX_FOLLOWED = 40  # functions that one of them leads to
MAY_SKIP = re.compile(r"\b(?:mark|unittest)\.skip\b|pytest\.skip\(|self\.skipTest\(")
# Both begin with letters, which makes the search fast.
MAY_BE_IDLE = (
    re.compile(r"if(?<!\wif)[ \t]+(?:False|0)[ \t]*:"),
    re.compile(r"TYPE_CHECKING[ \t]*:"),
)
# A statement of the module, by its indentation.
STATEMENT = re.compile(
    r"^(?:@[^\n]*\n)*+[^\s#)\]}@][^\n]*+(?:\n(?:(?:[\s#)\]}]|el(?:se|if)\b|except\b|finally\b)[^\n]*+)?+(?![^\n]))*+",
    re.MULTILINE,
)
SKIPS_THE_MODULE = ("pytestmark", "allow_module_level")
FALSE = re.compile(r"False|0|(?:typing\.)?TYPE_CHECKING")
SKIP = re.compile(r"(?:pytest\.mark|unittest)\.skip(?![\w.])")
SKIPS = re.compile(r"pytest\.skip\(|self\.skipTest\(")

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function of a file, or, with an empty name, what the file does outside of functions.

    Attributes:
        name: Its name.
        lines: Numbers of its lines, from 1, with its `def`.
        nodes: Its statements.
    """

    name: str
    lines: frozenset[int]
    nodes: tuple[ast.stmt, ...]

    @cached_property
    def calls(self) -> frozenset[str]:
        """Names that it calls, methods of its own object among them."""
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
            if self.name or not isinstance(node, Definition):
                waiting.extend(ast.iter_child_nodes(node))
        return frozenset(called)


@dataclass
class Source:
    """A Python file.

    Attributes:
        text: Its text without comments and docstrings, with the lines where they were.
        code: The same without the content of strings.
        raw: The text as it is written.
        aliases: Names that imports give to what they bring.
    """

    text: str
    code: str
    raw: str = ""
    aliases: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(line) + 1 for line in self.code.split("\n"))][:-1]

    def line(self, position: int) -> int:
        """Return the number of the line, from 1, of a position in the code."""
        return bisect_right(self._starts, position)

    @cached_property
    def imports(self) -> dict[str, int]:
        """Dotted names that are imported, relative ones with their dots, and the line of each."""
        imports: dict[str, int] = {}
        line, position = 1, 0
        for match in IMPORT.finditer(f"\n{self.code}"):
            line += self.code.count("\n", position, match.start())
            position = match.start()
            for name, alias in _imported(match.groupdict()):
                imports.setdefault(name, line)
                if alias:
                    self.aliases[alias] = name
        return imports

    @cached_property
    def calls(self) -> dict[str, int]:
        """Dotted names that are called, that decorate or are derived from, and the first line."""
        assert self.imports is not None  # it fills the aliases
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
    def calling_text(self) -> str:
        """The text in which a call differs from a definition."""
        return DEFINITION.sub(r"\1 (", self.text)

    @cached_property
    def commands(self) -> list[tuple[str, int]]:
        """Each command that the file starts, and its line, without arguments that it computes."""
        text = self.text
        commands = {
            match.start(): match["arguments"]
            or match["list"]
            or (match["text"] or "").partition(", ")[0]
            for match in STARTS.finditer(text)
        }
        if "subprocess" in text:  # it may have a function that starts what it is passed
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
            for position, written in sorted(commands.items())
            if (command := " ".join(QUOTED.findall(written)))
        ]

    @cached_property
    def tree(self) -> ast.Module | None:
        """The file as `ast` reads it; None where it does not parse."""
        return _parse(self.raw)

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Functions by name, and the code outside of them by an empty one; all of it, unparsed."""
        functions: dict[str, Function] = {}
        inside: set[int] = set()
        for node in _statements(self.tree):
            if isinstance(node, Definition):
                lines = frozenset(range(node.lineno, (node.end_lineno or node.lineno) + 1))
                functions[node.name] = Function(node.name, lines, (node,))
                inside |= lines
        outside = frozenset(range(1, self.raw.count("\n") + 2)) - inside
        functions[""] = Function("", outside, tuple(self.tree.body) if self.tree else ())
        return functions

    def idle_lines(self, lines: Collection[int], is_test: bool) -> frozenset[int]:
        """Return the lines that never run: below a false condition, and in tests that are skipped.

        Args:
            lines: The lines that matter; nothing is read where none of them may be idle.
            is_test: Whether the file is part of the tests.
        """
        patterns = [*MAY_BE_IDLE, MAY_SKIP] if is_test else MAY_BE_IDLE
        if not any(pattern.search(self.raw) for pattern in patterns):
            return frozenset()
        statements = []  # of the module, that may have idle lines, with their first lines
        matters = False
        for match in STATEMENT.finditer(self.raw):
            if any(pattern.search(match[0]) for pattern in patterns):
                first = self.raw.count("\n", 0, match.start()) + 1
                last = first + match[0].count("\n")
                statements.append((first, match[0]))
                matters |= any(mark in match[0] for mark in SKIPS_THE_MODULE)
                matters |= any(first <= number <= last for number in lines)
        if not matters:
            return frozenset()
        trees = [(first, _parse(text)) for first, text in statements]
        if not all(tree for _, tree in trees):  # a string with lines like statements, for example
            trees = [(1, self.tree)]
        idle: set[int] = set()
        try:
            for first, tree in trees:
                if is_test and tree and any(map(_skips_the_module, tree.body)):
                    return frozenset(range(1, self.raw.count("\n") + 2))
                idle.update(first + line - 1 for line in _idle_lines(tree, is_test))
        except RecursionError:  # of an expression that nests too deep to be written out
            return frozenset()
        return frozenset(idle)


def _parse(text: str) -> ast.Module | None:
    """Return a file or statement of Python as `ast` reads it; None where it does not parse."""
    for written in (text, MAGIC.sub(r"\1pass", text)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(written)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _idle_lines(tree: ast.Module | None, is_test: bool) -> Iterator[int]:
    for node in _statements(tree):
        if isinstance(node, ast.If) and FALSE.fullmatch(ast.unparse(node.test)):
            yield from range(node.lineno, (node.body[-1].end_lineno or 0) + 1)
        elif is_test and isinstance(node, Definition | ast.ClassDef) and _is_skipped(node):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield from range(first, (node.end_lineno or 0) + 1)


def _imported(parts: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Give each name that an import statement brings, and the name it has from then on."""
    of = parts["of"]
    if of is None:
        for part in (parts["modules"] or "").split(","):
            names = part.split()
            if names:
                yield names[0], names[2] if len(names) > 2 else ""
        return
    yield of, ""
    for part in (parts["names"] or "").strip("()\\ \t").split(","):
        names = part.replace("\\", " ").split()
        if names and names[0] != "*":
            yield of + ("" if of.endswith(".") else ".") + names[0], names[-1]


def read(text: str) -> Source:
    """Return the source of a Python file, told apart into code, strings, comments and docstrings."""
    pieces = TOKEN.split(text)  # at the odd indexes the tokens, between them the rest
    code = pieces.copy()
    counted = depth = 0
    line_start = True  # whether only blanks stand before the token on its line
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
            passed = "".join(code[counted:at])
            depth += sum(map(passed.count, "([{")) - sum(map(passed.count, ")]}"))
            counted = at
            if depth <= 0:  # a docstring
                pieces[at - 1] = between
                pieces[at] = code[at] = lines
                continue
        # A mark that no name has, so that the code around a string is not joined.
        code[at] = f"''{lines}"
        line_start = False
    return Source("".join(pieces), "".join(code), text)


def leads_to(function: Function, functions: Mapping[str, Function]) -> Iterator[Function]:
    """Give a function and those of the same file that it calls, each once."""
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
    end = -1  # of the last line that is known to be short enough
    while len(text) - end - 1 > length:
        end = text.rfind("\n", end + 1, end + length + 2)
        if end < 0:
            return "\n".join(line[:length] for line in text.split("\n"))
    return text


def _statements(tree: ast.Module | None) -> Iterator[ast.stmt]:
    """Give the statements of a file at any depth, in their order."""
    waiting = [(statement, 0) for statement in reversed(tree.body if tree else [])]
    while waiting:
        node, depth = waiting.pop()
        yield node
        if depth < DEEPEST:
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
