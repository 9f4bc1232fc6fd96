"""Task runners: the commands that make, poe, tox, nox, just, npm, DVC and others start."""

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, islice, pairwise

from rung.check.review import data_files, python, shell
from rung.check.review.content import Content
from rung.check.review.data_files import Node, walk
from rung.check.review.files import WILDCARDS
from rung.check.review.modules import Modules
from rung.check.review.shell import EXIT_ZERO, executed, joined

# Every pattern of the table below needs a match of this one.
ANY = re.compile(
    r"make|MAKE|poe|tox|nox|just|npm|yarn|hatch|pdm|mise|task|pre-commit|prek|dvc|\.(?:ba)?sh|\.ya?ml"
    r"|python|\.py|inv|pixi|cdk|\./|sh\s|compose|earthly"
)

START = r"(?:^|[\s;&|(])"
NAME = r"([A-Za-z0-9_.:/-]+)"
PIXI_OPTIONS = r"(?:(?:-e|--environment)\s+\S+\s+|-\S+\s+)*"
ARGUMENTS = r"(?=\s|$|\")((?:\s+[^\s;&|]+)*)"
TASK = rf"(?=\s|$|\")(?:\s+(?:-\S+\s+)*{NAME})?"
PYTHON = re.compile(
    r"(?:^|[\s;&|(])(?:\S*python[\d.]*\s+(?:-[^\smc]\S*\s+)*)(-m\s+[\w.]+|[\w./-]+\.py)\b"
)

ENTRY_POINT = re.compile(r"([\w.-]+)\s*=\s*([\w.]+:\w+)")
APP = re.compile(r"(?<!\S)[\w/-]+\.(?:py|ts|js)\b")  # of AWS CDK
OTHER_SECTION = re.compile(r"\{\[(?:testenv:)?([^\]\n]+)\]commands\}")  # of tox
EARTHLY = re.compile(r"RUN\s+(?:--\S+\s+)*(.*)|(?:BUILD|FROM|COPY|DO)\b.*?\+([\w-]+)")
MAX_COMMANDS = 3_000  # that a CI file, for example, leads to
MAX_TARGETS = 500  # of make, per command
RULE = re.compile(r"^([A-Za-z0-9_./%-]+(?:[ \t]+[A-Za-z0-9_./%-]+)*)[ \t]*::?(?!=)[ \t]*([^\n#=]*)")
DEFINED = re.compile(r"^(?:export[ \t]+)?([\w.-]+)[ \t]*[:?]?:?=[ \t]*([^#\n]*?)[ \t]*(?:#.*)?$")
FLAGS = re.compile(r"(?:export[ \t]+)?MAKEFLAGS[ \t]*[+:?]?=(.*)")
MAKE_VARIABLE = re.compile(r"\$[({]([\w.-]+)[)}]")
MAX_NESTED = 3  # variables of make within variables
JUST_PART = re.compile(r"\"[^\"]*\"|'[^']*'|[()]|[\w:-]+")
RECIPE = re.compile(r"^@?([A-Za-z0-9_-]+)(?:[ \t]+[^:\n=]*)?:(?!=)[ \t]*([^\n#]*)")

