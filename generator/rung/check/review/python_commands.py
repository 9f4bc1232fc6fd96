"""The commands that a Python file starts, by itself and through the functions that it imports."""

from collections.abc import Collection, Iterator
from functools import cached_property

from rung.check.review import functions, subprocess_calls
from rung.check.review.content import Content
from rung.check.review.makefiles import LocatedCommand
from rung.check.review.modules import Modules


class PythonCommands:
    """What the Python files of a repository start."""

    def __init__(self, content: Content) -> None:
        """Know the files."""
        self.content = content

    @cached_property
    def modules(self) -> Modules:
        """The files by the names under which they are imported."""
        return Modules(self.content.files.names.lower)

    def of_file(self, file: str) -> Iterator[LocatedCommand]:
        """Give the commands that a file starts, and those of each function that it imports."""
        source = self.content.python(file)
        if source is None:
            return
        for command, line in subprocess_calls.commands(source):
            yield command, file, line
        for name in source.imports:
            module, _, imported = name.rpartition(".")
            if not module.strip("."):
                continue
            for other in self.modules.imported(module, file.rpartition("/")[0]):
                yield from self._of_function(other, imported)

    def of_functions(self, file: str, names: Collection[str]) -> Iterator[LocatedCommand]:
        """Give the commands of functions of a file; of all of it if it has none of these names."""
        source = self.content.python(file)
        known = functions.read(source).keys() & set(names) if source and names else ()
        if not known:
            yield from self.of_file(file)
        for name in known:
            yield from self._of_function(file, name)

    def _of_function(self, file: str, name: str) -> Iterator[LocatedCommand]:
        source = self.content.python(file)
        commands = list(subprocess_calls.commands(source)) if source else []
        if not source or not commands or name not in (known := functions.read(source)):
            return
        lines = frozenset().union(*(each.lines for each in functions.leads_to(known[name], known)))
        yield from ((command, file, line) for command, line in commands if line in lines)
