"""One repository of a fleet: its rung, or why that is unknown."""

from dataclasses import dataclass
from pathlib import Path

from rung.check.fleet.repositories import Repository
from rung.check.review.limits import Limits
from rung.check.review.review import review
from rung.errors import RungError
from rung.system.printable import printable


@dataclass(frozen=True)
class Row:
    """A line of the table. All its texts can be printed as they are.

    Attributes:
        repository: as it is called in the table.
        path: its folder, absolute.
        level: its rung; None if it could not be read.
        title: of that rung.
        game: that it was judged by.
        template_version: the tag or commit that its answers to Copier name, if it has any.
        blockers: capabilities that keep it from the next rung, the one to begin with first.
        machine_learning: whether anything shows that it is about machine learning.
        partial: whether time ran out before all was read.
        files: how many were looked at.
        error: why it could not be read.
    """

    repository: str
    path: str
    level: int | None = None
    title: str = ""
    game: str = ""
    template_version: str = ""
    blockers: tuple[str, ...] = ()
    machine_learning: bool = False
    partial: bool = False
    files: int = 0
    error: str = ""

    @property
    def oldest_blocker(self) -> str:
        """The first blocker of the lowest rung that is not reached, or nothing."""
        return self.blockers[0] if self.blockers else ""

    def holds(self, least: int) -> bool:
        """Say whether it is known to be on a rung or above it."""
        return self.level is not None and self.level >= least


def reviewed(repository: Repository, game: str | None, seconds: float) -> Row:
    """Review a repository; errors are shown in its row.

    Args:
        repository: its name and folder.
        game: that all are judged by, or None for what each says of itself.
        seconds: of processor time, at most.
    """
    try:
        result = review(repository.folder, game, Limits(seconds=seconds))
    except RungError as error:
        return unread(repository, str(error))
    except Exception as error:  # noqa: BLE001 one must not end the run of all the others
        return unread(repository, f"{type(error).__name__}: {error}")
    return Row(
        repository=printable(repository.name),
        path=_path(repository.folder),
        level=result.level,
        title=result.levels[result.level].title,
        game=result.game,
        template_version=printable(result.template_version),
        blockers=tuple(one.finding.capability.id for one in result.standing.blockers),
        machine_learning=bool(result.machine_learning),
        partial=result.left_out.out_of_time,
        files=result.file_count,
    )


def unread(repository: Repository, reason: str) -> Row:
    """Return the row of a repository that could not be read."""
    message = printable(" ".join(reason.split()))
    return Row(
        printable(repository.name), _path(repository.folder), error=message[:400] or "unknown"
    )


def _path(folder: Path) -> str:
    return printable(str(folder.absolute()))
