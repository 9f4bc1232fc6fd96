"""The library and its tests do without governance: an ejected velocity project has them alone."""

import re

from tests.conftest import ROOT

IMPORTS = re.compile(r"^\s*(from|import) rung_governance", re.MULTILINE)


def test_the_library_and_its_tests_import_no_governance() -> None:
    texts = {
        path: path.read_text("utf-8")
        for folder in ("rung_ops", "tests")
        for path in (ROOT / "machinery" / folder).rglob("*.py")
    }

    assert len(texts) > 300
    assert [path for path, text in texts.items() if IMPORTS.search(text)] == []