PIECE = r"(?:[\w./-]|\$\{[^{}\s]*+\}|\$\w++)"
SCRIPT = re.compile(rf"(?:^|[\s;&|(./])({PIECE}+\.(?:sh|bash))\b")
# The manifest of a job of Ray, Anyscale, SkyPilot, Azure ML, Argo or Kubernetes.
JOB = re.compile(r"\b(?:submit|launch|apply|create)\b[^;&|]*?\s([\w./-]+\.ya?ml)\b")
# A shell script whose name has no ending.
PLAIN = re.compile(r"(?:^|[\s;&|(])(?:\./|(?:ba|z|da)?sh\s+(?:-\w+\s+)*)([\w/-]*\w)(?=\s|$|;)")
COMPOSE = re.compile(r"\bdocker[ -]compose\b[^;&|]*?\s(?:run|up)\b((?:\s+[^\s;&|]+)*)")
JOB_KEYS = {"entrypoint", "command", "args", "run", "setup"}
VARIABLE = re.compile(r"\$\{\{[^{}]*\}\}|\$\{[^{}]*\}|\$\w+")
ASSIGNED = re.compile(r"""(?:export\s+)?(\w+)=(?:(["'])([^"'\n]*)\2|([^\s"']*));?$""")
# A variable of a shell, Azure, make or an expression of GitHub; and a value that is one word.
REFERENCE = r"\$\{{\{{\s*(?:\w+\.)*{0}\s*\}}\}}|\$[{{(]{0}[}})]|\${0}\b"
REFERENCES = re.compile(r"\$(?:\{\{\s*(?:\w+\.)*|[{(])?([\w-]+)")
WORD = re.compile(r"[\w./:@%{}$-]+")
MAX_VALUES = 20  # of the variables of a command
SETS = re.compile(r"(?:^|[;&|{(])[ \t]*set[ \t]([^\n;&|{(]*)")
# A script that looks at how a command ended.
LOOKS = re.compile(
    r"\$\?|\|\|[ \t]*(?:exit|return)\b(?![ \t]+0)|\b(?:exit|return)\s+[\"']?[1-9$]|\b(?:trap|wait)\b"
    r"|(?:^|[;&|{]|\b(?:then|else|do)\b)[ \t]*false(?![\w=.-])",
    re.MULTILINE,
)
# What starts a script: a shell and its options.
SHELL = re.compile(r"(?:^|[\s/])(?:ba|z|da)?sh\s(.*)")
# A command whose failure the lines below decide about.
WAITS = re.compile(
    r"(?:if|elif|while|until)\b(?!.*;\s*(?:fi|done)\b)|.*(?:(?<!&)&|\|\|\s*(?:\{|\w+=[^\s|]*))$"
)
SOURCES = re.compile(r"(?:^|\s)(?:source|\.)\s+\S*$")
ENDS = {"fi", "done", "esac"}
MAX_SCRIPT_LINES = 2_000
# What CI, poe, go-task and tox call a failure that is ignored, and what stands below.
MAY_FAIL = re.compile(
    r"continue-?on-?error|allow_?failures?|allowExitCodes|soft_fail|ignore_(?:error|fail|outcome)"
    r"|failure|onError|on-fail",
    re.IGNORECASE,
)
IGNORE = {"true", "1", "*", "ignore", "continue", "return_zero"}
MAX_SCRIPTS = 20  # per name with variables


@dataclass(frozen=True)
class Command:
    """A command that something runs, its location, and whether its failure is ignored.

    With `errexit` its shell ends once one of several commands fails, else only the last counts.
    `by_hand` marks a command of CI that only a person starts.
    """

    text: str
    path: str
    line: int
    may_fail: bool = False
    errexit: bool = True
    by_hand: bool = False

    @property
    def enforced(self) -> str:
        """What it executes whose failure is not ignored."""
        return "" if self.may_fail or self.by_hand else executed(self.text, True, self.errexit)


# By target of make: prerequisites and recipe of each of its rules.
Rules = dict[str, list[tuple[list[str], list[Command]]]]


def commands_of(script: str, path: str, first: int, errexit: bool = True) -> Iterator[Command]:
    """Yield each command of a script that is embedded in a file and begins in a line.

    Without `errexit` its shell goes on after a failure. What looks at how commands ended ignores none.
    """
    values: dict[str, list[str]] = {}
    looks = LOOKS.search(script) is not None
    lines = list(islice(shell.lines(script), MAX_SCRIPT_LINES))
    last = next((number for number, text in reversed(lines) if text.rstrip("; ") not in ENDS), 0)
    for number, text in lines:
        if assigned := ASSIGNED.match(text):
            values[assigned[1]] = [VARIABLE.sub("${_}", assigned[3] or assigned[4] or "")]
        for options in SETS.findall(text):
            errexit = shell.errexit_after(options, errexit)
        may_fail = not looks and ((not errexit and number < last) or WAITS.match(text) is not None)
        command = Command(text, path, first + number, may_fail, errexit or looks)
        yield from with_values(command, values)


def with_values(command: Command, values: Mapping[str, Sequence[str]]) -> Iterator[Command]:
    """Yield a command with each value of its variables.

    A value of several words counts where the variable is the whole command, as in `eval "$tests"`.
    """
    texts = [command.text]
    for name in dict.fromkeys(REFERENCES.findall(command.text)) if values else ():
        reference = REFERENCE.format(re.escape(name))
        alone = re.fullmatch(rf"(?:eval\s+)?[\"']?(?:{reference})[\"']?", command.text)
        known = [value for value in values.get(name, ()) if alone or WORD.fullmatch(value)]
        if known:
            texts = [
                value if alone else re.sub(reference, lambda _, value=value: value, text)  # type: ignore[misc]
                for text in texts
                for value in dict.fromkeys(known)
            ][:MAX_VALUES]
    yield from (replace(command, text=text) for text in texts)


