"""The forms that an assessment is printed in; each is a module with a function `render`."""

from typing import TYPE_CHECKING

from rung import formats

if TYPE_CHECKING:
    from rung.assess.assessment import Assessment


def render(form: str, assessment: "Assessment", *, explain: bool = True) -> str:
    """Return the assessment in a format of `rung assess`.

    Args:
        form: The format's name.
        assessment: The assessment.
        explain: Whether text has the reasons, too; the other forms always have them.
    """
    return formats.writer("assess", form)(assessment, explain=explain)
