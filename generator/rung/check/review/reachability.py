"""Reachability: the files that run without a person, from roots along imports and names."""

import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import cached_property
from itertools import islice

from rung.check.review.ci import CI, Workflow
from rung.check.review.content import Content
from rung.check.review.data_files import walk
from rung.check.review.documents import RECIPES, ending, without_comments
from rung.check.review.files import is_test
from rung.check.review.runners import poe_commands
from rung.check.review.shell import executed, lines

FLOW = re.compile(
    r"\bschedule(?:_interval)?\s*=|\b(?:CronTrigger|CronSchedule|ScheduleDefinition)\b"
)
# Tests that a conftest.py, or the settings of pytest, leave out.
IGNORED = re.compile(r"^collect_ignore(?:_glob)?[ \t]*\+?=[ \t]*[\[(]([^\])]*)[\])]", re.MULTILINE)
IGNORE = re.compile(r"--ignore(?:-glob)?[= ][\"']?([\w./*-]+)")
NAMES = re.compile(r"[\"']([^\"'\n]+)[\"']")
MAX_FILES = 5_000  # per search

# How the files that a file names are found.
PROSE = (".md", ".lock", ".ipynb", ".csv")
DESCRIBES = re.compile(r"^[ \t]*(?:help|description|desc)[ \t]*=.*", re.MULTILINE)
INSTRUCTION = re.compile(r"^\s*RUN\b(?:\s+--\S+)*", re.IGNORECASE)
QUOTED = re.compile(
    r"""["']([\w/-]*+\.[\w./-]*+(?::\w+)?)["']"""
)  # a file or module name, with a dot


