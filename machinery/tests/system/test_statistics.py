"""Wilson's interval is that of the textbooks."""

import pytest

from rung_ops.statistics.intervals import wilson_interval


@pytest.mark.parametrize(
    ("events", "total", "expected"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_the_bounds_are_the_published_ones(
    events: int, total: int, expected: tuple[float, float]
) -> None:
    assert wilson_interval(events, total, 1.959964) == pytest.approx(expected, abs=5e-5)
