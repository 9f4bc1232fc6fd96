"""The verb `rung check`: review a repository, print what was found, and answer by exit code."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from rung import formats
from rung.commands.options import BELOW, Game, known_game
from rung.errors import RungError


def check(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", parser=Path, show_default=False, help="A repository.")
    ] = Path(),
    game: Game = None,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help=formats.names("check"))
    ] = "text",
    min_level: Annotated[
        int, typer.Option(metavar="N", min=0, max=4, help="End with 1 below this rung.")
    ] = 0,
    explain: Annotated[
        str | None, typer.Option(metavar="CAPABILITY", help="What is looked for, and was found.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="REV", help="Show the change against this commit.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Processor time, at most.")
    ] = 4.5,
    prove: Annotated[
        bool, typer.Option("--prove", help="Run its own checks, in a copy, to prove findings.")
    ] = False,
    prove_seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Time for each such run, at most.")
    ] = 900,
) -> int:
    """Say where a repository stands, by evidence. Nothing of it is run without --prove."""
    from rung.report import text
    from rung.review.limits import Limits
    from rung.review.review import review

    known_game(game)
    write = formats.writer("check", form)
    limits = Limits(seconds=seconds)
    result = review(path, game, limits)
    if prove:
        from rung.proof.prove import prove as run_what_proves
        from rung.staging import stopped_like_ctrl_c

        with stopped_like_ctrl_c():
            result = run_what_proves(path, result, limits, prove_seconds, _say)
    if explain is not None:
        if explain not in result.findings:
            raise RungError(
                f"There is no capability `{explain}`. `rung levels --markdown` names them all."
            )
        print(text.explain(result, explain), end="")
        return 0
    before = None
    if base is not None:
        from rung.review import commit

        with tempfile.TemporaryDirectory(prefix="rung-base-") as folder:
            commit.write(path, base, Path(folder))
            before = review(Path(folder), game or result.game, limits)
    sys.stdout.write(write(result, before))
    return BELOW if result.level < min_level else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
