"""A review as an HTML page: the ladder, next steps, the profile and the evidence."""

from rung.check.report import facts
from rung.check.review.review import Review
from rung.system import html


def make(review: Review, before: Review | None = None) -> str:
    """Return a review as a self-contained page."""
    missing = facts.left_out(review)
    return html.render("check/report/page.html.jinja", review=review, facts=facts, missing=missing)