class Runners:
    """The commands that commands of a repository start, by a table of patterns and runners."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.modules = Modules(content.files.lower)
        self.table: list[tuple[re.Pattern[str], Callable[..., Iterator[Command]]]] = [
            (re.compile(rf"{START}(?:g?make|\$[({{]MAKE[)}}])((?:\s+[^\s;&|]+)*)"), self._make),
            (re.compile(rf"\bpoe(?:thepoet)?\s+(?:-\S+\s+)*{NAME}"), self._poe),
            (re.compile(rf"{START}tox{ARGUMENTS}"), partial(tox, content)),
            (re.compile(rf"{START}nox{ARGUMENTS}"), self._nox),
            (re.compile(rf"{START}just{TASK}"), partial(just, content)),
            (
                re.compile(rf"\b(?:npm|yarn|pnpm)\s+(?:run(?:-script)?\s+)?{NAME}"),
                partial(npm, content),
            ),
            (re.compile(rf"\b(?:hatch|pdm)\s+run\s+{NAME}"), partial(hatch, content)),
            (re.compile(rf"\bpixi\s+(?:run|r)\s+{PIXI_OPTIONS}{NAME}"), partial(pixi, content)),
            (re.compile(rf"\bmise\s+(?:run|r)\s+{NAME}"), partial(mise, content)),
            (re.compile(rf"{START}(?:go-)?task{TASK}"), partial(go_task, content)),
            (
                re.compile(r"\b(?:pre-commit|prek)(?:\s+run|/action\S*)\b((?:\s+[^\s;&|]+)*)"),
                partial(pre_commit, content),
            ),
            (re.compile(r"\b(dvc\s+(?:repro|exp\s+run))\b"), partial(dvc, content)),
            (SCRIPT, partial(shell_script, content)),
            (JOB, partial(job, content)),
            (PYTHON, self._python),
            (re.compile(rf"{START}inv(?:oke)?(?=\s+\w){ARGUMENTS}"), self._invoke),
            (PLAIN, partial(shell_script, content)),
            (COMPOSE, partial(compose, content)),
            (re.compile(rf"{START}earthly{ARGUMENTS}"), partial(earthly, content)),
            (re.compile(r"\bcdk\s+(synth|deploy)\b"), partial(cdk, content)),
        ]

    def follow(self, commands: Iterable[Command]) -> Iterator[Command]:
        """Yield commands and then the commands that they start; each task is followed once."""
        visited: set[Command] = set()
        started: set[tuple[str, str]] = set()
        started_in_vain: set[tuple[str, str]] = set()  # with failures that are ignored
        waiting = deque(commands)
        while waiting and len(visited) < MAX_COMMANDS:
            command = waiting.popleft()
            if self.content.files.stops(command.path):
                return
            if command not in visited:
                visited.add(command)
                whole, enforced = executed(command.text), command.enforced
                others = self.started_by(enforced, command.path, started)
                in_vain = bool(others) and all(other.may_fail for other in others)
                yield replace(command, may_fail=True) if in_vain else command
                waiting += others
                if whole != enforced:
                    started_in_vain |= started
                    others = self.started_by(whole, command.path, started_in_vain)
                    waiting += (replace(other, may_fail=True) for other in others)

    def started_by(self, command: str, path: str, started: set[tuple[str, str]]) -> list[Command]:
        """Return the commands that a command starts through task files, but for tasks started before."""
        commands = list(self._console(command, started)) if self.console_scripts else []
        if not ANY.search(command):
            return commands
        for pattern, follow in self.table:
            for match in pattern.finditer(command):
                task = (pattern.pattern, match[1] or "")
                if task not in started:
                    started.add(task)
                    if pattern in (SCRIPT, PLAIN):
                        follow = partial(follow, errexit=self._errexit(command, match, path))
                    commands += islice(follow(match[1] or "", path), 500)
        return commands

    def _errexit(self, command: str, script: re.Match[str], path: str) -> bool:
        """Return whether the caller of a script lets it end once a command fails."""
        before = command[: script.start(1)].rpartition(";")[2]
        if SOURCES.search(before):  # by the shell of CI, which has -e, or by that of a script
            text = self.content.text(path) or ""
            return path.endswith((".yml", ".yaml")) or any(
                shell.errexit_after(options, False) for options in SETS.findall(text)
            )
        options = SHELL.search(before)
        return options is not None and shell.errexit_after(options[1], False)

    def tasks(self) -> Iterator[Command]:
        """Yield the commands of all tasks of poe, stages of DVC and targets of make."""
        for tasks in self.poe_tasks.values():
            for file, node in tasks:
                yield from poe_commands(node, file)
        yield from dvc(self.content, "", "")
        for rules in self.make_rules.values():
            for _, recipe in rules:
                yield from recipe

    @cached_property
    def console_scripts(self) -> dict[str, tuple[str, str, int]]:
        """The commands that the project installs: `package.module:function`, file and line."""
        scripts: dict[str, tuple[str, str, int]] = {}
        for file, document in self.content.documents("**/pyproject.toml"):
            for keys in (("project", "scripts"), ("tool", "poetry", "scripts")):
                for name, node in document.get(*keys).entries:
                    target = (node.get("reference") or node.get("callable") or node).value
                    if name and target:
                        scripts[name.lower()] = target, file, node.line
        for file in self.content.files.find("setup.py", "setup.cfg"):
            for number, line in enumerate((self.content.text(file) or "").split("\n"), 1):
                for name, target in ENTRY_POINT.findall(line):
                    scripts.setdefault(name.lower(), (target, file, number))
        return scripts

    def _console(self, command: str, started: set[tuple[str, str]]) -> Iterator[Command]:
        """Yield the modules that the project's own commands run."""
        for part in command.split(" ; "):
            name = next(iter(shell.argv_of(part.split())), "")
            if name in self.console_scripts and ("", name) not in started:
                started.add(("", name))
                target, file, line = self.console_scripts[name]
                yield Command(f"python -m {target.replace(':', ' ')}", file, line)

    @cached_property
    def poe_tasks(self) -> dict[str, list[tuple[str, Node]]]:
        """The tasks of poe by name, with their files."""
        tasks: dict[str, list[tuple[str, Node]]] = {}
        globs = ("**/pyproject.toml", "**/*tasks*.toml", "**/poe*.toml")
        for file, document in self.content.documents(*globs):
            for name, node in document.get("tool", "poe", "tasks").entries:
                tasks.setdefault(str(name), []).append((file, node))
        return tasks

    @cached_property
    def make_rules(self) -> Rules:
        """The rules of all Makefiles by target."""
        return make_rules(self.content)

    def _make(self, arguments: str, path: str) -> Iterator[Command]:
        yield from make_commands(self.make_rules, arguments)

    def _poe(self, task: str, path: str) -> Iterator[Command]:
        for file, node in self.poe_tasks.get(task, []):
            yield from poe_commands(node, file)

    def _nox(self, arguments: str, path: str) -> Iterator[Command]:
        names = _after_options(arguments, ("-s", "--session", "--sessions"))
        for file in self.content.files.find("**/noxfile.py"):
            yield from self._functions_commands(file, [name.partition("-")[0] for name in names])

    def _invoke(self, arguments: str, path: str) -> Iterator[Command]:
        words = [word for word in arguments.split() if not word.startswith("-")]
        names = [word.rpartition(".")[2].replace("-", "_") for word in words]
        for file in self.content.files.find("tasks.py", "tasks/*.py"):
            yield from self._functions_commands(file, names)

    def _python(self, name: str, path: str) -> Iterator[Command]:
        """Yield the commands that a Python file or module starts."""
        if name.startswith("-m"):
            stem = name.split()[1].replace(".", "/")
            globs = [f"**/{stem}.py", f"**/{stem}/__main__.py"]
        else:
            globs = [f"**/{name.removeprefix('./')}"]
        for file in self.content.files.find(*globs)[:3]:
            yield from self._file_commands(file)

    def _file_commands(self, file: str) -> Iterator[Command]:
        """Yield the commands that a Python file starts, and those of functions that it imports."""
        source = self.content.python(file)
        if source is None:
            return
        yield from _python_commands(source, file)
        for name in source.imports:
            module, _, imported = name.rpartition(".")
            if module.strip("."):
                for other in self.modules.imported(module, file.rpartition("/")[0]):
                    yield from self._function_commands(other, imported)

    def _functions_commands(self, file: str, names: Collection[str]) -> Iterator[Command]:
        """Yield the commands of functions of a file; of the whole file if it has none of these."""
        source = self.content.python(file)
        known = source.functions.keys() & set(names) if source and names else ()
        if not known:
            yield from self._file_commands(file)
        for name in known:
            yield from self._function_commands(file, name)

    def _function_commands(self, file: str, name: str) -> Iterator[Command]:
        source = self.content.python(file)
        if source and source.commands and name in source.functions:
            followed = python.leads_to(source.functions[name], source.functions)
            lines = frozenset().union(*(function.lines for function in followed))
            yield from (
                command for command in _python_commands(source, file) if command.line in lines
            )


