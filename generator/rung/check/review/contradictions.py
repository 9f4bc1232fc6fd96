"""The answers of a project against its files: what they bring and is not there, and the reverse.

An edited answers file would otherwise decide alone by which game and rung a project is judged.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from rung.levels.ladder import GAMES, Claim, Level
from rung.system import globs
from rung.system.printable import printable, some

GAME = "use_case"
SHOWN = 3  # files that a note names


def contradictions(
    answers: Mapping[str, str],
    source: str,
    levels: Sequence[Level],
    folders: Collection[str],
    files: Collection[str],
    early: Collection[str],
) -> Iterator[str]:
    """Say how a project's game and rung contradict the files in folders that follow from them.

    `early` are globs of the documents that a project may have before its rung brings them.
    """
    if not answers.get("level", "").isdecimal():
        return
    level, game = int(answers["level"]), answers[GAME]
    left: dict[str, bool] = {}  # by path, whether the answers do not bring it
    wanted: dict[tuple[str, int], set[str]] = {}  # by folder and rung
    for claim, rungs in _owned(levels):
        path = claim.path
        rung = rungs[game] if game in claim.needs.get(GAME, (game,)) else None
        for folder in (name for name in folders if path.startswith(name)):
            is_above = rung is None or rung > level
            left[path] = left.get(path, True) and is_above
            if (
                rung is not None
                and not is_above
                and all(answers.get(name) in values for name, values in claim.needs.items())
            ):
                wanted.setdefault((folder, rung), set()).add(path)
    if answers.get("documents") == "now" and game == "governance":  # on any rung
        left |= dict.fromkeys(globs.matching(left, early), False)
    present = sorted(path for path, is_left in left.items() if is_left and path.lower() in files)
    groups = [
        paths for paths in wanted.values() if not {path.lower() for path in paths} & set(files)
    ]
    missing = sorted(path for paths in groups for path in paths)
    said = f"{printable(source)} says `use_case: {game}` and `level: {level}`, which"
    remedy = "If it was edited by hand, restore it from git; `rung climb` changes an answer and its files"
    if present:
        yield f"{said} does not bring {some(present, SHOWN)}, which is there. {remedy}."
    if missing:
        yield f"{said} brings {some(missing, SHOWN)}, which is missing. {remedy}."


def _owned(levels: Sequence[Level]) -> Iterator[tuple[Claim, Mapping[str, int | None]]]:
    """Yield the claims of the ladder without a pattern, each with its first rung by game."""
    for level in levels:
        on_level: dict[str, int | None] = dict.fromkeys(GAMES[1:], level.level)
        claims = [(claim, on_level) for claim in level.owns]
        for capability in level.capabilities.values():
            rungs = {game: capability.rung(game) for game in GAMES[1:]}
            claims += [(claim, rungs) for claim in capability.owns]
        for claim, first in claims:
            if claim.since is not None:
                first = {
                    game: rung if rung is None else claim.since for game, rung in first.items()
                }
            if not set(claim.path) & set("*?[{"):
                yield claim, first
