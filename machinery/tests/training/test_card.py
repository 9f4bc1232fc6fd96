"""The model card holds the owner's prose and the figures of the run, and no single row."""

import json
from pathlib import Path
from typing import Any

import pytest

from machinery.tests.projects import moved
from rung_ops.addons import Addon
from rung_ops.project import active_addons
from rung_ops.training import model_card
from rung_ops.training.model_card import card


def written(folder: Path, **reports: Any) -> str:
    for name, content in reports.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return card("# Card\n\n## Intended use\n\nTo try.\n", folder)


def test_the_prose_comes_first_and_unchanged(tmp_path: Path) -> None:
    text = written(tmp_path, another={"size": 1}, metrics={"auc": 0.75})

    assert text.startswith("# Card\n\n## Intended use\n\nTo try.\n")
    assert "|auc|0.75|" in text
    assert text.index("### Scores on the test rows") < text.index("### Another")


def test_a_section_written_elsewhere_is_in_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/use_case.md").write_text("# Use\n\n## Intended use\nTo try.\n\n## Empty\n")
    moved(monkeypatch, model_card, root=tmp_path)
    reference = "See docs/use_case.md, {}.\n"

    assert model_card.card(reference.format("Intended use"), tmp_path).startswith("To try.\n")
    for other in ("Empty", "Nothing"):
        text = reference.format(other)
        assert model_card.card(text, tmp_path).startswith(text)
    outside = "See ../use_case.md, Intended use.\n"
    assert model_card.card(outside, tmp_path / "docs").startswith(outside)


def test_a_report_that_an_add_on_keeps_to_itself_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_an_addon = Addon(summary="", reports=("long.json",))
    monkeypatch.setattr(active_addons, "active", lambda: {"an": of_an_addon})

    text = written(tmp_path, metrics={"auc": 0.75}, long={"sources": 7})

    assert "auc" in text and "sources" not in text


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ({"model": {"auc": 0.7}, "baseline": {"auc": 0.5}}, "|baseline|0.5|"),
        ([{"column": "sex", "rows": 3}], "|sex|3|"),
        ({"notes": ["few rows"]}, "- few rows"),
        ({"groups": {"sex": {"values": {"f": {"rate": None}}}}}, "|f|undefined|"),
        ({"groups": {"sex": {"values": {"f": {"rate": None}}}}}, "**groups, sex, values**"),
        ({"a|b": "c|d"}, r"|a\|b|c\|d|"),
        ({"##vso[x]\x1b": "<b>\n"}, r"|\\x23#vso\[x]\\x1b|&lt;b>\\n|"),
        ({"a\n::error::": {"b": {"c": 1}}}, r"**a\\n::error::**"),
        ([], "### Report"),
        (3, "- 3"),
    ],
)
def test_any_report_is_written_down(tmp_path: Path, report: Any, line: str) -> None:
    assert line in written(tmp_path, report=report).splitlines()


def test_examples_of_single_rows_stay_out(tmp_path: Path) -> None:
    text = written(tmp_path, explanations={"rows": 2, "examples": [{"predicted": 0.123}]})

    assert "0.123" not in text
