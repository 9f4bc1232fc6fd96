"""The colours that all pages share can be read, light and dark."""

import re
from itertools import product
from pathlib import Path

import pytest

from rung_ops.system import html
from rung_ops.training import plots

FRAME = Path(html.__file__).with_name("frame.html").read_text("utf-8")
LIGHT, DARK = (dict(re.findall(r"--([\w-]+): #(\w+)", part)) for part in FRAME.split("@media")[:2])
TEXT = ("ink", "soft", "blue", "orange", "bad", "good")


def luminance(colour: str) -> float:
    """Compute the relative luminance that WCAG 2.2 defines."""
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (((s + 0.055) / 1.055) ** 2.4 if s > 0.04045 else s / 12.92 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_has_the_contrast_that_wcag_asks_for(scheme: dict[str, str]) -> None:
    pairs = [*product(TEXT, ("paper", "card")), *product(("ink", "bad"), ["bad-paper"])]
    pairs += product(("ink", "good"), ["good-paper"])

    too_weak = {}
    for text, paper in pairs:
        darker, lighter = sorted(luminance(scheme[name]) for name in (text, paper))
        if (ratio := (lighter + 0.05) / (darker + 0.05)) < 4.5:
            too_weak[text, paper] = ratio
    assert {} == too_weak


def test_plots_are_drawn_in_the_colours_of_the_page() -> None:
    assert plots.NAMED == {f"#{LIGHT[n]}": f"var(--{n})" for n in ("ink", "blue", "orange", "soft")}


def test_what_can_be_typed_is_code_and_nothing_else_is_markup() -> None:
    assert "type <code>a &lt; b</code> &amp; c" == html.code("type `a < b` & c")


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.5", "0.5000"), ("-0.0000123", "−0.0000123"), ("0.0", "0.0000"), ("none", "&ndash;")],
)
def test_a_small_figure_of_a_column_keeps_its_digits(value: str, text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f'{{% from "cells.html" import aligned %}}{{{{ aligned({value}) }}}}')

    assert text == html.render(page)
