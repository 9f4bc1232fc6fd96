"""A review as Markdown, for a comment on a pull or merge request."""

from rung.check.report import facts
from rung.check.review.findings import Finding
from rung.check.review.review import Review
from rung.system.printable import printable


def make(review: Review, before: Review | None = None) -> str:
    """Return a review as Markdown, with the changes against the base, if any."""
    from rung.system import html  # Jinja is loaded for a page alone

    return html.render(
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
