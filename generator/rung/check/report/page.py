"""A review for the web: a page of HTML, Markdown for a comment on a request, a badge for a README."""

from rung.check.report import facts
from rung.check.review.findings import Finding
from rung.check.review.review import Review
from rung.system.html import render
from rung.system.printable import printable

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


def html(review: Review, before: Review | None = None) -> str:
    """Return a review as a self-contained page."""
    missing = facts.left_out(review)
    return render("check/report/page.html.jinja", review=review, facts=facts, missing=missing)


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


def markdown(review: Review, before: Review | None = None) -> str:
    """Return a review as Markdown, with the changes against the base, if any."""
    return render(
        "check/report/page.md.jinja",
        review=review,
        before=before,
        facts=facts,
        missing=[_plain(line) for line in facts.left_out(review)],
        plain=_plain,
        code=_code,
        evidence=_evidence,
    )


def _evidence(finding: Finding) -> str:
    match = facts.best(finding)
    text = _plain(facts.location(match)) if match else ""
    if match and match.text != match.path:
        text += f" {_code(facts.matched(match), 80)}"
    if finding.statement:
        text = _plain(facts.stated(finding.statement))
    if finding.trials:
        text = f"**{finding.proof}** {facts.proof(finding).partition(': ')[2]}; {text}"
    return text


def _code(text: str, length: int | None = None) -> str:
    if length:
        text = text.replace("`", "'")[:length]
    return f"`{text.replace('|', '&#124;')}`"


def _plain(text: str) -> str:
    """Escape text from a repository, so that Markdown shows it as it is."""
    safe = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    for letter in "\\*[]|":
        safe = safe.replace(letter, f"\\{letter}" if letter != "|" else "&#124;")
    return safe
