"""Import the user's code of one release, apart from that of every other release and the project.

A release carries the text of src/ as it was. Its modules get a name of their own, made from the
text, and what they import from their package leads to the same text. So two releases live in one
process, none sees the other's modules or the project's, and there is nothing to put back.
"""

import builtins
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from rung_ops.release.bundle import SOURCE, BadBundle

PREFIX = "_release_"
# What the user's code may raise while it scores: anything, and a panic of polars is no Exception.
FAULTS = (Exception, pl.exceptions.PanicException)


def features_of(folder: Path, package: str) -> list[pl.Expr]:
    """Import FEATURES as they were when the release was made.

    Args:
        folder: a verified release.
        package: the name of the user's package.

    Raises:
        BadBundle: its source cannot be imported, or holds no list of expressions.
    """
    found = getattr(module_of(folder, package, "features"), "FEATURES", None)
    features = list(found) if isinstance(found, Sequence) else []
    if not features or not all(isinstance(feature, pl.Expr) for feature in features):
        raise BadBundle(
            f"{folder.name}: FEATURES in {SOURCE}/{package}/features.py is no list of expressions"
        )
    return features


def module_of(folder: Path, package: str, name: str) -> ModuleType:
    """Import one module of a release's source, as `features`, `model` or `dataset`.

    Raises:
        BadBundle: it cannot be imported; the message says why.
    """
    alias = _install(folder, package)
    try:
        return importlib.import_module(f"{alias}.{name}")
    except Exception as error:  # the user's code may raise anything
        said = str(error).replace(alias, package)
        raise BadBundle(
            f"{folder.name}: {SOURCE}/{package}/{name}.py cannot be imported "
            f"({type(error).__name__}: {said})"
        ) from error


@contextmanager
def under_its_name(folder: Path, package: str, modules: Iterable[str]) -> Iterator[None]:
    """Let a loader that finds classes by the name of their module find those of a release.

    Args:
        folder: a verified release.
        package: the name of the user's package.
        modules: names of modules; those of other packages are left alone.

    Raises:
        BadBundle: one of them cannot be imported.
    """
    found = {
        name: module_of(folder, package, name.removeprefix(f"{package}."))
        for name in modules
        if name.startswith(f"{package}.")
    }
    if found:
        found[package] = sys.modules[_install(folder, package)]
    # Only one at a time: it is the process's own table that is changed.
    with _by_name:
        before = {name: sys.modules.get(name) for name in found}
        sys.modules.update(found)
        try:
            yield
        finally:
            for name, module in before.items():
                if module is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = module


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of the releases that were installed, and of nothing else."""

    def __init__(self) -> None:
        self.packages: dict[str, dict[str, tuple[Path, bytes]]] = {}
        self.lock = threading.Lock()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        alias, _, inner = fullname.partition(".")
        files = self.packages.get(alias)
        if files is None:
            return None
        stem = inner.replace(".", "/")
        package = f"{stem}/__init__.py".lstrip("/")
        for file in (package, f"{stem}.py"):
            if file in files:
                place, text = files[file]
                loader = _Loader(alias, place, text)
                return importlib.util.spec_from_file_location(
                    fullname,
                    place,
                    loader=loader,
                    submodule_search_locations=[str(place.parent)] if file == package else None,
                )
        if any(file.startswith(f"{stem}/" if stem else "") for file in files):
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            return spec  # a folder without __init__.py
        return None


class _Loader(importlib.abc.InspectLoader):
    """Runs text that was read once, so that no later change of the file counts.

    It writes no bytecode: a new file would break the release's signature.
    """

    def __init__(self, alias: str, place: Path, text: bytes) -> None:
        self.alias = alias
        self.place = place
        self.text = text

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self.text)

    def get_code(self, fullname: str) -> Any:
        return compile(self.text, str(self.place), "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return self.place.name == "__init__.py"

    def exec_module(self, module: ModuleType) -> None:
        own = dict(vars(builtins))
        own["__import__"] = _import_for(self.alias)
        module.__dict__["__builtins__"] = own
        exec(self.get_code(module.__name__), module.__dict__)


_by_name = threading.RLock()
_finder = _Finder()
_names: dict[str, str] = {}  # alias to the package's real name


def _import_for(alias: str) -> Any:
    """Make the import statement of a release's modules, also for functions that run later."""
    package = _names[alias]

    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and (name == package or name.startswith(f"{package}.")):
            name = alias + name[len(package) :]
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    return import_


def _install(folder: Path, package: str) -> str:
    """Read a release's source and return the name under which it can be imported."""
    root = (folder / SOURCE / package).resolve()
    # Whatever lies beside the modules counts: they may read it.
    texts = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    content = hashlib.sha256(f"{package}\0{root}".encode())
    for name, text in texts.items():
        content.update(b"\0%s\0%d\0%s" % (name.encode(), len(text), text))
    alias = PREFIX + content.hexdigest()[:24]
    files = {name: (root / name, text) for name, text in texts.items() if name.endswith(".py")}
    if not files:
        raise BadBundle(f"{folder.name} holds no source: {SOURCE}/{package} is missing or empty")
    with _finder.lock:
        # The same text in the same place is the same modules: a release that comes back after
        # another costs nothing.
        if alias not in _finder.packages:
            _names[alias] = package
            _finder.packages[alias] = files
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
    return alias