def _python_commands(source: python.Source, file: str) -> Iterator[Command]:
    for command, line in source.commands:
        yield Command(command, file, line, line in source.dropped)


def ignores_failure(node: Node) -> bool | None:
    """Return whether a step or task says that its failure is ignored; None if it says nothing."""
    for key, below in node.entries:
        if key and MAY_FAIL.fullmatch(key):
            stated = [*below.texts(), *(text for _, each in walk(below) for text in each.texts())]
            return not IGNORE.isdisjoint(text.lower().strip("${ }") for text in stated)
    return None


def poe_commands(node: Node, file: str, may_fail: bool = False) -> Iterator[Command]:
    """Yield the commands of a task of poe."""
    if node.value is not None:
        yield Command(node.value, file, node.line, may_fail)
        return
    may_fail |= bool(ignores_failure(node))
    for key, below in node.entries:
        if key in ("cmd", "shell", "script", "expr", "interpreter") and below.value:
            yield Command(below.value, file, below.line, may_fail)
        elif key == "ref" and below.value:
            yield Command(f"poe {below.value}", file, below.line, may_fail)
        elif key in ("sequence", "parallel", "switch", "deps", "uses", None):
            parts = [below] if key is None else [part for _, part in below.entries]
            for part in parts:
                if part.value is not None:
                    yield Command(f"poe {part.value}", file, part.line, may_fail)
                else:
                    yield from poe_commands(part, file, may_fail)


