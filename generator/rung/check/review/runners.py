"""What a command starts: make, poe, tox, nox, just, npm, hatch, mise, pre-commit, dvc, scripts, jobs."""

import re
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from itertools import islice

from rung.check.review import makefiles, poe, scripts, task_files
from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.makefiles import LocatedCommand, Rules
from rung.check.review.python_commands import PythonCommands

# What one of the patterns below needs.
ANY = re.compile(
    r"make|MAKE|poe|tox|nox|just|npm|yarn|hatch|pdm|mise|task|pre-commit|prek|dvc|\.(?:ba)?sh|\.ya?ml"
    r"|python|\.py|inv|pixi|\./|sh\s|compose"
)

NAME = r"([A-Za-z0-9_.:/-]+)"
ARGUMENTS = r"(?=\s|$|\")((?:\s+[^\s;&|]+)*)"
TASK = rf"(?=\s|$|\")(?:\s+(?:-\S+\s+)*{NAME})?"
PYTHON = re.compile(
    r"(?:^|[\s;&|(])(?:\S*python[\d.]*\s+(?:-[^\smc]\S*\s+)*)(-m\s+[\w.]+|[\w./-]+\.py)\b"
)


class Runners:
    """What the commands of a repository start: a pattern for each runner, and how it is followed."""

    def __init__(self, content: Content) -> None:
        """Know the commands that start others."""
        self.content = content
        self.python_commands = PythonCommands(content)
        self.table: list[tuple[re.Pattern[str], Callable[[str, str], Iterator[LocatedCommand]]]] = [
            (re.compile(r"(?:^|[\s;&|(])(?:g?make|\$[({]MAKE[)}])((?:\s+[^\s;&|]+)*)"), self._make),
            (re.compile(r"\bpoe(?:thepoet)?\s+(?:-\S+\s+)*" + NAME), self._poe),
            (re.compile(rf"(?:^|[\s;&|(])tox{ARGUMENTS}"), partial(task_files.tox, content)),
            (re.compile(rf"(?:^|[\s;&|(])nox{ARGUMENTS}"), self._nox),
            (re.compile(rf"(?:^|[\s;&|(])just{TASK}"), partial(task_files.just, content)),
            (
                re.compile(r"\b(?:npm|yarn|pnpm)\s+(?:run(?:-script)?\s+)?" + NAME),
                partial(task_files.npm, content),
            ),
            (re.compile(r"\b(?:hatch|pdm)\s+run\s+" + NAME), partial(task_files.hatch, content)),
            (
                re.compile(
                    r"\bpixi\s+(?:run|r)\s+(?:(?:-e|--environment)\s+\S+\s+|-\S+\s+)*" + NAME
                ),
                partial(task_files.pixi, content),
            ),
            (re.compile(r"\bmise\s+(?:run|r)\s+" + NAME), partial(task_files.mise, content)),
            (
                re.compile(rf"(?:^|[\s;&|(])(?:go-)?task{TASK}"),
                partial(task_files.go_task, content),
            ),
            (
                re.compile(r"\b(pre-commit|prek)(?:\s+run|/action)\b"),
                partial(task_files.pre_commit, content),
            ),
            (re.compile(r"\b(dvc\s+(?:repro|exp\s+run))\b"), partial(task_files.dvc, content)),
            (scripts.SCRIPT, partial(scripts.of_shell, content)),
            (scripts.JOB, partial(scripts.of_job, content)),
            (PYTHON, self._python),
            (re.compile(rf"(?:^|[\s;&|(])inv(?:oke)?(?=\s+\w){ARGUMENTS}"), self._invoke),
            (scripts.PLAIN, partial(scripts.of_plain, content)),
            (scripts.COMPOSE, partial(scripts.of_compose, content)),
        ]

    def started_by(
        self, command: str, path: str, started: set[tuple[str, str]]
    ) -> list[LocatedCommand]:
        """Return the commands that a command starts through the repository's task files.

        Args:
            command: what is executed of a line.
            path: the file it is in.
            started: tasks that were given before, and are not given again; it grows.
        """
        commands: list[LocatedCommand] = []
        if not ANY.search(command):
            return commands
        for pattern, follow in self.table:
            for match in pattern.finditer(command):
                task = (pattern.pattern, match[1] or "")
                if task not in started:
                    started.add(task)
                    commands += islice(follow(match[1] or "", path), 500)
        return commands

    def tasks(self) -> Iterator[LocatedCommand]:
        """Give each command of poe's tasks, DVC's stages and make's targets."""
        for tasks in self.poe_tasks.values():
            for file, node in tasks:
                yield from poe.commands(node, file)
        yield from task_files.dvc(self.content, "", "")
        for rules in self._make_rules.values():
            for _, recipe in rules:
                yield from recipe

    def _make(self, arguments: str, path: str) -> Iterator[LocatedCommand]:
        yield from makefiles.commands(self._make_rules, arguments)

    @cached_property
    def _make_rules(self) -> Rules:
        return makefiles.rules(self.content)

    @cached_property
    def poe_tasks(self) -> dict[str, list[tuple[str, Node]]]:
        """Each task of poe by its name, with the file it is in."""
        return poe.tasks(self.content)

    def _poe(self, task: str, path: str) -> Iterator[LocatedCommand]:
        for file, node in self.poe_tasks.get(task, []):
            yield from poe.commands(node, file)

    def _nox(self, arguments: str, path: str) -> Iterator[LocatedCommand]:
        names = task_files.named(arguments, ("-s", "--session", "--sessions"))
        names = [name.partition("-")[0] for name in names]
        for file in self.content.files.find("**/noxfile.py"):
            yield from self.python_commands.of_functions(file, names)

    def _python(self, name: str, path: str) -> Iterator[LocatedCommand]:
        """Give the commands that a Python file or module starts."""
        if name.startswith("-m"):
            stem = name.split()[1].replace(".", "/")
            wanted = [f"**/{stem}.py", f"**/{stem}/__main__.py"]
        else:
            wanted = [f"**/{name.removeprefix('./')}"]
        for file in self.content.files.find(*wanted)[:3]:
            yield from self.python_commands.of_file(file)

    def _invoke(self, arguments: str, path: str) -> Iterator[LocatedCommand]:
        words = [word for word in arguments.split() if not word.startswith("-")]
        names = [word.rpartition(".")[2].replace("-", "_") for word in words]
        for file in self.content.files.find("tasks.py", "tasks/*.py"):
            yield from self.python_commands.of_functions(file, names)
