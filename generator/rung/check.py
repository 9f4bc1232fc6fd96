"""The verb `rung check`: review a repository, print what was found, and answer by exit code."""

import sys
import tempfile
from pathlib import Path

from rung import report
from rung.errors import RungError
from rung.levels import GAMES
from rung.report import text
from rung.review.limits import Limits
from rung.review.review import review

BELOW = 1  # exit code: the repository stands lower than was asked for


def check(
    path: Path,
    game: str | None,
    form: str,
    *,
    min_level: int,
    explain: str | None,
    base: str | None,
    seconds: float,
    prove: float | None = None,
) -> int:
    """Print a review of the repository in a folder, and return the exit code.

    Args:
        path: the folder.
        game: governance, velocity, or None for what the repository says.
        form: one of report.FORMATS.
        min_level: the rung below which the answer is no.
        explain: a capability to say everything about, instead of a report.
        base: a commit to compare with.
        seconds: of processor time, at most, for each review.
        prove: seconds for each run that proves a finding; None where nothing is to be run.
    """
    known_game(game)
    if form not in report.FORMATS:
        raise RungError(f"There is no format `{form}`. Give one of {', '.join(report.FORMATS)}.")
    limits = Limits(seconds=seconds)
    found = review(path, game, limits)
    if prove is not None:
        from rung.proof.prove import prove as run_what_proves
        from rung.staging import stopped_like_ctrl_c

        with stopped_like_ctrl_c():
            found = run_what_proves(path, found, limits, prove, _say)
    if explain is not None:
        if explain not in found.findings:
            raise RungError(
                f"There is no capability `{explain}`. `rung levels --markdown` names them all."
            )
        print(text.explain(found, explain), end="")
        return 0
    before = None
    if base is not None:
        from rung.review import commit

        with tempfile.TemporaryDirectory(prefix="rung-base-") as folder:
            commit.write(path, base, Path(folder))
            before = review(Path(folder), game or found.game, limits)
    sys.stdout.write(report.write(found, form, before))
    return BELOW if found.level < min_level else 0


def known_game(game: str | None) -> None:
    """Raise a RungError for a game that nobody plays."""
    if game is not None and game not in GAMES[1:]:
        raise RungError(f"There is no game `{game}`. Give {' or '.join(GAMES[1:])}.")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