def make_rules(content: Content) -> Rules:
    """Return the rules of all Makefiles by target, in order."""
    rules: Rules = {}
    files = content.files
    for file in files.find("**/Makefile", "**/GNUmakefile", "**/*.mk")[:50]:
        own: dict[str, list[tuple[list[str], list[Command]]]] = {}
        recipe: list[Command] = []
        lines = list(_whole_lines(content.text(file) or ""))
        values = {match[1]: match[2] for _, line in lines if (match := DEFINED.match(line))}
        for number, line in lines:
            line = _substituted(line, values)
            if line.startswith("\t"):
                text = line.strip()
                if text.lstrip("@-+") and not text.startswith("#"):
                    recipe.append(_of_recipe(text, file, number))
            elif match := RULE.match(line):
                recipe = []
                for target in match[1].split():
                    own.setdefault(target, []).append((match[2].split(), recipe))
        phony = {name for names, _ in own.pop(".PHONY", []) for name in names}
        flags = " ".join(match[1] for _, line in lines if (match := FLAGS.match(line)))
        ignored = [name for names, _ in own.get(".IGNORE", []) for name in names or own]
        for name in list(own) if EXIT_ZERO.search(f"make {flags[:200]}") else ignored:
            own[name] = [
                (needs, [replace(command, may_fail=True) for command in recipe])
                for needs, recipe in own.get(name, [])
            ]
        folder = file.rpartition("/")[0]
        for target, listed in own.items():
            is_file = files.has(f"{folder}/{target}".lstrip("/")) and target not in phony
            if is_file and not any("$" in name for name in phony) and not any(n for n, _ in listed):
                continue  # it exists, and nothing that it needs could be newer: make does nothing
            rules.setdefault(target, []).extend(listed)
    return rules


def _substituted(line: str, values: Mapping[str, str]) -> str:
    """Return a line of a Makefile with the values of its variables, as far as they are known."""
    for _ in range(MAX_NESTED if "$" in line else 0):
        line = MAKE_VARIABLE.sub(lambda match: values.get(match[1], match[0]), line)[:1_000]
    return line


