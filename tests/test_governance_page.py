"""docs/governance.md names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/governance.md").read_text(encoding="utf-8")
TESTS = ROOT / "machinery/tests"


def test_each_try_names_a_test_that_is_there() -> None:
    rows = [line for line in PAGE.split("## What is found")[0].splitlines() if line[:2] == "| "]
    tries = [row for row in rows if not row.startswith(("| What is tried", "| ---"))]

    assert len(tries) > 10
    for row in tries:
        named = re.findall(r"`([\w/]*test_\w+\.py)`", row)
        assert named, row
        for name in named:
            assert (TESTS / "governance" / name).is_file() or (TESTS / name).is_file(), name
