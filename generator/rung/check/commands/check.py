"""The verb `rung check`: review a repository, print the report, and return the exit code."""

import os
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from rung import formats
from rung.errors import RungError
from rung.options import BELOW, Game, refuse_unknown_game

if TYPE_CHECKING:
    from rung.check.review.files import Limits
    from rung.check.review.review import Review


# Of a commit that is written out to be reviewed.
MODES = {"100644", "100755"}
MAX_FILES = 20_000  # files
MAX_BYTES = 500_000  # of one file: no larger one is read


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
    """Report a repository's rung, with evidence. Nothing of it is run without --prove."""
    from rung.check.review.files import Limits
    from rung.check.review.review import review

    refuse_unknown_game(game)
    write = formats.writer("check", form)
    limits = Limits(seconds=seconds)
    result = review(path, game, limits)
    if prove:
        from rung.check.proof.prove import prove as run_what_proves
        from rung.system.process import stopped_like_ctrl_c

        with stopped_like_ctrl_c():
            result = run_what_proves(path, result, limits, prove_seconds, _say)
    if explain is not None:
        return _explain(result, explain)
    before = _review_of(base, path, game or result.game, limits) if base is not None else None
    sys.stdout.write(write(result, before))
    return BELOW if result.level < min_level else 0


def _explain(result: "Review", capability: str) -> int:
    from rung.check.report import text

    if capability not in result.findings:
        raise RungError(
            f"There is no capability `{capability}`. `rung levels --markdown` names them all."
        )
    print(text.explain(result, capability), end="")
    return 0


def _review_of(revision: str, path: Path, game: str, limits: "Limits") -> "Review":
    from rung.check.review.review import review

    with tempfile.TemporaryDirectory(prefix="rung-base-") as folder:
        write_commit(path, revision, Path(folder))
        return review(Path(folder), game, limits)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def write_commit(repository: Path, revision: str, folder: Path) -> None:
    """Write the plain files of a commit into an empty folder, by git's objects and without filters.

    Raises:
        RungError: The path is in no git repository, or the commit is not there.
    """
    from rung.system import git

    top = git.root(repository)
    if revision.startswith("-") or top is None:
        raise RungError(
            f"`--base {revision}` needs a commit, and {repository} in a git repository."
        )
    commit = git.output(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not commit:
        raise RungError(
            f"There is no commit `{revision}` in {repository}. `git fetch` may bring it."
        )
    prefix = git.prefix(top, repository)
    tree = f"{commit}:{prefix}" if prefix else commit
    wanted: list[tuple[str, str, int]] = []
    for line in git.run(repository, "ls-tree", "-r", "-l", "-z", tree).split("\0")[:MAX_FILES]:
        facts, tab, path = line.partition("\t")
        parts = PurePosixPath(path).parts
        if tab and facts[:6] in MODES and ".." not in parts and not path.startswith("/"):
            _, _, name, size = facts.split()
            if not size.isdigit():  # git says BAD
                raise git.lacks(name)
            wanted.append((name, path, int(size)))
    names = [name for name, _, size in wanted if size <= MAX_BYTES]
    asked = "".join(f"{name}\n" for name in names)
    contents = git.blobs(git.run(repository, "cat-file", "--batch", stdin=asked), names)
    for name, path, length in wanted:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if length > MAX_BYTES:
            with file.open("wb") as written:
                os.truncate(
                    written.fileno(), length
                )  # a hole of that size, for size is all it shows
            continue
        file.write_bytes(contents[name])
