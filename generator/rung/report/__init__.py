"""What a review found, for people and for machines."""

from collections.abc import Callable

from rung.errors import RungError
from rung.review.review import Review

FORMATS = ("text", "json", "markdown", "sarif", "html", "badge")


def write(review: Review, form: str, before: Review | None = None) -> str:
    """Return a review in one of the FORMATS.

    Args:
        review: what was found.
        form: its name.
        before: the review of the base, for the change against it.

    Raises:
        RungError: There is no such format.
    """
    from rung.report import badge, facts, markdown, page, sarif, text

    makers: dict[str, Callable[[Review, Review | None], str]] = {
        "text": text.make,
        "json": facts.make,
        "markdown": markdown.make,
        "sarif": sarif.make,
        "html": page.make,
        "badge": badge.make,
    }
    if form not in makers:
        raise RungError(f"There is no format `{form}`. The formats are {', '.join(FORMATS)}.")
    return makers[form](review, before)
