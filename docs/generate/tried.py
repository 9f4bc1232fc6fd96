"""Write the table of docs/governance-controls.md: what is tried against governance, by the tests that try it.

`python docs/generate/tried.py` prints docs/governance-controls.md with the table as the marks
`@pytest.mark.tried(WHAT, OUTCOME)` of the library's tests have it. Several tests may try the same: the
first of them says what happens.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ("machinery/governance/tests", "machinery/tests")
PAGE = ROOT / "docs/governance-controls.md"
REPOSITORY = "https://github.com/rung-ml/rung/blob/main"  # the page is also one of the site
BEGIN, END = "<!-- tried: written by `make docs` -->", "<!-- /tried -->"


def marks(path: Path) -> Iterator[tuple[str, str]]:
    """Read the marks of a test file: what is tried, and what happens or nothing."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.tried":
                what, outcome = [*(str(ast.literal_eval(each)) for each in mark.args), ""][:2]
                yield what, outcome


def table() -> str:
    """Write the table in Markdown.

    Raises:
        SystemExit: a test says of nothing what happens.
    """
    outcomes: dict[str, str] = {}
    tests: dict[str, dict[str, None]] = {}
    files = (path for folder in TESTS for path in sorted((ROOT / folder).rglob("test_*.py")))
    for path in files:
        for what, outcome in marks(path):
            address = f"{REPOSITORY}/{path.relative_to(ROOT).as_posix()}"
            outcomes[what] = outcomes.get(what) or outcome
            tests.setdefault(what, {})[f"[{path.stem.removeprefix('test_')}]({address})"] = None
    if silent := [what for what, outcome in outcomes.items() if not outcome]:
        raise SystemExit(f"no test says what happens: {'; '.join(silent)}")
    rows = [f"|{what}|{outcomes[what]}|{', '.join(tests[what])}|" for what in outcomes]
    return "\n".join(["|What is tried|What happens|Test|", "|-|-|-|", *rows])


def main() -> None:
    """Print the page with the table of today."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    sys.stdout.write(f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
