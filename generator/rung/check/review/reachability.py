"""What starts without a person running a file: CI, pipelines, images, jobs, entry points."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from rung.check.review import poe
from rung.check.review.ci import CI
from rung.check.review.content import Content
from rung.check.review.references import References
from rung.check.review.shell import executed
from rung.check.review.workflow import Workflow

TEST = re.compile(
    r"(?:^|/)(?:tests?|e2e)/|(?:^|/)(?:test_[^/]*|[^/]*_tests?|conftest)\.py$", re.IGNORECASE
)
DOCUMENTATION = re.compile(r"(?:^|/)(?:docs?|documentation)/", re.IGNORECASE)
FLOW = re.compile(
    r"\bschedule(?:_interval)?\s*=|\b(?:CronTrigger|CronSchedule|ScheduleDefinition)\b"
)
MOST = 5_000  # files followed


def is_test(path: str) -> bool:
    """Say whether a file is part of the tests."""
    return TEST.search(path) is not None


def is_documentation(path: str) -> bool:
    """Say whether a file is part of the documentation."""
    return DOCUMENTATION.search(path) is not None


@dataclass
class Walk:
    """Files that were reached from a start, and those of them that were not looked into yet."""

    visited: set[str]
    waiting: list[str]


class Reachability:
    """The files that the roots of a repository lead to."""

    def __init__(self, content: Content, ci: CI) -> None:
        """Know what is there."""
        self.content = content
        self.ci = ci
        self.workflow_paths = {workflow.path for workflow in ci.workflows}
        self.modules = ci.runners.python_commands.modules
        self.by_start: dict[str, Walk] = {}
        self.tests = frozenset(filter(is_test, content.files.names.lower))
        self.references = References(content, self.modules, self.tests, self.workflow_paths)

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
            raw = self.content.files.read(path) or b""
            if (b"CronJob" in raw or b"CronWorkflow" in raw) and self.content.data(path):
                roots.add(path)
        return self._follow(roots, texts)

    def reachable_from(self, path: str, wanted: AbstractSet[str]) -> AbstractSet[str]:
        """Return which of some files a file is or leads to; it is followed no further than to them."""
        if path not in self.by_start:
            workflows = [one for one in self.ci.workflows if one.path == path]
            texts = [text for workflow in workflows for text in _texts(workflow)]
            self.by_start[path] = self._start([path], texts)
        walk = self.by_start[path]
        missing = set(wanted) - walk.visited
        while missing and (new := self._step(walk)) is not None:
            missing.difference_update(new)
        return wanted & walk.visited

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
        walk = self._start(roots, texts)
        while self._step(walk) is not None:
            pass
        return frozenset(walk.visited)

    def _start(self, roots: Iterable[str], texts: Iterable[str]) -> Walk:
        walk = Walk(set(roots), list(roots))
        for text in texts:
            _visit(walk, self.references.besides_tests(self.modules.named(text)))
        return walk

    def _step(self, walk: Walk) -> list[str] | None:
        """Look into one file; return what it newly leads to, or None when the walk is over."""
        if not walk.waiting:
            return None
        if len(walk.visited) >= MOST:
            reason = f"searches of imports that ended after {MOST:,} files"
            self.content.files.left_out.note_file(reason, walk.waiting[-1])
            return None
        path = walk.waiting.pop()
        if self.content.files.clock.stops(self.content.files.left_out, path):
            return None
        if walk.visited.issuperset(self.references.possible(path)):
            return []  # so that the file need not be taken apart
        return _visit(walk, self.references.of(path))


def _visit(walk: Walk, paths: Iterable[str]) -> list[str]:
    """Add files to a walk; return those that are new to it."""
    new = [path for path in paths if path not in walk.visited]
    walk.visited.update(new)
    walk.waiting += new
    return new


def _texts(workflow: Workflow) -> list[str]:
    """Return what a CI file runs, and what its settings name."""
    return [*(executed(command.text) for command in workflow.commands), *workflow.named]
