"""A review for the web: an HTML page with the ladder, steps and evidence, and a badge for a README."""

from rung.check.report import facts
from rung.check.review.review import Review
from rung.system import html

# One for each rung; white text on it has a contrast of at least 4.5, as WCAG AA requires.
COLOURS = ("#6b6b6b", "#8a5a00", "#1f6f8b", "#2e6b34", "#5b3fa0")
LETTER = 6.6  # average width in pixels of a letter of Verdana at 11 pixels

SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
aria-label="{left}: {right}">
<title>{left}: {right}</title>
<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{split}" height="20" fill="#444"/>\
<rect x="{split}" width="{rest}" height="20" fill="{colour}"/></g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{left_middle}" y="14">{left}</text><text x="{right_middle}" y="14">{right}</text></g>
</svg>
"""


def make(review: Review, before: Review | None = None) -> str:
    """Return a review as a self-contained page."""
    missing = facts.left_out(review)
    return html.render("check/report/page.html.jinja", review=review, facts=facts, missing=missing)


def badge(review: Review, before: Review | None = None) -> str:
    """Return the badge of a review as SVG."""
    left = "MLOps rung"
    right = f"{review.level} {review.levels[review.level].title}"
    if review.left_out.out_of_time:
        right += " (partial)"
    split, rest = (round(len(text) * LETTER) + 12 for text in (left, right))
    return SVG.format(
        left=left,
        right=right,
        width=split + rest,
        split=split,
        rest=rest,
        colour=COLOURS[review.level],
        left_middle=split / 2,
        right_middle=split + rest / 2,
    )
