"""Every module of the library can be imported with what Windows has."""

import subprocess
import sys

import pytest

from machinery.tests.in_project import ROOT, TEMPLATE

ASSETS = TEMPLATE / "tests/assets"
IMPORT_ALL = (
    "import sys; sys.path[:0] = sys.argv[1:]; import as_on_windows\n"
    "as_on_windows.install()\n"
    "import importlib, pkgutil, rung_ops\n"
    "names = [one.name for one in pkgutil.walk_packages(rung_ops.__path__, 'rung_ops.')]\n"
    "for name in names:\n"
    "    if not name.endswith('__main__'):\n"
    "        importlib.import_module(name)\n"
    "print(len(names))\n"
)


@pytest.mark.skipif(not ASSETS.is_dir(), reason="an ejected project has no tests of Rung")
def test_every_module_can_be_imported_without_what_windows_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(ASSETS), str(ROOT / "src")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert int(done.stdout) > 300
