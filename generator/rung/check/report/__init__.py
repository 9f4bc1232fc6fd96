"""Reports of a review, for people and for machines."""

from rung import output_formats
from rung.check.review.review import Review


def write(review: Review, form: str, before: Review | None = None) -> str:
    """Return a review in a format of `rung check`.

    Args:
        review: The review.
        form: Name of the format.
        before: The review of the base commit, to show the changes against it.

    Raises:
        RungError: There is no format of this name.
    """
    return output_formats.writer("check", form)(review, before)
