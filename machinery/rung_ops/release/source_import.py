"""Import the user's code of a release, isolated from other releases and from the project.

A release carries a copy of src/. Its modules are imported under an alias derived from their text,
and their imports of their own package resolve to that alias. So one process can hold two releases
without either seeing the modules of the other or of the project.
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
# The user's code may raise anything while it scores; a panic of polars is not an Exception.
FAULTS = (Exception, pl.exceptions.PanicException)


def features_of(folder: Path, package: str) -> list[pl.Expr]:
    """Import FEATURES as they were when the release was made.

    Args:
        folder: a verified release.
        package: the name of the user's package.

    Raises:
        BadBundle: its source cannot be imported, or FEATURES is not a list of expressions.
    """
    value = getattr(module_of(folder, package, "features"), "FEATURES", None)
    features = list(value) if isinstance(value, Sequence) else []
    if not features or not all(isinstance(feature, pl.Expr) for feature in features):
        raise BadBundle(
            f"{folder.name}: FEATURES in {SOURCE}/{package}/features.py is not a list of "
            "expressions"
        )
    return features


def module_of(folder: Path, package: str, name: str) -> ModuleType:
    """Import one module of a release's source, such as `features`, `model` or `dataset`.

    Raises:
        BadBundle: it cannot be imported; the message says why.
    """
    alias = _install(folder, package)
    try:
        return importlib.import_module(f"{alias}.{name}")
    except Exception as error:  # the user's code may raise anything
        message = str(error).replace(alias, package)
        raise BadBundle(
            f"{folder.name}: {SOURCE}/{package}/{name}.py cannot be imported "
            f"({type(error).__name__}: {message})"
        ) from error


@contextmanager
def importable_by_name(folder: Path, package: str, modules: Iterable[str]) -> Iterator[None]:
    """Make modules of a release importable by their real names, for a loader of pickled classes.

    Args:
        folder: a verified release.
        package: the name of the user's package.
        modules: names of modules; those of other packages are ignored.

    Raises:
        BadBundle: one of them cannot be imported.
    """
    modules_by_name = {
        name: module_of(folder, package, name.removeprefix(f"{package}."))
        for name in modules
        if name.startswith(f"{package}.")
    }
    if modules_by_name:
        modules_by_name[package] = sys.modules[_install(folder, package)]
    # One thread at a time: sys.modules belongs to the whole process.
    with _modules_lock:
        before = {name: sys.modules.get(name) for name in modules_by_name}
        sys.modules.update(modules_by_name)
        try:
            yield
        finally:
            for name, module in before.items():
                if module is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = module


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of installed releases only."""

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
                source_path, text = files[file]
                parent = [str(source_path.parent)]
                return importlib.util.spec_from_file_location(
                    fullname,
                    source_path,
                    loader=_Loader(alias, source_path, text),
                    submodule_search_locations=parent if file == package else None,
                )
        if any(file.startswith(f"{stem}/" if stem else "") for file in files):
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            return spec  # a folder without __init__.py
        return None


class _Loader(importlib.abc.InspectLoader):
    """Runs source text that was read once, so later changes of the file have no effect.

    It writes no bytecode: a new file would break the release's signature.
    """

    def __init__(self, alias: str, path: Path, text: bytes) -> None:
        self.alias = alias
        self.path = path
        self.text = text

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self.text)

    def get_code(self, fullname: str) -> Any:
        return compile(self.text, str(self.path), "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return self.path.name == "__init__.py"

    def exec_module(self, module: ModuleType) -> None:
        own = dict(vars(builtins))
        own["__import__"] = _import_for(self.alias)
        module.__dict__["__builtins__"] = own
        exec(self.get_code(module.__name__), module.__dict__)


_modules_lock = threading.RLock()
_finder = _Finder()
_names: dict[str, str] = {}  # alias to the package's real name


def _import_for(alias: str) -> Any:
    """Return the __import__ of a release's modules, which functions that run later use too."""
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
    """Read the source of a release and return the alias that it can be imported by."""
    root = (folder / SOURCE / package).resolve()
    # Hash all files beside the modules: the modules may read them.
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
        raise BadBundle(f"{folder.name} has no source: {SOURCE}/{package} is missing or empty")
    with _finder.lock:
        # The same text at the same path gives the same modules, so a release that is served
        # again is not imported again.
        if alias not in _finder.packages:
            _names[alias] = package
            _finder.packages[alias] = files
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
    return alias
