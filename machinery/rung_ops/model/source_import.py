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

from rung_ops.model.bundle import SOURCE, BundleError, PrivateCopy, ReleaseFiles
from rung_ops.model.entity_feature import EntityFeature

Release = Path | ReleaseFiles

PREFIX = "_release_"
# The user's code may raise anything while it scores; a panic of polars is not an Exception.
FAULTS = (Exception, pl.exceptions.PanicException)


def features_of(release: Release, package: str) -> list[pl.Expr]:
    """Import FEATURES as they were when the release was made.

    Raises:
        BundleError: its source cannot be imported, or FEATURES is not a list of expressions.
    """
    return _list_of(release, package, "FEATURES", pl.Expr, "expressions")


def entity_features_of(release: Release, package: str) -> list[EntityFeature]:
    """Import ENTITY_FEATURES as they were when the release was made; empty if it has none."""
    return _list_of(release, package, "ENTITY_FEATURES", EntityFeature, "EntityFeature", True)


def _list_of(
    release: Release, package: str, name: str, kind: type, kinds: str, may_be_empty: bool = False
) -> list[Any]:
    value = getattr(module_of(release, package, "features"), name, [])
    is_list = isinstance(value, Sequence) and all(isinstance(each, kind) for each in value)
    if not is_list or not (value or may_be_empty):
        raise BundleError(
            f"{release.name}: {name} in {SOURCE}/{package}/features.py is not a list of {kinds}"
        )
    return list(value)


def module_of(release: Release, package: str, name: str) -> ModuleType:
    """Import one module of a release's source, such as `features`, `model` or `dataset`."""
    alias = _install(release, package)
    try:
        return importlib.import_module(f"{alias}.{name}")
    except Exception as error:  # the user's code may raise anything
        message = str(error).replace(alias, package)
        raise BundleError(
            f"{release.name}: {SOURCE}/{package}/{name}.py cannot be imported "
            f"({type(error).__name__}: {message})"
        ) from error


@contextmanager
def importable_by_name(release: Release, package: str, modules: Iterable[str]) -> Iterator[None]:
    """Make modules of a release importable by their real names, for a loader of pickled classes.

    Modules of other packages are ignored.
    """
    modules_by_name = {
        name: module_of(release, package, name.removeprefix(f"{package}."))
        for name in modules
        if name.startswith(f"{package}.")
    }
    if modules_by_name:
        modules_by_name[package] = sys.modules[_install(release, package)]
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


class _Package:
    """The source of one release, and where its modules believe to lie."""

    def __init__(self, root: Path, contents: Mapping[str, bytes], is_verified: bool) -> None:
        self.texts = {name: text for name, text in contents.items() if name.endswith(".py")}
        self.root = root
        # What is in the release's own folder is not verified when a module reads it later, or
        # when Python looks there for a module that the release does not have.
        self.is_searched = not is_verified
        if is_verified and len(self.texts) < len(contents):
            self.copy = PrivateCopy(contents)
            self.root, self.is_searched = self.copy.folder, True


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of installed releases only."""

    def __init__(self) -> None:
        self.packages: dict[str, _Package] = {}
        self.lock = threading.Lock()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        alias, _, inner = fullname.partition(".")
        release = self.packages.get(alias)
        if release is None:
            return None
        stem = inner.replace(".", "/")
        package = f"{stem}/__init__.py".lstrip("/")
        for file in (package, f"{stem}.py"):
            if file in release.texts:
                source_path = release.root / file
                loader = _Loader(alias, source_path, release.texts[file])
                module_spec = importlib.util.spec_from_file_location(
                    fullname, source_path, loader=loader
                )
                if module_spec is not None and file == package:
                    # Set afterwards: the function takes an empty list for the file's own folder.
                    folders = [str(source_path.parent)] if release.is_searched else []
                    module_spec.submodule_search_locations = folders
                return module_spec
        if any(file.startswith(f"{stem}/" if stem else "") for file in release.texts):
            # A folder without __init__.py.
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
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


def _install(release: Release, package: str) -> str:
    """Read the source of a release and return the alias that it can be imported by."""
    files = ReleaseFiles.wrap(release)
    source = f"{SOURCE}/{package}"
    root = (files.folder / source).resolve()
    # Hash all files beside the modules: the modules may read them.
    texts = {path.removeprefix(f"{source}/"): files.read(path) for path in files.below(source)}
    content = hashlib.sha256(f"{package}\0{root}\0{files.is_verified}".encode())
    for name, text in texts.items():
        content.update(b"\0%s\0%d\0%s" % (name.encode(), len(text), text))
    alias = PREFIX + content.hexdigest()[:24]
    if not any(name.endswith(".py") for name in texts):
        raise BundleError(f"{release.name} has no source: {source} is missing or empty")
    with _finder.lock:
        # The same text at the same path gives the same modules, so a release that is served
        # again is not imported again.
        if alias not in _finder.packages:
            _names[alias] = package
            _finder.packages[alias] = _Package(root, texts, files.is_verified)
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
    return alias
