"""What can be said on Linux about Windows: Rung sees the modules and names that it has there."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

BEGIN = "import sys; sys.path.insert(0, sys.argv.pop(1)); import as_on_windows\n"
BEGIN += "as_on_windows.install()\n"
COMMAND = BEGIN + "from rung.__main__ import main; sys.exit(main(sys.argv[1:]))"
IMPORT_ALL = BEGIN + (
    "import importlib, pkgutil\n"
    "package = importlib.import_module(sys.argv[1])\n"
    "names = [one.name for one in pkgutil.walk_packages(package.__path__, f'{sys.argv[1]}.')]\n"
    "for name in names:\n"
    "    importlib.import_module(name)\n"
    "print(len(names))\n"
)


def on_windows(code: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python where modules of Rung see what Windows has."""
    assets = str(ROOT / "tests/assets")
    return subprocess.run(
        [sys.executable, "-c", code, assets, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def rung(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of Rung there."""
    return on_windows(COMMAND, *arguments, cwd=cwd)


def test_every_module_of_rung_can_be_imported() -> None:
    done = on_windows(IMPORT_ALL, "rung")

    assert 0 == done.returncode, done.stderr
    assert int(done.stdout) > 100


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import fcntl", "imports fcntl, which Windows lacks"),
        ("import os\nos.killpg", "os has no killpg on Windows"),
        ("import signal\nsignal.SIGKILL", "signal has no SIGKILL on Windows"),
    ],
)
def test_what_windows_lacks_is_missed(code: str, message: str) -> None:
    request = BEGIN + f"exec({code!r}, {{'__name__': 'rung.asking'}})"

    assert message in on_windows(request).stderr


def put_into_texts(path: Path) -> Iterator[int]:
    """Give the lines where a path below a folder becomes a text with the separators of the system."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        shown: ast.AST | None = None
        if isinstance(node, ast.FormattedValue):
            shown = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            shown = node.args[0] if node.func.id == "str" else None
        named = shown.func if isinstance(shown, ast.Call) else None
        if isinstance(named, ast.Attribute) and named.attr == "relative_to":
            yield named.lineno


def test_paths_below_a_folder_have_the_same_text_on_every_system() -> None:
    result = [
        f"{path.relative_to(ROOT).as_posix()}:{line}"
        for folder in ("generator/rung", "machinery/rung_ops")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in put_into_texts(path)
    ]

    assert [] == result


def test_a_project_is_made_checked_and_planned(tmp_path: Path) -> None:
    for arguments, message in {
        ("new", "made", "--defaults", "--template", str(ROOT)): "made: rung 0",
        ("check", "made"): "Rung 0",
        ("fleet", "."): "made",
        ("plan", "made", "--to", "1", "--template", str(ROOT)): "Rung 1, Tested",
    }.items():
        done = rung(*arguments, cwd=tmp_path)

        assert 0 == done.returncode, done.stderr
        assert message in done.stdout

    done = rung("climb", "made", "--to", "1", "--no-verify", cwd=tmp_path)

    assert 2 == done.returncode
    assert "Subsystem for Linux (WSL)" in done.stderr


def test_a_run_of_a_repositorys_own_checks_ends_with_what_it_started(tmp_path: Path) -> None:
    code = BEGIN + (
        "from pathlib import Path\n"
        "from rung.check.proof import run\n"
        "done = run.run([sys.executable, '-c', 'print(1); input()'], Path('.'), 60, {})\n"
        "late = run.run([sys.executable, '-c', 'import time; time.sleep(60)'], Path('.'), 0.5, {})\n"
        "print(done.result, done.tail[0], late.result)\n"
    )

    assert "failed 1 timed out\n" == on_windows(code, cwd=tmp_path).stdout