class Reachability:
    """The files that the roots of a repository lead to."""

    def __init__(self, content: Content, ci: CI) -> None:
        self.content = content
        self.ci = ci
        self.workflow_paths = {workflow.path for workflow in ci.workflows}
        self.modules = ci.runners.modules
        # By the file in which a search begins: the files that it reached, and its further steps.
        self.by_start: dict[str, tuple[set[str], Iterator[str]]] = {}
        self.tests = frozenset(filter(is_test, content.files.lower))
        self.not_collected = frozenset(filter(_not_collected(content), self.tests))
        self.named_files: dict[str, list[str]] = {}
        self.started = dict.fromkeys(content.files.find(*content.files.reading.roots))

    @cached_property
    def reached(self) -> frozenset[str]:
        """Files that are started by something, and what they import or name."""
        roots = set(self.workflow_paths)
        roots.update(path for path in self.started if not is_test(path))
        roots.update(self._dvc_dependencies())
        texts = [text for workflow in self.ci.workflows for text in _texts(workflow)]
        texts += [f"-m {target}" for target, _, _ in self.ci.runners.console_scripts.values()]
        for tasks in self.ci.runners.poe_tasks.values():
            for file, node in tasks:
                roots.add(file)
                texts += [executed(command.text) for command in poe_commands(node, file)]
        return self._follow(roots, texts)

    @cached_property
    def scheduled(self) -> frozenset[str]:
        """Files that are started on a schedule, and what they import or name."""
        files = self.content.files
        roots = {path for path in files.find("**/*.py") if self._has_schedule(path)}
        texts = []
        for workflow in self.ci.workflows:
            texts += [command.enforced for command in workflow.scheduled]
            if workflow.scheduled:
                texts += workflow.named
        for path in files.in_time(files.find("**/*.yml", "**/*.yaml")):
            raw = files.read(path) or b""
            if (b"CronJob" in raw or b"CronWorkflow" in raw) and self.content.data(path):
                roots.add(path)
        return self._follow(roots, texts)

    def reachable_from(self, path: str, targets: AbstractSet[str]) -> AbstractSet[str]:
        """Return those of some files that a file is or leads to; the search stops once all are."""
        if path not in self.by_start:
            workflows = [workflow for workflow in self.ci.workflows if workflow.path == path]
            texts = [text for workflow in workflows for text in _texts(workflow)]
            visited = {path}
            self.by_start[path] = visited, self._search(visited, texts)
        visited, steps = self.by_start[path]
        while not targets <= visited and next(steps, None):
            pass
        return targets & visited

    def _has_schedule(self, path: str) -> bool:
        if self.content.files.stops(path):
            return False
        raw = self.content.files.read(path) or b""
        if b"chedule" not in raw and b"CronTrigger" not in raw:
            return False
        if not re.search(rb"\b(?:airflow|dagster|prefect|zenml|metaflow|kfp|flytekit)\b", raw):
            return False
        source = self.content.python(path)
        return source is not None and not is_test(path) and FLOW.search(source.code) is not None

    def _dvc_dependencies(self) -> Iterator[str]:
        """Yield the code in folders that stages of DVC list as dependencies."""
        for file in self.content.files.find("**/dvc.yaml"):
            folders = set()
            for document in self.content.data(file):
                for _, stage in document.get("stages").entries:
                    folder, wdir = file.rpartition("/")[0], stage.get("wdir").value or ""
                    base = posixpath.normpath(f"{folder}/{wdir}".lstrip("/"))
                    for dep in stage.get("deps").texts():
                        folders.add(posixpath.normpath(f"{base}/{dep}"))
            for path in self.content.files.by_ending.get("py", ()):
                if not is_test(path):
                    above = path.split("/")[:-1]
                    tops = {"/".join(above[:depth]) for depth in range(1, len(above) + 1)}
                    if not tops.isdisjoint(folders):
                        yield path

    def _follow(self, roots: set[str], texts: Iterable[str]) -> frozenset[str]:
        for _ in self._search(roots, texts):
            pass
        return frozenset(roots)

    def _search(self, visited: set[str], texts: Iterable[str]) -> Iterator[str]:
        """Add the files that some files and texts lead to; yield each file before it is read."""
        waiting = list(visited)

        def visit(paths: Iterable[str]) -> None:
            new = dict.fromkeys(path for path in paths if path not in visited)
            visited.update(new)
            waiting.extend(new)

        for text in texts:
            visit(path for path in self.modules.named(text) if path not in self.tests)
        while waiting:
            if len(visited) >= MAX_FILES:
                reason = f"searches of imports that ended after {MAX_FILES:,} files"
                self.content.files.left_out.note_file(reason, waiting[-1])
                return
            path = waiting.pop()
            if self.content.files.stops(path):
                return
            yield path
            visit(self._references(path))

    def _references(self, path: str) -> list[str]:
        """Return the files, except tests, that a file imports, quotes or runs."""
        if path not in self.named_files:
            named = self._imported(path) if path.endswith(".py") else self._mentioned(path)
            without_tests = [other for other in dict.fromkeys(named) if other not in self.tests]
            self.named_files[path] = without_tests
        return self.named_files[path]

    def _imported(self, path: str) -> Iterator[str]:
        source = self.content.python(path)
        if source is None:
            return
        folder = path.rpartition("/")[0]
        for name in source.imports:
            yield from self.modules.imported(name, folder)
        for token in dict.fromkeys(QUOTED.findall(source.text)):
            name = token.partition(":")[0]
            files = self.modules.by_name.get(name.rpartition("/")[2], [])
            yield from islice((file for file in files if not file.endswith("__init__.py")), 5)
            yield from self.modules.by_module.get(name, [])

    def _mentioned(self, path: str) -> Iterable[str]:
        """Return the files that a file other than Python names, except in lines that only print.

        Files of CI are not read here, because their commands are followed.
        """
        files = self.content.files
        if (
            path in self.workflow_paths
            or path.endswith(PROSE)
            or files.size(path) >= files.limits.data
        ):
            return ()
        text = self.content.text(path) or ""
        kind = ending(path)
        is_manifest = kind in ("yaml", "yml") and path in self.started
        live = self.content.parsed(path) if is_manifest else None
        if live is not None:  # without stages and jobs that never run
            nodes = (node for document in live for _, node in walk(document))
            text = "\n".join(node.value for node in nodes if node.value is not None)
        text = without_comments(path, text)
        if path.endswith(".toml"):
            text = DESCRIBES.sub("", text)
        elif kind in RECIPES or kind == "dockerfile":
            commands = (line for _, line in lines(text))
            if kind == "dockerfile":
                commands = (INSTRUCTION.sub("", line) for line in commands)
            text = "\n".join(map(executed, commands))
        return self.modules.named(text, path.rpartition("/")[0]) if text else ()


def _not_collected(content: Content) -> Callable[[str], bool]:
    """Return which tests pytest leaves out, by a conftest.py or by its settings."""
    globs: list[str] = []
    for path in content.files.find("**/conftest.py"):
        source = content.python(path)
        folder = path.rpartition("conftest.py")[0]
        for match in IGNORED.finditer(source.text if source else ""):
            globs += [folder + name for name in NAMES.findall(match[1])]
    for path in content.files.find("pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini"):
        globs += IGNORE.findall(content.text(path) or "")
    regexes = [re.compile(fnmatch.translate(glob.removesuffix("/"))) for glob in globs]
    regexes += [re.compile(fnmatch.translate(f"{glob.removesuffix('/')}/*")) for glob in globs]
    return lambda path: any(regex.match(path) for regex in regexes)


def _texts(workflow: Workflow) -> list[str]:
    """Return the commands of a CI file whose failure counts, and the values of its settings."""
    return [*(command.enforced for command in workflow.commands), *workflow.named]