def _whole_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a Makefile with their numbers, each with the lines that continue it."""
    parts: list[str] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        parts.append(line.strip() if parts else line.rstrip())
        if not line.endswith("\\") or number == len(lines):
            yield (
                number - len(parts) + 1,
                " ".join(part.removesuffix("\\").rstrip() for part in parts),
            )
            parts = []


def _of_recipe(line: str, file: str, number: int) -> Command:
    """Return the command of a line of make, just or hatch; after a `-` its failure is ignored."""
    text = line.strip()
    command = text.lstrip("@-+ ")
    return Command(command, file, number, "-" in text[: len(text) - len(command)], errexit=False)


def make_commands(rules: Rules, arguments: str) -> Iterator[Command]:
    """Yield the recipes that make runs for its arguments, prerequisites included."""
    words = [word for word in arguments.split() if not word.startswith("-") and "=" not in word]
    folder = re.search(r"-C\s*(\S+)", arguments)
    targets = [word for word in words if not folder or word != folder[1]]
    first = next(iter(rules), None)
    waiting = deque(targets or ([first] if first else []))
    visited: set[str] = set()
    while waiting and len(visited) < MAX_TARGETS:
        target = waiting.popleft()
        if target not in visited:
            visited.add(target)
            for prerequisites, recipe in rules.get(target, []):
                waiting.extend(prerequisites)
                yield from recipe


def _after_options(arguments: str, options: Collection[str]) -> list[str]:
    """Return the values of options such as `-e`."""
    names: list[str] = []
    is_after = False
    for word in arguments.split():
        option, _, value = word.partition("=")
        if word.startswith("-"):
            is_after = option in options
            names += [value] if is_after and value else []
        elif is_after:
            names += word.split(",")
    return names


def tox(content: Content, arguments: str, _path: str) -> Iterator[Command]:
    """Yield the commands of the named environments of tox, or of all."""
    names = _after_options(arguments, ("-e", "--env"))
    by_section: dict[str, list[Command]] = {}
    for file in content.files.find("**/tox.ini", "setup.cfg"):
        for section, command in _tox_ini_commands(content.text(file) or "", file):
            by_section.setdefault(section, []).append(command)
    for file, keys in (("tox.toml", ()), ("pyproject.toml", ("tool", "tox"))):
        for document in content.data(file):
            table = document.get(*keys)
            ini = table.get("legacy_tox_ini")
            for section, command in _tox_ini_commands(ini.value or "", file):
                by_section.setdefault(section, []).append(replace(command, line=ini.line))
            sections = [("testenv", table.get("env_run_base"))]
            sections += [(f"testenv:{name}", node) for name, node in table.get("env").entries]
            for section, node in sections:
                may_fail = bool(ignores_failure(node))
                for _, argv in node.get("commands").entries:
                    by_section.setdefault(section, []).append(
                        Command(joined(argv.texts()), file, argv.line, may_fail)
                    )
    own = {section for name in names if (section := f"testenv:{name}") in by_section}
    for section, listed in by_section.items():
        shared = section == "testenv" or "{" in section
        if not names or section in own or (shared and len(own) < len(names)):
            yield from listed


def _tox_ini_commands(text: str, file: str) -> Iterator[tuple[str, Command]]:
    """Yield the commands of a tox.ini with their sections."""
    section, inside = "", False
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\[([^\]\n]+)\]", line):
            section, inside = header[1].strip(), False
        elif match := re.match(r"commands\w*[ \t]*=[ \t]*(.*)", line):
            inside = True
            line = match[1]
        elif not line.startswith((" ", "\t")):
            inside = inside and not line.strip()
        if inside and line.strip():
            command = OTHER_SECTION.sub(r"tox -e \1", line.strip())
            yield section, Command(command, file, number, command.startswith("-"))


def just(content: Content, recipe: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a recipe of just, by default the first, and of its dependencies."""
    for file in content.files.find("**/justfile", "**/.justfile"):
        inside = False
        name = recipe
        for number, line in enumerate((content.text(file) or "").split("\n"), 1):
            if line.startswith((" ", "\t")):
                if inside and line.strip():
                    yield _of_recipe(line, file, number)
            elif match := RECIPE.match(line):
                name = name or match[1]
                inside = match[1] == name
                if inside:
                    for dependency in _dependencies_of_just(match[2]):
                        yield Command(f"just {dependency}", file, number)


