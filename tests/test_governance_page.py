"""docs/governance.md says what the library's tests try."""

import re

import pytest

from tests.assets import tried_table
from tests.conftest import ROOT

PAGE = tried_table.PAGE.read_text(encoding="utf-8")


def test_the_table_is_written_from_the_tests() -> None:
    assert tried_table.table() in PAGE
    assert len(tried_table.table().splitlines()) > 40


def test_a_try_of_which_no_test_says_what_happens_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tried_table, "marks", lambda path: [("Walk past", "")])

    with pytest.raises(SystemExit, match="no test says what happens: Walk past"):
        tried_table.table()


def test_each_test_that_is_named_in_the_text_is_there() -> None:
    named = set(re.findall(r"`([\w/]*test_\w+\.py)`", PAGE))

    assert len(named) > 5
    for name in named:
        folders = (*(ROOT / folder for folder in tried_table.TESTS), ROOT)
        assert any((folder / name).is_file() for folder in folders), name
