"""The command `rung check`, which reviews a repository and prints the report."""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from rung import options, output_formats
from rung.errors import RungError
from rung.options import BELOW, Capabilities, Game, refuse_unknown_game

if TYPE_CHECKING:
    from rung.check.review.files import Limits
    from rung.check.review.review import Review


# Bounds of a commit that is written to disk for `--base`.
MODES = {"100644", "100755"}  # plain files: no links, no submodules
MAX_FILES = 20_000
MAX_BYTES = 500_000  # of one file: a review reads no larger one


def check(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", parser=Path, show_default=False, help="A repository.")
    ] = Path(),
    game: Game = None,
    form: Annotated[str, options.form("check")] = "text",
    min_level: Annotated[
        int, typer.Option(metavar="N", min=0, max=4, help="Exit with 1 below this rung.")
    ] = 0,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="CAPABILITY",
            help="What is looked for, and was found.",
            autocompletion=options.one_of(options.of_capabilities),
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="REV", help="Show the change against this commit.")
    ] = None,
    capabilities: Capabilities = None,
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
    from rung.system import terminal

    refuse_unknown_game(game)
    write = output_formats.writer("check", form)
    limits = Limits(seconds=seconds)
    result = review(path, game, limits, capabilities_of=capabilities)
    if prove:
        from rung.check.proof.prove import prove as prove_findings
        from rung.system.process import stopped_like_ctrl_c

        with stopped_like_ctrl_c():
            say = partial(print, file=sys.stderr, flush=True)
            result = prove_findings(path, result, limits, prove_seconds, say)
    if explain is not None:
        return _explain(result, explain)
    before = None
    if base is not None:
        before = _review_commit(base, path, game or result.game, limits, capabilities)
    terminal.show(write(result, before), form, end="")
    return BELOW if result.level < min_level else 0


def _explain(result: "Review", capability: str) -> int:
    from rung.check.report import text

    if capability not in result.findings:
        raise RungError(
            f"There is no capability `{capability}`. `rung levels --markdown` names them all."
        )
    print(text.explain(result, capability), end="")
    return 0


def _review_commit(
    revision: str, path: Path, game: str, limits: "Limits", capabilities: Path | None
) -> "Review":
    from rung.check.review.review import review

    with tempfile.TemporaryDirectory(prefix="rung-base-") as folder:
        write_commit(path, revision, Path(folder))
        return review(Path(folder), game, limits, capabilities_of=capabilities)


def write_commit(repository: Path, revision: str, folder: Path) -> None:
    """Write the plain files of a commit into an empty folder.

    They are read from git's object database, so that no filter of the repository runs.

    Raises:
        RungError: The path is not in a git repository, or the commit does not exist.
    """
    from rung.system import git

    top = git.root(repository)
    if revision.startswith("-") or top is None:
        raise RungError(
            f"`--base {revision}` needs a commit, and {repository} is not in a git repository."
        )
    commit = git.revision(repository, f"{revision}^{{commit}}")
    if not commit:
        raise RungError(
            f"There is no commit `{revision}` in {repository}. `git fetch` can bring it."
        )
    prefix = git.prefix(top, repository)
    tree = f"{commit}:{prefix}" if prefix else commit
    listed: list[tuple[str, str, int]] = []  # object name, path and size
    for line in git.run(repository, "ls-tree", "-r", "-l", "-z", tree).split("\0")[:MAX_FILES]:
        entry, tab, path = line.partition("\t")
        parts = PurePosixPath(path).parts
        if tab and entry[:6] in MODES and ".." not in parts and not path.startswith("/"):
            _, _, name, length = entry.split()
            if not length.isdigit():  # git prints BAD for an object that is missing
                raise git.lacks(name)
            listed.append((name, path, int(length)))
    names = [name for name, _, size in listed if size <= MAX_BYTES]
    requests = "".join(f"{name}\n" for name in names)
    contents = git.blobs(git.run(repository, "cat-file", "--batch", stdin=requests), names)
    for name, path, size in listed:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if size > MAX_BYTES:
            with file.open("wb") as sparse:
                os.truncate(sparse.fileno(), size)  # a review looks only at the size of such a file
            continue
        file.write_bytes(contents[name])
