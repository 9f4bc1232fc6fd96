"""What a review found, for people and for machines."""

from rung import formats
from rung.check.review.review import Review


def write(review: Review, form: str, before: Review | None = None) -> str:
    """Return a review in a format of `rung check`.

    Args:
        review: what was found.
        form: the format's name.
        before: the review of the base, for the change against it.

    Raises:
        RungError: There is no such format.
    """
    return formats.writer("check", form)(review, before)
