"""Which other files of a repository a file names, by an import, a path or a module's name."""

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from rung.check.review import python_source
from rung.check.review.content import Content
from rung.check.review.documents import RECIPES, ending, without_comments
from rung.check.review.modules import Modules
from rung.check.review.shell import executed, lines

PROSE = (".md", ".lock", ".ipynb", ".csv")
DESCRIBES = re.compile(r"^[ \t]*(?:help|description|desc)[ \t]*=.*", re.MULTILINE)
INSTRUCTION = re.compile(r"^\s*RUN\b(?:\s+--\S+)*", re.IGNORECASE)
NAME = re.compile(r"[\w/-]*+\.[\w./-]*+(?::\w+)?")  # one that has a dot
QUOTED = re.compile(rf"""["']({NAME.pattern})["']""")


class References:
    """The references of each file, read on demand and cached."""

    def __init__(
        self,
        content: Content,
        modules: Modules,
        tests: Collection[str],
        workflow_paths: Collection[str],
    ) -> None:
        """Know what can be named; files of CI name nothing here, for their commands are followed."""
        self.content = content
        self.modules = modules
        self.tests = tests
        self.workflow_paths = workflow_paths
        self.named_files: dict[str, list[str]] = {}
        self.mentioned: dict[str, tuple[list[str], int]] = {}

    def of(self, path: str) -> list[str]:
        """Return the files that a file names, besides tests."""
        if path not in self.named_files:
            self.named_files[path] = self.besides_tests(self._named_in(path))
        return self.named_files[path]

    def possible(self, path: str) -> list[str]:
        """Return the same, of Python with what docstrings and comments mention, which costs less."""
        if path in self.named_files or not path.endswith(".py"):
            return self.of(path)
        return self._mentioned(path)[0]

    def _mentioned(self, path: str) -> tuple[list[str], int]:
        """Return what a file of Python may name, and the position after the last mention of it."""
        if path not in self.mentioned:
            text = self.content.text(path) or ""
            paths: dict[str, None] = {}
            last = 0
            imported = python_source.may_import(text)
            mentions = [(end, self._named(path, [name], ())) for name, end in imported.items()]
            mentions += [(end, self._named(path, (), [name])) for name, end in _may_quote(text)]
            for end, named in mentions:
                for each in named:
                    if each not in self.tests:
                        paths[each] = None
                        last = max(last, end)
            self.mentioned[path] = (list(paths), last)
        return self.mentioned[path]

    def _named_in(self, path: str) -> Iterable[str]:
        if path.endswith(".py"):
            return self._imported(path)
        if self.content.files.size(path) < self.content.files.limits.data:
            text = self._executable_text(path)
            return self.modules.named(text, path.rpartition("/")[0]) if text else ()
        return ()

    def _executable_text(self, path: str) -> str:
        """Return the names in a non-Python file, without what it only prints or describes."""
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

    def _imported(self, path: str) -> Iterator[str]:
        """Give what a file of Python leads to, which is taken apart as far as it mentions any."""
        _, last = self._mentioned(path)
        text = self.content.text(path) or ""
        end = text.find("\n", last)
        source = python_source.read(text[:end] if end >= 0 else text)
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

    def besides_tests(self, paths: Iterable[str]) -> list[str]:
        """Return files, each once, without those of the tests."""
        return [path for path in dict.fromkeys(paths) if path not in self.tests]


def _may_quote(text: str) -> Iterator[tuple[str, int]]:
    """Give each name between two quotes of any kind, with the position after its last mention.

    Quoted text may end where a string begins, and what is between may be no string.
    """
    plain = text.replace("'", '"')
    for name in dict.fromkeys(piece for piece in plain.split('"')[1:-1] if "." in piece):
        if NAME.fullmatch(name):
            yield name, plain.rfind(f'"{name}"') + 1 + len(name)
