"""The ladder as a picture: how full each rung is, and which one is the repository's."""

from html import escape

from rung.check.review.review import Review

STEP = 46  # pixels between two rungs
WIDTH = 640
LEFT = 185  # where the rails begin, beside the names
RAIL = WIDTH - LEFT - 80


def ladder(review: Review) -> str:
    """Return the ladder as SVG, with the same as text for those who do not see it."""
    rungs = list(reversed(review.levels))
    height = STEP * len(rungs) + 8
    rows = []
    labels = []
    for index, rung in enumerate(rungs):
        points = review.standing.averages[rung.level]
        top = 6 + index * STEP
        here = rung.level == review.level
        state = "here" if here else "held" if rung.level < review.level else "above"
        fits = points >= 0.7  # the label within the bar, else beside it
        beside = LEFT + 10 + (0 if fits else RAIL * points)
        inside = "mark" if fits else "here"
        mark = "Here" if here else ""
        rows.append(
            f'<rect class="rail" x="{LEFT}" y="{top}" width="{RAIL}" height="30" rx="4"/>'
            f'<rect class="fill {state}" x="{LEFT}" y="{top}" width="{RAIL * points:.0f}" '
            f'height="30" rx="4"/>'
            f'<text x="0" y="{top + 20}" class="{state}">{rung.level} {escape(rung.title)}</text>'
            f'<text x="{WIDTH - 66}" y="{top + 20}">{points:.2f}</text>'
            + (f'<text x="{beside}" y="{top + 20}" class="{inside}">{mark}</text>' if mark else "")
        )
        labels.append(
            f"rung {rung.level} {rung.title} {points:.2f}{', the current rung' if here else ''}"
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="The ladder, from the top: {escape("; ".join(labels))}">{"".join(rows)}</svg>'
    )
