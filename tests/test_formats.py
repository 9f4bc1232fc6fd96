"""A new output format is a module with a function, and a line in the registry."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = "def count(*of, **more):\n    return f'{len(of)} given\\n'\n"
ADD = (
    "import sys\n"
    "from rung.output_formats import FORMATS\n"
    "FORMATS[sys.argv[1]]['count'] = 'counting:count'\n"
    "from rung.__main__ import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


@pytest.mark.parametrize(
    ("command", "arguments", "printed"),
    [
        ("check", ["."], "2 given\n"),
        ("fleet", ["."], "2 given\n"),
        ("assess", ["--defaults"], "1 given\n"),
        ("doctor", [], "1 given\n\n"),
    ],
)
def test_a_format_is_a_function_and_a_line(
    command: str, arguments: list[str], printed: str, tmp_path: Path
) -> None:
    (tmp_path / "counting.py").write_text(MODULE, "utf-8")
    (tmp_path / "repository/one/.git").mkdir(parents=True)

    def run(*more: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", ADD, command, *more],
            cwd=tmp_path / "repository",
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    assert printed == run(*arguments, "--format", "count")
    assert " or count." in " ".join(run("--help").split())
