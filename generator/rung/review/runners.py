"""What a command starts: make, poe, tox, nox, just, npm, hatch, mise, pre-commit, dvc, scripts, jobs."""

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice

from rung.review import makefiles, scripts
from rung.review.content import Content
from rung.review.data_files import Node
from rung.review.makefiles import LocatedCommand, Rules
from rung.review.python_commands import PythonCommands

# What one of the patterns below needs.
ANY = re.compile(
    r"make|MAKE|poe|tox|nox|just|npm|yarn|hatch|pdm|mise|task|pre-commit|prek|dvc|\.(?:ba)?sh|\.ya?ml"
    r"|python|\.py|inv"
)

RECIPE = re.compile(r"^@?([A-Za-z0-9_-]+)(?:[ \t]+[^:\n=]*)?:(?!=)[ \t]*([^\n#]*)")
NAME = r"([A-Za-z0-9_.:/-]+)"
PYTHON = re.compile(
    r"(?:^|[\s;&|(])(?:\S*python[\d.]*\s+(?:-[^\smc]\S*\s+)*)(-m\s+[\w.]+|[\w./-]+\.py)\b"
)


class Runners:
    """The task files of a repository."""

    def __init__(self, content: Content) -> None:
        """Know the commands that start others."""
        self.content = content
        self.python_commands = PythonCommands(content)
        self.table: list[tuple[re.Pattern[str], Callable[[str, str], Iterator[LocatedCommand]]]] = [
            (re.compile(r"(?:^|[\s;&|(])(?:g?make|\$[({]MAKE[)}])((?:\s+[^\s;&|]+)*)"), self._make),
            (re.compile(r"\bpoe(?:thepoet)?\s+(?:-\S+\s+)*" + NAME), self._poe),
            (re.compile(r"(?:^|[\s;&|(])(tox)(?=\s|$|\")"), self._tox),
            (re.compile(r"(?:^|[\s;&|(])(nox)(?=\s|$|\")"), self._nox),
            (re.compile(r"(?:^|[\s;&|(])just\s+" + NAME), self._just),
            (re.compile(r"\b(?:npm|yarn|pnpm)\s+(?:run(?:-script)?\s+)?" + NAME), self._npm),
            (re.compile(r"\b(?:hatch|pdm)\s+run\s+" + NAME), self._hatch),
            (re.compile(r"\bmise\s+(?:run|r)\s+" + NAME), self._mise),
            (re.compile(r"(?:^|[\s;&|(])(?:go-)?task\s+" + NAME), self._task),
            (re.compile(r"\b(pre-commit|prek)\s+run\b"), self._pre_commit),
            (re.compile(r"\b(dvc\s+(?:repro|exp\s+run))\b"), self._dvc),
            (scripts.SCRIPT, lambda name, path: scripts.of_shell(content, name, path)),
            (scripts.JOB, lambda name, path: scripts.of_job(content, name, path)),
            (PYTHON, self._python),
            (re.compile(r"(?:^|[\s;&|(])(inv(?:oke)?)\s+\w"), self._invoke),
        ]

    def started_by(
        self, command: str, path: str, started: set[tuple[str, str]]
    ) -> list[LocatedCommand]:
        """Return the commands that a command starts through the repository's task files.

        Args:
            command: what is executed of a line.
            path: the file it stands in.
            started: tasks that were given before, and are not given again; it grows.
        """
        found: list[LocatedCommand] = []
        if not ANY.search(command):
            return found
        for pattern, follow in self.table:
            for match in pattern.finditer(command):
                task = (pattern.pattern, match[1] or "")
                if task not in started:
                    started.add(task)
                    found += islice(follow(match[1] or "", path), 500)
        return found

    def tasks(self) -> Iterator[LocatedCommand]:
        """Give each command of poe's tasks, DVC's stages and make's targets."""
        for found in self.poe_tasks.values():
            for file, node in found:
                yield from self.poe_commands(node, file)
        yield from self._dvc("", "")
        for rules in self._make_rules.values():
            for _, recipe in rules:
                yield from recipe

    def _make(self, arguments: str, path: str) -> Iterator[LocatedCommand]:
        wanted = [
            each for each in arguments.split() if not each.startswith("-") and "=" not in each
        ]
        folder = re.search(r"-C\s*(\S+)", arguments)
        targets = [each for each in wanted if not folder or each != folder[1]]
        rules = self._make_rules
        first = next(iter(rules), None)
        for target in targets or ([first] if first else []):
            for needed, recipe in rules.get(target, []):
                yield from recipe
                for each in needed:
                    for _, more in rules.get(each, []):
                        yield from more

    @cached_property
    def _make_rules(self) -> Rules:
        return makefiles.rules(self.content)

    def _poe(self, task: str, path: str) -> Iterator[LocatedCommand]:
        for file, node in self.poe_tasks.get(task, []):
            yield from self.poe_commands(node, file)

    def poe_commands(self, node: Node, file: str) -> Iterator[LocatedCommand]:
        """Give the commands of a task of poe."""
        if node.value is not None:
            yield f"{node.value}", file, node.line
            return
        for key, below in node.entries:
            if key in ("cmd", "shell", "script", "expr", "interpreter") and below.value:
                yield below.value, file, below.line
            elif key == "ref" and below.value:
                yield f"poe {below.value}", file, below.line
            elif key in ("sequence", "parallel", "deps", None):
                parts = [below] if key is None else [each for _, each in below.entries]
                for part in parts:
                    if part.value is not None:
                        yield f"poe {part.value}", file, part.line
                    else:
                        yield from self.poe_commands(part, file)

    @cached_property
    def poe_tasks(self) -> dict[str, list[tuple[str, Node]]]:
        """Each task of poe, with the file it stands in."""
        tasks: dict[str, list[tuple[str, Node]]] = {}
        for file in self.content.files.find("**/pyproject.toml", "**/*tasks*.toml", "**/poe*.toml"):
            for document in self.content.data(file):
                found = document.get("tool", "poe", "tasks")
                for name, node in found.entries if found else []:
                    tasks.setdefault(str(name), []).append((file, node))
        return tasks

    def _tox(self, _: str, path: str) -> Iterator[LocatedCommand]:
        for file in self.content.files.find("**/tox.ini", "setup.cfg", "**/tox.toml"):
            inside = False
            for number, line in enumerate((self.content.text(file) or "").split("\n"), 1):
                if match := re.match(r"commands\w*[ \t]*=[ \t]*(.*)", line):
                    inside = True
                    line = match[1]
                elif not line.startswith((" ", "\t")):
                    inside = inside and not line.strip()
                if inside and line.strip():
                    yield line.strip(), file, number
        for document in self.content.data("pyproject.toml"):
            text = document.get("tool", "tox", "legacy_tox_ini")
            for line in (text.value or "").split("\n") if text else []:
                yield line.strip(), "pyproject.toml", text.line if text else 1

    def _nox(self, _: str, path: str) -> Iterator[LocatedCommand]:
        for file in self.content.files.find("**/noxfile.py"):
            yield from self.python_commands.of_file(file)

    def _just(self, recipe: str, path: str) -> Iterator[LocatedCommand]:
        for file in self.content.files.find("**/justfile", "**/.justfile"):
            inside = False
            for number, line in enumerate((self.content.text(file) or "").split("\n"), 1):
                if line.startswith((" ", "\t")):
                    if inside and line.strip():
                        yield line.strip().lstrip("@-"), file, number
                elif match := RECIPE.match(line):
                    inside = match[1] == recipe
                    if inside:
                        for needed in match[2].split():
                            yield f"just {needed}", file, number

    def _npm(self, script: str, path: str) -> Iterator[LocatedCommand]:
        for file in self.content.files.find("**/package.json")[:50]:
            for document in self.content.data(file):
                node = document.get("scripts", script)
                if node and node.value:
                    yield node.value, file, node.line

    def _hatch(self, script: str, path: str) -> Iterator[LocatedCommand]:
        name = script.rpartition(":")[2]
        for document in self.content.data("pyproject.toml"):
            tables = [document.get("tool", "pdm", "scripts")]
            envs = document.get("tool", "hatch", "envs")
            tables += [node.get("scripts") for _, node in envs.entries] if envs else []
            for table in filter(None, tables):
                found = table.get(name)
                if found and not found.is_mapping:
                    yield from ((text, "pyproject.toml", found.line) for text in found.texts())
                command = found.get("cmd") if found else None
                if command and command.value:
                    yield command.value, "pyproject.toml", command.line

    def _mise(self, task: str, path: str) -> Iterator[LocatedCommand]:
        for file in self.content.files.find("mise.toml", ".mise.toml", ".config/mise.toml"):
            for document in self.content.data(file):
                found = document.get("tasks", task)
                if found and not found.is_mapping:
                    yield from ((text, file, found.line) for text in found.texts())
                for key in ("run", "depends"):
                    node = found.get(key) if found else None
                    for text in node.texts() if node else []:
                        command = text if key == "run" else f"mise run {text}"
                        yield command, file, node.line if node else 1

    def _pre_commit(self, _: str, path: str) -> Iterator[LocatedCommand]:
        for file in self.content.files.find(".pre-commit-config.yaml", ".pre-commit-config.yml"):
            for document in self.content.data(file):
                repos = document.get("repos")
                for _key, repo in repos.entries if repos else []:
                    hooks = repo.get("hooks")
                    for _none, hook in hooks.entries if hooks else []:
                        texts = [hook.get("id"), hook.get("entry")]
                        for node in texts:
                            if node and node.value:
                                yield node.value, file, node.line

    def _dvc(self, _: str, path: str) -> Iterator[LocatedCommand]:
        for file in self.content.files.find("**/dvc.yaml"):
            for document in self.content.data(file):
                stages = document.get("stages")
                for _key, stage in stages.entries if stages else []:
                    command = stage.get("cmd") or stage.get("do", "cmd")
                    for text in command.texts() if command else []:
                        yield text, file, command.line if command else 1

    def _python(self, name: str, path: str) -> Iterator[LocatedCommand]:
        """Give the commands that a Python file or module starts."""
        if name.startswith("-m"):
            stem = name.split()[1].replace(".", "/")
            wanted = [f"**/{stem}.py", f"**/{stem}/__main__.py"]
        else:
            wanted = [f"**/{name.removeprefix('./')}"]
        for file in self.content.files.find(*wanted)[:3]:
            yield from self.python_commands.of_file(file)

    def _invoke(self, _: str, path: str) -> Iterator[LocatedCommand]:
        for file in self.content.files.find("tasks.py", "tasks/*.py"):
            yield from self.python_commands.of_file(file)

    def _task(self, task: str, path: str) -> Iterator[LocatedCommand]:
        """Give the commands of a task of go-task."""
        for file in self.content.files.find("**/Taskfile.yml", "**/Taskfile.yaml"):
            for document in self.content.data(file):
                node = document.get("tasks", task)
                for key in ("cmds", "deps", "cmd"):
                    below = node.get(key) if node else None
                    for each in [below, *(one for _, one in below.entries)] if below else []:
                        command = each.value or getattr(
                            each.get("cmd") or each.get("task"), "value", ""
                        )
                        if command:
                            yield f"task {command}" if key == "deps" else command, file, each.line
