"""Every module of the library can be imported with what Windows has."""

import builtins
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from machinery.tests.in_project import TEMPLATE

ASSETS = TEMPLATE / "tests/assets"


@pytest.fixture
def imported_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the library be imported once more; what others import takes seconds and stays."""
    before = {name: sys.modules.pop(name) for name in _of_the_library()}
    yield
    for name in _of_the_library():
        del sys.modules[name]
    sys.modules.update(before)


def _of_the_library() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "rung_ops"]


@pytest.mark.skipif(not ASSETS.is_dir(), reason="an ejected project has no tests of Rung")
@pytest.mark.usefixtures("imported_again")
def test_every_module_can_be_imported_without_what_windows_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ASSETS)
    as_on_windows = importlib.import_module("as_on_windows")
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)  # it is back at the end
    as_on_windows.install()
    library = importlib.import_module("rung_ops")
    names = [one.name for one in pkgutil.walk_packages(library.__path__, "rung_ops.")]

    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)

    git = importlib.import_module("rung_ops.system.git")
    assert git.output(Path.cwd(), "--version").startswith("git version")
    assert len(names) > 100
