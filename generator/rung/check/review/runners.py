"""Task runners: the commands that make, poe, tox, nox, just, npm, DVC and others start."""

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice

from rung.check.review import data_files, python, shell
from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.files import WILDCARDS
from rung.check.review.modules import Modules
from rung.check.review.shell import executed, joined

# Every pattern of the table below needs a match of this one.
ANY = re.compile(
    r"make|MAKE|poe|tox|nox|just|npm|yarn|hatch|pdm|mise|task|pre-commit|prek|dvc|\.(?:ba)?sh|\.ya?ml"
    r"|python|\.py|inv|pixi|\./|sh\s|compose|earthly"
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
EARTHLY = re.compile(r"RUN\s+(?:--\S+\s+)*(.*)|(?:BUILD|FROM|COPY)\b.*?\+([\w-]+)")
MAX_COMMANDS = 3_000  # that a CI file, for example, leads to
MAX_TARGETS = 500  # of make, per command
RULE = re.compile(r"^([A-Za-z0-9_./%-]+(?:[ \t]+[A-Za-z0-9_./%-]+)*)[ \t]*::?(?!=)[ \t]*([^\n#=]*)")
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
ASSIGNED = re.compile(r"""(?:export\s+)?(\w+)=(["']?)([^"'\n]*\.(?:sh|bash|py))\2;?$""")
MAX_SCRIPT_LINES = 2_000
MAX_SCRIPTS = 20  # per name with variables


@dataclass(frozen=True)
class Command:
    """A command that something runs, and its location.

    Attributes:
        text: The command.
        path: Its file.
        line: Its line, from 1.
        may_fail: Whether its failure is ignored.
    """

    text: str
    path: str
    line: int
    may_fail: bool = False

    @property
    def enforced(self) -> str:
        """What it executes whose failure is not ignored."""
        return "" if self.may_fail else executed(self.text, enforced=True)


# By target of make: prerequisites and recipe of each of its rules.
Rules = dict[str, list[tuple[list[str], list[Command]]]]


def commands_of(script: str, path: str, first: int) -> Iterator[Command]:
    """Yield each command of a script that is embedded in a file and begins in a line."""
    scripts: dict[str, str] = {}
    for number, text in shell.lines(script):
        yield Command(substitute(text, scripts), path, first + number)


def substitute(command: str, scripts: MutableMapping[str, str]) -> str:
    """Return a command with variables replaced by the names of scripts assigned to them before.

    Args:
        command: A command of a script.
        scripts: Names of scripts by variable; an assignment adds to it.
    """
    if assigned := ASSIGNED.match(command):
        scripts[assigned[1]] = VARIABLE.sub("${_}", assigned[3])
    elif scripts and "$" in command:
        for name, value in scripts.items():
            command = command.replace(f"${{{name}}}", value)
            command = re.sub(rf"\${name}\b", lambda _, value=value: value, command)  # type: ignore[misc]
    return command


class Runners:
    """The commands that commands of a repository start, by a table of patterns and runners."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.modules = Modules(content.files.lower)
        self.table: list[tuple[re.Pattern[str], Callable[[str, str], Iterator[Command]]]] = [
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
            (PLAIN, partial(plain_script, content)),
            (COMPOSE, partial(compose, content)),
            (re.compile(rf"{START}earthly{ARGUMENTS}"), partial(earthly, content)),
        ]

    def follow(self, commands: Iterable[Command]) -> Iterator[Command]:
        """Yield commands and then the commands that they start; each task is followed once."""
        visited: set[Command] = set()
        started: set[tuple[str, str]] = set()
        started_in_vain: set[tuple[str, str]] = set()  # with failures that are ignored
        waiting = deque(commands)
        while waiting and len(visited) < MAX_COMMANDS:
            command = waiting.popleft()
            if command not in visited:
                visited.add(command)
                yield command
                whole, enforced = executed(command.text), command.enforced
                waiting += self.started_by(enforced, command.path, started)
                if whole != enforced:
                    started_in_vain |= started
                    others = self.started_by(whole, command.path, started_in_vain)
                    waiting += (replace(other, may_fail=True) for other in others)

    def started_by(self, command: str, path: str, started: set[tuple[str, str]]) -> list[Command]:
        """Return the commands that a command starts through the repository's task files.

        Args:
            command: The executed part of a line.
            path: The file with the command.
            started: Tasks that were followed before and are skipped; new ones are added.
        """
        commands = list(self._console(command, started)) if self.console_scripts else []
        if not ANY.search(command):
            return commands
        for pattern, follow in self.table:
            for match in pattern.finditer(command):
                task = (pattern.pattern, match[1] or "")
                if task not in started:
                    started.add(task)
                    commands += islice(follow(match[1] or "", path), 500)
        return commands

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
        for file in self.content.files.find("**/pyproject.toml"):
            for document in self.content.data(file):
                for keys in (("project", "scripts"), ("tool", "poetry", "scripts")):
                    table = document.get(*keys)
                    for name, node in table.entries if table else []:
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
        return poe_tasks(self.content)

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
        yield from (Command(command, file, line) for command, line in source.commands)
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
            for command, line in source.commands:
                if line in lines:
                    yield Command(command, file, line)


def poe_tasks(content: Content) -> dict[str, list[tuple[str, Node]]]:
    """Return the tasks of poe by name, with their files."""
    tasks: dict[str, list[tuple[str, Node]]] = {}
    for file in content.files.find("**/pyproject.toml", "**/*tasks*.toml", "**/poe*.toml"):
        for document in content.data(file):
            table = document.get("tool", "poe", "tasks")
            for name, node in table.entries if table else []:
                tasks.setdefault(str(name), []).append((file, node))
    return tasks


def poe_commands(node: Node, file: str) -> Iterator[Command]:
    """Yield the commands of a task of poe."""
    if node.value is not None:
        yield Command(node.value, file, node.line)
        return
    for key, below in node.entries:
        if key in ("cmd", "shell", "script", "expr", "interpreter") and below.value:
            yield Command(below.value, file, below.line)
        elif key == "ref" and below.value:
            yield Command(f"poe {below.value}", file, below.line)
        elif key in ("sequence", "parallel", "deps", None):
            parts = [below] if key is None else [part for _, part in below.entries]
            for part in parts:
                if part.value is not None:
                    yield Command(f"poe {part.value}", file, part.line)
                else:
                    yield from poe_commands(part, file)


def make_rules(content: Content) -> Rules:
    """Return the rules of all Makefiles by target, in order."""
    rules: Rules = {}
    files = content.files
    for file in files.find("**/Makefile", "**/GNUmakefile", "**/*.mk")[:50]:
        own: dict[str, list[tuple[list[str], list[Command]]]] = {}
        recipe: list[Command] = []
        continued = False
        for number, line in enumerate((content.text(file) or "").split("\n"), 1):
            if line.startswith("\t") or continued:
                text = line.strip()
                if continued and recipe:
                    before = recipe.pop()
                    recipe.append(
                        replace(before, text=f"{before.text[:-1].rstrip()} {text}"[:1_000])
                    )
                elif (command := text.lstrip("@-+")) and not text.startswith("#"):
                    may_fail = "-" in text[: -len(command)]
                    recipe.append(Command(command, file, number, may_fail))
                continued = text.endswith("\\") and bool(recipe)
            elif match := RULE.match(line):
                recipe = []
                for target in match[1].split():
                    own.setdefault(target, []).append((match[2].split(), recipe))
        phony = {name for names, _ in own.pop(".PHONY", []) for name in names}
        folder = file.rpartition("/")[0]
        for target, listed in own.items():
            is_file = files.has(f"{folder}/{target}".lstrip("/")) and target not in phony
            if is_file and not any("$" in name for name in phony) and not any(n for n, _ in listed):
                continue  # it exists, and nothing that it needs could be newer: make does nothing
            rules.setdefault(target, []).extend(listed)
    return rules


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
            ini = table.get("legacy_tox_ini") if table else None
            for section, command in _tox_ini_commands(ini.value or "", file) if ini else ():
                command = replace(command, line=ini.line if ini else 1)
                by_section.setdefault(section, []).append(command)
            envs = table.get("env") if table else None
            sections = [("testenv", table.get("env_run_base"))] if table else []
            sections += [(f"testenv:{name}", node) for name, node in envs.entries] if envs else []
            for section, node in sections:
                commands = node.get("commands") if node else None
                for _, argv in commands.entries if commands else []:
                    by_section.setdefault(section, []).append(
                        Command(joined(argv.texts()), file, argv.line)
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
            yield section, Command(line.strip(), file, number, line.strip().startswith("-"))


def just(content: Content, recipe: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a recipe of just, by default the first, and of its dependencies."""
    for file in content.files.find("**/justfile", "**/.justfile"):
        inside = False
        name = recipe
        for number, line in enumerate((content.text(file) or "").split("\n"), 1):
            if line.startswith((" ", "\t")):
                if inside and line.strip():
                    text = line.strip()
                    command = text.lstrip("@-")
                    yield Command(command, file, number, "-" in text[: -len(command) or None])
            elif match := RECIPE.match(line):
                name = name or match[1]
                inside = match[1] == name
                if inside:
                    for dependency in match[2].split():
                        yield Command(f"just {dependency}", file, number)


def npm(content: Content, script: str, _path: str) -> Iterator[Command]:
    """Yield the command of a script of npm, yarn or pnpm."""
    for file in content.files.find("**/package.json")[:50]:
        for document in content.data(file):
            node = document.get("scripts", script)
            if node and node.value:
                yield Command(node.value, file, node.line)


def hatch(content: Content, script: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a script of hatch or pdm."""
    name = script.rpartition(":")[2]
    for file, keys in (("pyproject.toml", ("tool", "hatch")), ("hatch.toml", ())):
        for document in content.data(file):
            tables = [document.get("tool", "pdm", "scripts")]
            envs = document.get(*keys, "envs")
            tables += [node.get("scripts") for _, node in envs.entries] if envs else []
            yield from _task_commands(tables, name, file)


def pixi(content: Content, task: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a task of pixi, and those that run its dependencies."""
    for file, keys in (("pixi.toml", ()), ("pyproject.toml", ("tool", "pixi"))):
        for document in content.data(file):
            features = document.get(*keys, "feature")
            tables = [document.get(*keys, "tasks")]
            tables += [node.get("tasks") for _, node in features.entries] if features else []
            yield from _task_commands(tables, task, file)
            for table in filter(None, tables):
                node = table.get(task, "depends-on")
                for name in node.texts() if node else []:
                    yield Command(f"pixi run {name}", file, node.line if node else 1)


def _task_commands(tables: Iterable[Node | None], name: str, file: str) -> Iterator[Command]:
    """Yield the commands of a task: its value is a text, a list of texts, or has a `cmd`."""
    for table in filter(None, tables):
        task = table.get(name)
        node = task.get("cmd") if task and task.is_mapping else task
        if node:
            yield from (Command(text, file, node.line) for text in node.texts())


def mise(content: Content, task: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a task of mise, and those that run its dependencies."""
    for file in content.files.find("mise.toml", ".mise.toml", ".config/mise.toml"):
        for document in content.data(file):
            task_node = document.get("tasks", task)
            if task_node and not task_node.is_mapping:
                yield from (Command(text, file, task_node.line) for text in task_node.texts())
            for key in ("run", "depends"):
                node = task_node.get(key) if task_node else None
                for text in node.texts() if node else []:
                    command = text if key == "run" else f"mise run {text}"
                    yield Command(command, file, node.line if node else 1)


def pre_commit(content: Content, arguments: str, _path: str) -> Iterator[Command]:
    """Yield the ids and entries of pre-commit's hooks, or of the one that is named."""
    stage, *_ = [*_after_options(arguments, ("--hook-stage",)), "pre-commit"]
    named = next((word for word in arguments.split() if word[0] != "-"), "")
    named = "" if re.search(rf"-\S+\s+{re.escape(named)}", arguments) else named
    for file in content.files.find(".pre-commit-config.yaml", ".pre-commit-config.yml"):
        for document in content.data(file):
            repos, default = document.get("repos"), document.get("default_stages")
            for _, repo in repos.entries if repos else []:
                hooks = repo.get("hooks")
                for _, hook in hooks.entries if hooks else []:
                    identifier, entry = hook.get("id"), hook.get("entry")
                    stages = (hook.get("stages") or default or Node(0)).texts() or [stage]
                    if stage not in stages and stage.removeprefix("pre-") not in stages:
                        continue
                    for node in (identifier, entry):
                        if node and node.value and named in ("", identifier and identifier.value):
                            yield Command(node.value, file, node.line)


def dvc(content: Content, _task: str, _path: str) -> Iterator[Command]:
    """Yield the commands of DVC's stages."""
    for file in content.files.find("**/dvc.yaml"):
        for document in content.data(file):
            stages = document.get("stages")
            for _, stage in stages.entries if stages else []:
                command = stage.get("cmd")
                for text in command.texts() if command else []:
                    yield Command(text, file, command.line if command else 1)


def go_task(content: Content, task: str, _path: str) -> Iterator[Command]:
    """Yield the commands of a task of go-task."""
    for file in content.files.find("**/Taskfile.yml", "**/Taskfile.yaml"):
        for document in content.data(file):
            node = document.get("tasks", task or "default")
            for key in ("cmds", "deps", "cmd"):
                below = node.get(key) if node else None
                for entry in [below, *(entry for _, entry in below.entries)] if below else []:
                    named = entry.get("cmd") or entry.get("task")
                    if command := entry.value or (named.value if named else ""):
                        text = f"task {command}" if key == "deps" else command
                        yield Command(text, file, entry.line)


def shell_script(content: Content, name: str, path: str) -> Iterator[Command]:
    """Yield the commands of the shell scripts that a command in a file names."""
    for file in _files(content, name, path.rpartition("/")[0]):
        for number, line in islice(shell.lines(content.text(file) or ""), MAX_SCRIPT_LINES):
            yield Command(line, file, number + 1)


def plain_script(content: Content, name: str, path: str) -> Iterator[Command]:
    """Yield the commands of a shell script whose name has no ending."""
    for file in content.files.find(name, f"{path.rpartition('/')[0]}/{name}")[:1]:
        text = content.text(file) or ""
        if not text.startswith("#!") or "sh" in text.partition("\n")[0]:
            for number, line in islice(shell.lines(text), MAX_SCRIPT_LINES):
                yield Command(line, file, number + 1)


def compose(content: Content, arguments: str, path: str) -> Iterator[Command]:
    """Yield the commands of the named services of Docker Compose, or of all."""
    words = set(arguments.split())
    for file in content.files.find("**/docker-compose*.y*ml", "**/compose*.y*ml")[:MAX_SCRIPTS]:
        for document in content.data(file):
            table = document.get("services")
            services = table.entries if table else []
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


def job(content: Content, name: str, path: str) -> Iterator[Command]:
    """Yield the commands of the job that a command in a file submits."""
    for file in _files(content, name, path.rpartition("/")[0]):
        for document in content.data(file):
            for key, node in data_files.walk(document):
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
