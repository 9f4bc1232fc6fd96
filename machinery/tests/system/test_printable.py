"""What comes from data is printed as one line that neither a terminal nor a CI obeys."""

import pytest

from rung_ops.system.printable import counted, four_digits, in_column, printable

UNSAFE = {
    "a line break": ("a\nb", r"a\nb"),
    "a line separator": ("a\u2028b", r"a\u2028b"),
    "an escape sequence": ("\x1b[31mred", r"\x1b[31mred"),
    "a change of direction": ("\u202etxt", r"\u202etxt"),
    "bytes that are not UTF-8": ("a\udcffb", r"a\udcffb"),
    "a command of GitHub Actions": ("::set-env name=PATH::x", r"\x3a:set-env name=PATH::x"),
    "an indented command": ("  ::error::x", r"  \x3a:error::x"),
    "an old command of GitHub": ("a ##[set-env]x", r"a \x23#[set-env]x"),
    "a command of Azure Pipelines": ("a ##VSO[task.x]y", r"a \x23#VSO[task.x]y"),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_unsafe_text_is_escaped(what: str) -> None:
    text, expected = UNSAFE[what]

    assert printable(text) == expected


@pytest.mark.parametrize("text", ["data/incoming/März 2026.csv", "a::b", "C:\\x", "## heading", ""])
def test_plain_text_stays(text: str) -> None:
    assert printable(text) == text


def test_a_number_has_its_noun() -> None:
    assert [counted(number, "row") for number in (0, 1, 2_300)] == ["0 rows", "1 row", "2,300 rows"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.66123, "0.6612"),
        (43.7149, "43.71"),
        (132_243.4, "132,243"),
        (-1_322.5, "-1,322"),
        (0.0000512, "0.0000512"),
        (0.00000001037103, "1.037e-8"),
        (-2.5754e-12, "-2.575e-12"),
        (0.0, "0"),
    ],
)
def test_a_figure_has_four_digits_and_only_a_tiny_one_an_exponent(value: float, shown: str) -> None:
    assert four_digits(value) == shown


@pytest.mark.parametrize(
    ("value", "sign", "shown"),
    [
        (0.66, "", "0.6600"),
        (43.7149, "+", "+43.7149"),
        (132_243.4, "+", "+132,243"),
        (-0.00004, "", "0.0000"),
    ],
)
def test_figures_of_a_column_have_the_same_decimals_below_a_thousand(
    value: float, sign: str, shown: str
) -> None:
    assert in_column(value, 4, sign) == shown
