"""What is started without anybody running a file by hand: CI, pipelines, images, jobs, entries."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice

from rung.review import poe, python_source
from rung.review.ci import CI
from rung.review.content import Content
from rung.review.documents import RECIPES, ending, without_comments
from rung.review.shell import executed, lines
from rung.review.workflow import Workflow

TEST = re.compile(
    r"(?:^|/)(?:tests?|e2e)/|(?:^|/)(?:test_[^/]*|[^/]*_tests?|conftest)\.py$", re.IGNORECASE
)
DOCUMENTATION = re.compile(r"(?:^|/)(?:docs?|documentation)/", re.IGNORECASE)
FLOW = re.compile(
    r"\bschedule(?:_interval)?\s*=|\b(?:CronTrigger|CronSchedule|ScheduleDefinition)\b"
)
PROSE = (".md", ".lock", ".ipynb", ".csv")
DESCRIBES = re.compile(r"^[ \t]*(?:help|description|desc)[ \t]*=.*", re.MULTILINE)
INSTRUCTION = re.compile(r"^\s*RUN\b(?:\s+--\S+)*", re.IGNORECASE)
QUOTED = re.compile(r"""["']([\w/-]*+\.[\w./-]*+(?::\w+)?)["']""")  # a name with a dot
# The same wherever a quote stands, for what is quoted in text may end where a string begins.
MAY_QUOTE = re.compile(r"""["'](?=([\w/-]*+\.[\w./-]*+(?::\w+)?)["'])""")
MOST = 5_000  # files followed


def is_test(path: str) -> bool:
    """Say whether a file is part of the tests."""
    return TEST.search(path) is not None


def is_documentation(path: str) -> bool:
    """Say whether a file is part of the documentation."""
    return DOCUMENTATION.search(path) is not None


class Reachability:
    """The files that the roots of a repository lead to."""

    def __init__(self, content: Content, ci: CI) -> None:
        """Know what is there."""
        self.content = content
        self.ci = ci
        self.workflow_paths = {workflow.path for workflow in ci.workflows}
        self.modules = ci.runners.python_commands.modules
        self.by_start: dict[str, frozenset[str]] = {}
        self.tests = frozenset(filter(is_test, content.files.names.lower))
        self.references: dict[str, list[str]] = {}  # from a file, what it names besides tests
        # Of Python the same, and what it only seems to name.
        self.possible: dict[str, list[str]] = {}

    @cached_property
    def reached(self) -> frozenset[str]:
        """All files that something starts, and what they import or name."""
        files = self.content.files
        roots = set(self.workflow_paths)
        roots.update(path for path in files.find(*files.reading.roots) if not is_test(path))
        roots.update(self._read_by_stages())
        texts = [text for workflow in self.ci.workflows for text in _texts(workflow)]
        texts += self._entry_points()
        for tasks in self.ci.runners.poe_tasks.values():
            for file, node in tasks:
                roots.add(file)
                texts += [executed(text) for text, _, _ in poe.commands(node, file)]
        return self._follow(roots, texts)

    @cached_property
    def scheduled(self) -> frozenset[str]:
        """The files that are started on a schedule."""
        roots = {path for path in self.content.files.find("**/*.py") if self._has_schedule(path)}
        texts = []
        for workflow in self.ci.workflows:
            texts += [executed(command.text) for command in workflow.scheduled]
            if workflow.scheduled:
                texts += workflow.named
        for path in self.content.files.find("**/*.yml", "**/*.yaml"):
            if (
                b"CronJob" in (raw := self.content.files.read(path) or b"")
                or b"CronWorkflow" in raw
            ):
                roots.add(path)
        return self._follow(roots, texts)

    def reachable_from(self, path: str) -> frozenset[str]:
        """Return a file and all that it leads to."""
        if path not in self.by_start:
            workflows = [one for one in self.ci.workflows if one.path == path]
            texts = [text for workflow in workflows for text in _texts(workflow)]
            self.by_start[path] = self._follow([path], texts)
        return self.by_start[path]

    def _has_schedule(self, path: str) -> bool:
        raw = self.content.files.read(path) or b""
        if b"chedule" not in raw and b"CronTrigger" not in raw:
            return False
        if not re.search(rb"\b(?:airflow|dagster|prefect|zenml|metaflow|kfp|flytekit)\b", raw):
            return False
        source = self.content.python(path)
        return source is not None and not is_test(path) and FLOW.search(source.code) is not None

    def _entry_points(self) -> list[str]:
        texts = []
        for path in self.content.files.find("**/pyproject.toml"):
            for document in self.content.data(path):
                for keys in (("project", "scripts"), ("tool", "poetry", "scripts")):
                    table = document.get(*keys)
                    texts += (
                        [f"-m {text}" for _, node in table.entries for text in node.texts()]
                        if table
                        else []
                    )
        for path in self.content.files.find("setup.py", "setup.cfg"):
            texts += re.findall(r"=\s*([\w.]+:\w+)", self.content.text(path) or "")
        return texts

    def _read_by_stages(self) -> Iterator[str]:
        """Give the code in the folders that a stage of DVC says it depends on."""
        for file in self.content.files.find("**/dvc.yaml"):
            folders = set()
            for document in self.content.data(file):
                stages = document.get("stages")
                for _, stage in stages.entries if stages else []:
                    folder = file.rpartition("/")[0]
                    inside = stage.get("wdir")
                    base = posixpath.normpath(
                        f"{folder}/{inside.value if inside else ''}".lstrip("/")
                    )
                    deps = stage.get("deps")
                    folders |= {
                        posixpath.normpath(f"{base}/{dep}")
                        for dep in (deps.texts() if deps else [])
                    }
            for path in self.content.files.names.lower:
                if path.endswith(".py") and not is_test(path):
                    above = path.split("/")[:-1]
                    tops = {"/".join(above[:depth]) for depth in range(1, len(above) + 1)}
                    if not tops.isdisjoint(folders):
                        yield path

    def _follow(self, roots: Iterable[str], texts: Iterable[str]) -> frozenset[str]:
        visited: set[str] = set(roots)
        waiting = list(roots)
        for text in texts:
            new = [
                each
                for each in self._besides_tests(self.modules.named(text))
                if each not in visited
            ]
            visited.update(new)
            waiting += new
        while waiting and len(visited) < MOST:
            path = waiting.pop()
            if self.content.files.clock.stops(self.content.files.left_out, path):
                break
            if path not in self.references:
                if path.endswith(".py") and visited.issuperset(self._possible_references(path)):
                    continue  # so that the file need not be taken apart
                self.references[path] = self._besides_tests(self._named_in(path))
            new = [each for each in self.references[path] if each not in visited]
            visited.update(new)
            waiting += new
        return frozenset(visited)

    def _named_in(self, path: str) -> Iterable[str]:
        if path.endswith(".py"):
            return self._imported(path)
        if self.content.files.size(path) < self.content.files.limits.data:
            text = self._executable_text(path)
            return self.modules.named(text, path.rpartition("/")[0]) if text else ()
        return ()

    def _executable_text(self, path: str) -> str:
        """Return what a file that is no Python names, without what it only prints or describes."""
        text = self.content.text(path)
        if not text or path in self.workflow_paths or path.endswith(PROSE):
            return ""
        text = without_comments(path, text)
        if path.endswith(".toml"):
            return DESCRIBES.sub("", text)
        kind = ending(path)
        if kind in RECIPES or kind == "dockerfile":
            instruction = INSTRUCTION if kind == "dockerfile" else None
            return "\n".join(
                executed(instruction.sub("", line) if instruction else line)
                for _, line in lines(text)
            )
        return text

    def _possible_references(self, path: str) -> list[str]:
        """Return what a file of Python would lead to if its docstrings and comments were code."""
        if path not in self.possible:
            text = self.content.text(path) or ""
            names = python_source.may_import(text) if text else ()
            quoted = MAY_QUOTE.findall(text)
            self.possible[path] = self._besides_tests(self._named(path, names, quoted))
        return self.possible[path]

    def _imported(self, path: str) -> Iterator[str]:
        source = self.content.python(path)
        if source is not None:
            yield from self._named(path, source.imports, QUOTED.findall(source.text))

    def _named(self, path: str, names: Iterable[str], quoted: Iterable[str]) -> Iterator[str]:
        """Give the files of the modules that a file imports, and of the names that it quotes."""
        folder = path.rpartition("/")[0]
        for name in names:
            yield from self.modules.imported(name, folder)
        for token in dict.fromkeys(quoted):
            bare = token.partition(":")[0]
            named = self.modules.by_name.get(bare.rpartition("/")[2], [])
            yield from islice((each for each in named if not each.endswith("__init__.py")), 5)
            yield from self.modules.by_module.get(bare, [])

    def _besides_tests(self, found: Iterable[str]) -> list[str]:
        return [path for path in dict.fromkeys(found) if path not in self.tests]


def _texts(workflow: Workflow) -> list[str]:
    """Return what a CI file runs, and what its settings name."""
    return [*(executed(command.text) for command in workflow.commands), *workflow.named]
