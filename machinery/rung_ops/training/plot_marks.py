"""The values of a plot: on each mark an invisible shape with a title, which plot_values.html shows.

They are read from what was drawn, so that plots of a project's hooks have them as well: from lines,
points, bars and cells. They are an extra: what cannot be read has none, and the plot stays.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.dates import AutoDateFormatter, num2date
from matplotlib.image import AxesImage
from matplotlib.ticker import LogFormatter, ScalarFormatter

from rung_ops.system.printable import four_digits

MOST = 100  # marks of a curve: more would lie on each other
MOST_OF_ALL = 2_500  # marks of a plot: more are not readable, and the page would take megabytes
RADIUS = 5  # of a point's shape, in pixels
COMPARISON = "--"  # the style of lines that the marks are compared with, such as chance
SHAPE = Markup(
    '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
)


# Two opposite corners in the units of the axes, and the values in words.
Mark = tuple[Any, str]


def outlines(axes: Axes) -> Markup:
    """Return the shapes on the marks as SVG, of a figure that was drawn at 72 dots per inch."""
    try:
        found = list(islice(marks(axes), MOST_OF_ALL + 1))
    except Exception:  # a hook may draw anything, and the formatter of its axis may raise anything
        found = []
    if len(found) > MOST_OF_ALL:
        return Markup("")
    shapes = []
    for corners, values in found:
        ends: Any = axes.transData.transform(corners)
        least, most = np.array(axes.bbox.min), np.array(axes.bbox.max)
        in_view = (ends.max(axis=0) > least - RADIUS) & (ends.min(axis=0) < most + RADIUS)
        if not in_view.all():  # nor is what is no number
            continue
        # A bar on a scale of logarithms begins far below it.
        ends = np.clip(ends, least, most) * (1, -1) + (0, axes.figure.bbox.height)
        middle, half = ends.mean(axis=0), np.maximum(np.ptp(ends, axis=0) / 2, RADIUS)
        top = 0 if _has_numbers(axes.yaxis) else middle[1]  # categories are read from the top
        shapes.append((top, SHAPE.format(*(middle - half), *(2 * half), values)))
    shapes.sort(key=lambda each: each[0])
    lines = Markup("\n").join(shape for _, shape in shapes)
    return Markup('<g fill="none" pointer-events="all">\n{}\n</g>').format(lines)


def marks(axes: Axes) -> Iterator[Mark]:
    """Yield the points, the bars and the cells of a plot."""
    intervals = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    errors = {each[0]: each for each in intervals}
    caps = {cap for each in intervals for cap in each[1]}
    for line in axes.lines:
        if line in caps or line.get_linestyle() == COMPARISON:
            continue
        if line.get_transform() == axes.transData:  # that of axhline() is another
            yield from _points(axes, line, line.get_xydata(), errors.get(line))
    for points in axes.collections:
        is_scatter = isinstance(points, PathCollection)
        if is_scatter and points.get_offset_transform() == axes.transData:
            yield from _points(axes, points, points.get_offsets(), None)
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            yield from _bars(axes, bars)
    for image in axes.images:
        yield from _cells(axes, image)


def _cells(axes: Axes, image: AxesImage) -> Iterator[Mark]:
    values: Any = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
    rows, columns = values.shape[:2]
    # Of colours, which have three dimensions, and of places on other scales there are no cells.
    if values.ndim != 2 or {*image.get_extent()} != {-0.5, rows - 0.5, columns - 0.5}:
        return
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            names = [(axes.yaxis, row), (axes.xaxis, column)]
            words = [f"{axis.get_label_text()} {_words(axis, at)}" for axis, at in names]
            words.append(_named(image, four_digits(value)))
            yield ((column - 0.5, row - 0.5), (column + 0.5, row + 0.5)), ", ".join(words)


def _points(axes: Axes, artist: Any, places: Any, error: Any) -> Iterator[Mark]:
    places, ranges = np.ma.filled(places, np.nan), _ranges(error, len(places))
    for at in np.unique(np.linspace(0, len(places) - 1, min(MOST, len(places))).astype(int)):
        x, y = places[at]
        if np.isfinite(places[at]).all():
            words = [_words(axes.xaxis, x), _words(axes.yaxis, y)]
            if not _has_numbers(axes.yaxis):
                words.reverse()
            yield ((x, y), (x, y)), _named(error or artist, ", ".join(words) + ranges[at])


def _bars(axes: Axes, bars: BarContainer) -> Iterator[Mark]:
    is_flat = bars.orientation == "horizontal"
    across, along = (axes.yaxis, axes.xaxis) if is_flat else (axes.xaxis, axes.yaxis)
    for bar, its_range in zip(bars, _ranges(bars.errorbar, len(bars)), strict=True):
        (left, low), (right, high) = corners = bar.get_bbox().get_points()
        if not np.isfinite(corners).all():
            continue
        size, ends = (right - left, (low, high)) if is_flat else (high - low, (left, right))
        place = sum(ends) / 2
        if _has_numbers(across):
            name = " to ".join(map(four_digits, ends))
        else:
            # Bars of several kinds lie to both sides of their category's place.
            name = _words(across, place if across.get_major_formatter()(place) else round(place))
        words = f"{name}, {_words(along, size)}{its_range}"
        yield corners, _named(bars, words)


def _ranges(error: ErrorbarContainer | None, marks: int) -> list[str]:
    """Write the ends of each mark's interval, where it has one along one axis."""
    if error is None or len(error.lines[2]) != 1:
        return [""] * marks
    segments = error.lines[2][0].get_segments()
    if len(segments) != marks:  # fewer by errorevery
        return [""] * marks
    along = 0 if error.has_xerr else 1
    return [
        f" ({four_digits(ends[0][along])} to {four_digits(ends[1][along])})"
        if len(ends) == 2
        else ""
        for ends in segments
    ]


def _named(artist: Any, values: Any) -> str:
    """Put the name that the legend has in front, if it has one."""
    label = str(artist.get_label())
    return values if label.startswith("_") else f"{label}: {values}"


def _has_numbers(axis: Axis) -> bool:
    return isinstance(axis.get_major_formatter(), ScalarFormatter | LogFormatter)


def _words(axis: Axis, value: float) -> str:
    """Write a value of an axis: a category or a time as it is, a number behind its name."""
    formatter = axis.get_major_formatter()
    if isinstance(formatter, AutoDateFormatter):
        return f"{num2date(value):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    if not _has_numbers(axis) and (text := formatter(value)):
        return str(text)
    return f"{axis.get_label_text().partition(',')[0]} {four_digits(value)}".strip()
