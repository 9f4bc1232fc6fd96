"""What is started without anybody running a file by hand: CI, pipelines, images, jobs, entries."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property

from rung.review.ci import CI, Workflow
from rung.review.content import Content
from rung.review.documents import without_comments
from rung.review.shell import executed, lines

MODULE = re.compile(r"(?<![\w./-])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?=[:\s\"',\])]|$)")
RUN_MODULE = re.compile(r"-m[\s\"',]+([A-Za-z_][\w.]*)")
FILE = re.compile(r"[\w./-]+\.\w+")
TEST = re.compile(
    r"(?:^|/)(?:tests?|e2e)/|(?:^|/)(?:test_[^/]*|[^/]*_test|conftest)\.py$", re.IGNORECASE
)
FLOW = re.compile(
    r"\bschedule(?:_interval)?\s*=|\b(?:CronTrigger|CronSchedule|ScheduleDefinition)\b"
)
PROSE = (".md", ".lock", ".ipynb", ".csv")
# Files of commands, line by line, and what describes a task in TOML.
RECIPES = re.compile(r"(?:^|/)[^/]*(?:makefile|justfile|dockerfile|\.mk|\.sh)[^/]*$", re.IGNORECASE)
DESCRIBES = re.compile(r"^[ \t]*(?:help|description|desc)[ \t]*=.*", re.MULTILINE)
INSTRUCTION = re.compile(r"^\s*RUN\b(?:\s+--\S+)*", re.IGNORECASE)
MOST = 5_000  # files followed


def is_test(path: str) -> bool:
    """Say whether a file is part of the tests."""
    return TEST.search(path) is not None


class Reach:
    """The files that the roots of a repository lead to."""

    def __init__(self, content: Content, ci: CI) -> None:
        """Note by which names each file can be imported."""
        self.content = content
        self.ci = ci
        self.workflow_paths = {workflow.path for workflow in ci.workflows}
        self.modules: dict[str, list[str]] = defaultdict(list)
        self.by_name: dict[str, list[str]] = defaultdict(list)
        paths = content.files.names.lower
        packages = {path.rpartition("/")[0] for path in paths if path.endswith("__init__.py")}
        for path in paths:
            self.by_name[path.rpartition("/")[2]].append(path)
            if path.endswith(".py"):
                for name in _module_names(path, packages):
                    self.modules[name].append(path)

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
                texts += [executed(text) for text, _, _ in self.ci.runners.poe_commands(node, file)]
        return self._follow(roots, texts)

    @cached_property
    def scheduled(self) -> frozenset[str]:
        """The files that are started on a schedule."""
        roots = {path for path in self.content.files.find("**/*.py") if self._has_schedule(path)}
        texts = []
        for workflow in self.ci.workflows:
            if workflow.is_scheduled:
                roots.add(workflow.path)
                texts += _texts(workflow)
        for path in self.content.files.find("**/*.yml", "**/*.yaml"):
            if (
                b"CronJob" in (raw := self.content.files.read(path) or b"")
                or b"CronWorkflow" in raw
            ):
                roots.add(path)
        return self._follow(roots, texts)

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
        seen: set[str] = set(roots)
        waiting = list(roots)
        for text in texts:
            waiting += self._named(text, "", seen)
        while waiting and len(seen) < MOST:
            path = waiting.pop()
            if self.content.files.clock.stops(self.content.files.left_out, path):
                break
            if path.endswith(".py"):
                waiting += self._imported(path, seen)
            elif self.content.files.size(path) < self.content.files.limits.data:
                said = self._says(path)
                if said:
                    waiting += self._named(said, path.rpartition("/")[0], seen)
        return frozenset(seen)

    def _says(self, path: str) -> str:
        """Return what a file that is no Python names, without what it only prints or describes."""
        said = self.content.text(path)
        if not said or path in self.workflow_paths or path.endswith(PROSE):
            return ""
        said = without_comments(path, said)
        if path.endswith(".toml"):
            return DESCRIBES.sub("", said)
        if RECIPES.search(path):
            instruction = INSTRUCTION if "ockerfile" in path else None
            return "\n".join(
                executed(instruction.sub("", text) if instruction else text)
                for _, text in lines(said)
            )
        return said

    def _named(self, text: str, folder: str, seen: set[str]) -> list[str]:
        """Return the files, not seen before, that a command or a configuration names."""
        found: list[str] = []
        for token in set(FILE.findall(text)):
            bare = token.lstrip("./")
            candidates = self.by_name.get(bare.rpartition("/")[2], ())
            near = [path for path in candidates if path in (bare, f"{folder}/{bare}")]
            found += near or [path for path in candidates if f"/{path}".endswith(f"/{bare}")][:5]
        for name in {*RUN_MODULE.findall(text), *MODULE.findall(text)}:
            found += self._module(name)
        return self._new(found, seen)

    def _module(self, name: str) -> list[str]:
        """Return the files of the longest part of a dotted name that is a module here."""
        while name:
            if name in self.modules:
                runs = self.modules.get(f"{name}.__main__", [])
                return [*self.modules[name], *runs]
            name = name.rpartition(".")[0]
        return []

    def _imported(self, path: str, seen: set[str]) -> list[str]:
        source = self.content.python(path)
        if source is None:
            return []
        folder = path.rpartition("/")[0]
        found: list[str] = []
        for name in source.imports:
            found += self._resolve(name, folder)
        for token in re.findall(r"""["']([\w./-]+(?::\w+)?)["']""", source.text):
            if "." in token:
                bare = token.partition(":")[0]
                named = self.by_name.get(bare.rpartition("/")[2], [])
                found += [each for each in named if not each.endswith("__init__.py")][:5]
                found += self.modules.get(bare, [])
        return self._new(found, seen)

    def _resolve(self, name: str, folder: str) -> list[str]:
        dots = len(name) - len(name.lstrip("."))
        if dots:
            parts = folder.split("/")
            base = "/".join(parts[: len(parts) - dots + 1])
            stem = f"{base}/{name[dots:].replace('.', '/')}".strip("/")
            tried = (f"{stem}.py", f"{stem}/__init__.py")
            return [path for path in tried if path in self.content.files.names.lower]
        beside = f"{folder}/{name.replace('.', '/')}.py".lstrip("/")
        if beside in self.content.files.names.lower:
            return [beside]
        found: list[str] = []
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            found += self.modules.get(".".join(parts[:end]), [])[:3]
        return found

    def _new(self, found: Iterable[str], seen: set[str]) -> list[str]:
        new = [path for path in dict.fromkeys(found) if path not in seen and not is_test(path)]
        seen.update(new)
        return new


def _texts(workflow: Workflow) -> list[str]:
    """Return what a CI file runs, and what its settings name."""
    return [*(executed(command.text) for command in workflow.commands), *workflow.named]


def _module_names(path: str, packages: set[str]) -> list[str]:
    """Return the dotted names by which a file can be imported."""
    stem = path.removesuffix(".py").removesuffix("/__init__")
    parts = stem.split("/")
    top = len(parts) - 1
    while top > 0 and "/".join(parts[:top]) in packages:
        top -= 1
    names = {".".join(parts[top:])}
    if parts[0] == "src":
        names.add(".".join(parts[1:]))
    names.add(".".join(parts))
    return [name for name in names if name]
