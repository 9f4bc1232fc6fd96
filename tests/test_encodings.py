"""What a program prints is read as UTF-8 on every system; Ruff (PLW1514) looks at files."""

import ast

from tests.conftest import ROOT


def left_to_the_system(text: str) -> list[int]:
    """Return the lines of calls that read a program's output as text of the system's encoding."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    named = {call: {each.arg for each in call.keywords} for call in calls}
    started = [call for call in calls if ast.unparse(call.func).startswith("subprocess.")]
    return [
        call.lineno for call in started if "text" in named[call] and "encoding" not in named[call]
    ]


def test_output_of_programs_has_its_encoding() -> None:
    paths = [
        path
        for folder in ("generator/rung", "machinery/rung_ops", "templates")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    wrong = {path.name: left_to_the_system(path.read_text("utf-8")) for path in paths}

    assert [1] == left_to_the_system("subprocess.run(words, text=True)")
    assert {} == {name: lines for name, lines in wrong.items() if lines}
