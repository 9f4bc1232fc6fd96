"""What the monitor found, drawn as SVG that takes its colours from the page."""

from collections.abc import Sequence
from html import escape
from typing import Any

from rung_ops.system.printable import counted, four_digits

WIDTH, HEIGHT = 320, 96
DAY_WIDTH, DAY_HEIGHT, LEFT, BOTTOM = 720, 240, 52, 40
MAX_TICKS = 8


def bars(names: Sequence[str], then: Sequence[float], now: Sequence[float]) -> str:
    """Draw two distributions over the same bars: of training as an outline, of today as filled."""
    top = max(*then, *now, 1e-9)
    step = WIDTH / len(names)
    drawn = []
    for index, (name, before, after) in enumerate(zip(names, then, now, strict=True)):
        left = index * step + 1
        for kind, share in (("now", after), ("then", before)):
            high = share / top * (HEIGHT - 4)
            drawn.append(
                f'<rect class="{kind}" x="{left:.1f}" y="{HEIGHT - high:.1f}" '
                f'width="{step - 2:.1f}" height="{high:.1f}"/>'
            )
        label = f"{name}: {after:.1%} of the rows, {before:.1%} in training"
        drawn.append(
            f'<rect class="touch" x="{index * step:.1f}" y="0" width="{step:.1f}" '
            f'height="{HEIGHT}"><title>{escape(label)}</title></rect>'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Distribution now and in training">{"".join(drawn)}</svg>'
    )


def days(rows: list[dict[str, Any]], expected: float | None, metric: str) -> str:
    """Draw the figure of each day with its interval, over the share of outcomes that are known.

    Args:
        rows: of the table of quality, one a day.
        expected: the figure on the test rows.
        metric: what the figure is.
    """
    known = [row for row in rows if row["figure"] is not None]
    ends = [row[end] for row in known for end in ("low", "high")]
    ends += [expected] if expected is not None else []
    if not ends:
        ends = [0.0, 1.0]
    low, high = min(ends), max(ends)
    pad = (high - low or 1) * 0.08
    low, high = low - pad, high + pad
    step = (DAY_WIDTH - LEFT) / max(1, len(rows))

    def height(value: float) -> float:
        return (high - value) / (high - low) * (DAY_HEIGHT - BOTTOM)

    drawn = []
    for tick in (low + pad, (low + high) / 2, high - pad):
        drawn.append(
            f'<line class="grid" x1="{LEFT}" x2="{DAY_WIDTH}" '
            f'y1="{height(tick):.1f}" y2="{height(tick):.1f}"/>'
            f'<text class="at" x="{LEFT - 6}" y="{height(tick) + 4:.1f}">{tick:.3g}</text>'
        )
    for index, row in enumerate(rows):
        drawn.append(_day(row, LEFT + (index + 0.5) * step, step, height))
    every = -(-len(rows) // MAX_TICKS)
    for index in range(0, len(rows), max(1, every)):
        middle = LEFT + (index + 0.5) * step
        drawn.append(
            f'<text class="below" x="{middle:.1f}" y="{DAY_HEIGHT - 6}">'
            f"{escape(rows[index]['value'])}</text>"
        )
    if expected is not None:
        level = height(expected)
        drawn.append(
            f'<line class="expected" x1="{LEFT}" x2="{DAY_WIDTH}" '
            f'y1="{level:.1f}" y2="{level:.1f}"><title>{escape(metric)} on the test rows: '
            f"{four_digits(expected)}</title></line>"
        )
    return (
        f'<svg viewBox="0 0 {DAY_WIDTH} {DAY_HEIGHT}" role="img" '
        f'aria-label="{escape(metric)} by day">{"".join(drawn)}</svg>'
    )


def _day(row: dict[str, Any], middle: float, step: float, height: Any) -> str:
    floor = DAY_HEIGHT - BOTTOM
    tall = row["coverage"] * floor * 0.25
    label = (
        f"{row['value']}: {counted(row['predictions'], 'prediction')}, {row['coverage']:.0%} known"
    )
    drawn = (
        f'<rect class="known" x="{middle - step * 0.4:.1f}" width="{step * 0.8:.1f}" '
        f'y="{floor - tall:.1f}" height="{tall:.1f}"/>'
    )
    if row["figure"] is not None:
        label += f"; {four_digits(row['figure'])} ({four_digits(row['low'])} to {four_digits(row['high'])})"
        drawn += (
            f'<line class="range" x1="{middle:.1f}" x2="{middle:.1f}" '
            f'y1="{height(row["low"]):.1f}" y2="{height(row["high"]):.1f}"/>'
            f'<circle class="figure" cx="{middle:.1f}" cy="{height(row["figure"]):.1f}" r="3.5"/>'
        )
    return (
        f'{drawn}<rect class="touch" x="{middle - step / 2:.1f}" width="{step:.1f}" y="0" '
        f'height="{floor}"><title>{escape(label)}</title></rect>'
    )