def _dependencies_of_just(text: str) -> Iterator[str]:
    """Yield the recipes that a recipe needs: words, or the first of brackets, which hold arguments."""
    depth = 0
    for before, part in pairwise(["", *JUST_PART.findall(text)]):
        depth += (before == "(") - (before == ")")
        if part[0] not in "()\"'" and (not depth or (depth == 1 and before == "(")):
            yield part


def npm(content: Content, script: str, _path: str) -> Iterator[Command]:
    """Yield the command of a script of npm, yarn or pnpm."""
    for file, document in islice(content.documents("**/package.json"), 50):
        node = document.get("scripts", script)
        if node.value:
            yield Command(node.value, file, node.line, errexit=False)


def hatch(content: Content, script: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a script of hatch or pdm, and those that run the scripts it names."""
    name = script.rpartition(":")[2]
    for file, document in content.documents("pyproject.toml", "hatch.toml"):
        own = document if file == "hatch.toml" else document.get("tool", "hatch")
        tables = [node.get("scripts") for _, node in own.get("envs").entries]
        yield from _task_commands(tables, name, file, "hatch run")
        yield from _task_commands([document.get("tool", "pdm", "scripts")], name, file, "pdm run")


def pixi(content: Content, task: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a task of pixi, and those that run its dependencies."""
    for file, document in content.documents("pixi.toml", "pyproject.toml"):
        own = document if file == "pixi.toml" else document.get("tool", "pixi")
        tables = [own.get("tasks")]
        tables += [node.get("tasks") for _, node in own.get("feature").entries]
        yield from _task_commands(tables, task, file, "pixi run")


def _task_commands(tables: Sequence[Node], name: str, file: str, run: str) -> Iterator[Command]:
    """Yield the commands of a task of hatch, pdm or pixi, and those that run the tasks it names."""
    names = {key for table in tables for key, _ in table.entries}
    for task in (table.get(name) for table in tables):
        for node in filter(None, (task.get("cmd"), task.get("shell"))):
            yield _of_recipe(node.value or joined(node.texts()), file, node.line)
        for _, part in _steps(task, "composite", "depends-on"):
            if text := (part.get("task") or part).value:
                command = _of_recipe(text, file, part.line)
                # A task that is a text names another one in hatch alone.
                may_name = part is not task or run == "hatch run"
                is_task = may_name and command.text.partition(" ")[0] in names
                yield replace(command, text=f"{run} {command.text}") if is_task else command


def _steps(task: Node, *keys: str) -> Iterator[tuple[str, Node]]:
    """Yield the steps that a task has below keys; those of a text or a list have the first key."""
    lists = [(key, task.get(key)) for key in keys] if task.is_mapping else [(keys[0], task)]
    for key, node in lists:
        yield from ((key, part) for _, part in node.entries or [(None, node)])


def mise(content: Content, task: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a task of mise, and those that run the tasks it names."""
    for file, document in content.documents("mise.toml", ".mise.toml", ".config/mise.toml"):
        for key, part in _steps(document.get("tasks", task), "run", "depends", "depends_post"):
            if key == "run" and part.value:
                yield Command(part.value, file, part.line)
            else:
                names = part.texts() + part.get("tasks").texts()
                yield from (Command(f"mise run {name}", file, part.line) for name in names)


def pre_commit(content: Content, arguments: str, _path: str) -> Iterator[Command]:
    """Yield the ids and entries of pre-commit's hooks, or of the one that is named."""
    stage, *_ = [*_after_options(arguments, ("--hook-stage",)), "pre-commit"]
    named = next((word for word in arguments.split() if word[0] != "-"), "")
    named = "" if re.search(rf"-\S+\s+{re.escape(named)}", arguments) else named
    for file in content.files.find(".pre-commit-config.yaml", ".pre-commit-config.yml"):
        try:  # of the text, since a document of `content` lacks the hooks of the stage `manual`
            (document, *_) = data_files.read(file, content.text(file) or "") or [data_files.NOTHING]
        except data_files.UnreadableError:
            content.files.left_out.note_file("data files that do not parse", file)
            continue
        default = document.get("default_stages")
        repos = (repo.get("hooks").entries for _, repo in document.get("repos").entries)
        for _, hook in chain.from_iterable(repos):
            identifier, entry = hook.get("id"), hook.get("entry")
            stages = (hook.get("stages") or default).texts() or [stage]
            if stage not in stages and stage.removeprefix("pre-") not in stages:
                continue
            for node in (identifier, entry):
                if node.value and named in ("", identifier.value):
                    yield Command(node.value, file, node.line)


def dvc(content: Content, _task: str, _path: str) -> Iterator[Command]:
    """Yield the commands of DVC's stages."""
    for file, document in content.documents("**/dvc.yaml"):
        for _, stage in document.get("stages").entries:
            command = stage.get("cmd")
            yield from (Command(text, file, command.line) for text in command.texts())


def go_task(content: Content, task: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a task of go-task, and those that run the tasks it names."""
    for file, document in content.documents("**/Taskfile.yml", "**/Taskfile.yaml"):
        node = document.get("tasks", task or "default")
        for key, entry in _steps(node, "cmds", "deps", "cmd"):
            step = entry.get("defer") or entry  # the failure of what is deferred is ignored
            command, named = step.value or step.get("cmd").value, step.get("task").value
            if named or (command and key == "deps"):
                command = f"task {named or command}"
            may_fail = step is not entry or ignores_failure(node) or ignores_failure(entry)
            if command:
                yield Command(command, file, entry.line, bool(may_fail))


def shebang_of(script: str) -> str:
    """Return the first line of a script if it names an interpreter."""
    return script.partition("\n")[0] if script.startswith("#!") else ""


def shell_script(content: Content, name: str, path: str, errexit: bool) -> Iterator[Command]:
    """Yield the commands of the shell scripts that a command in a file names."""
    folder = path.rpartition("/")[0]
    named = _files(content, name, folder) or content.files.find(name, f"{folder}/{name}")[:1]
    for file in named:
        text = content.text(file) or ""
        shebang = shebang_of(text)
        if not shebang or "sh" in shebang:
            yield from commands_of(text, file, 1, shell.errexit_after(shebang, errexit))


def compose(content: Content, arguments: str, path: str) -> Iterator[Command]:
    """Yield the commands of the named services of Docker Compose, or of all."""
    words = set(arguments.split())
    files = ("**/docker-compose*.y*ml", "**/compose*.y*ml")
    for file, document in islice(content.documents(*files), MAX_SCRIPTS):
        services = document.get("services").entries
        named = [(name, node) for name, node in services if name in words]
        for _, service in named or services:
            for node in filter(None, (service.get("entrypoint"), service.get("command"))):
                yield Command(joined(node.texts()), file, node.line)


def earthly(content: Content, arguments: str, _path: str) -> Iterator[Command]:
    """Yield the commands of targets of Earthly, and those that start the targets they need."""
    names = re.findall(r"\+([\w-]+)", arguments)
    for file in content.files.find("**/Earthfile"):
        target = ""
        for number, line in shell.lines(content.text(file) or ""):
            if header := re.match(r"([\w-]+):$", line):
                target = header[1]
            elif target in names and (match := EARTHLY.match(line)):
                yield Command(match[1] or f"earthly +{match[2]}", file, number + 1)


def cdk(content: Content, _command: str, path: str) -> Iterator[Command]:
    """Yield the command that starts the app of AWS CDK, near to the file that runs it."""
    near = f"{path.rpartition('/')[0]}/cdk.json".lstrip("/")
    for file, document in content.documents(near if content.files.find(near) else "**/cdk.json"):
        node = document.get("app")
        folder = file.removesuffix("cdk.json")
        app = APP.sub(lambda match: folder + match[0], node.value or "", count=1)  # noqa: B023
        yield Command(app, file, node.line)


def job(content: Content, name: str, path: str) -> Iterator[Command]:
    """Yield the commands of the job that a command in a file submits."""
    for file in _files(content, name, path.rpartition("/")[0]):
        for document in content.data(file):
            for key, node in walk(document):
                if key in JOB_KEYS:
                    script = node.value or joined(node.texts())
                    yield from commands_of(script, file, node.script_line)


def _files(content: Content, name: str, folder: str) -> list[str]:
    """Return the files with a name; a variable in it stands for any text within a folder's name."""
    glob = VARIABLE.sub("*", name).lstrip("./")
    if not re.search(r"\w[^/]*\.\w+$", glob):
        return []
    last = VARIABLE.split(name)[-1]
    globs = [glob, f"{folder}/{glob}", *([last.lstrip("./")] if last.startswith("/") else [])]
    if max(glob.count("*") for glob in globs) > WILDCARDS:
        return []
    return next(filter(None, (content.files.find(glob) for glob in globs)), [])[:MAX_SCRIPTS]
