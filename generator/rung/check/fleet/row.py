"""A row of the table of a fleet: a repository's rung, or why it is unknown."""

from dataclasses import dataclass
from pathlib import Path

from rung.check.fleet.repositories import Repository
from rung.check.review.files import Limits
from rung.check.review.review import review
from rung.errors import RungError
from rung.system.printable import printable


@dataclass(frozen=True)
class Row:
    """A row of the table. All texts are printable.

    Attributes:
        repository: Name of the repository in the table.
        path: Absolute path of its folder.
        level: The rung; None if the repository could not be read.
        title: Title of the rung.
        game: The game by which the repository was judged.
        template_version: Tag or commit of the Copier template; empty without one.
        blockers: Capabilities that the next rung needs, the least effort first.
        machine_learning: Whether the repository is about machine learning.
        partial: Whether time ran out before all was read.
        files: Number of files that count.
        error: Why the repository could not be read.
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
        """The blocker to begin with, or nothing."""
        return self.blockers[0] if self.blockers else ""

    def holds(self, least: int) -> bool:
        """Return whether the repository is known to be on a rung or above it."""
        return self.level is not None and self.level >= least


def reviewed(repository: Repository, game: str | None, seconds: float) -> Row:
    """Review a repository; an error is shown in its row.

    Args:
        repository: The repository.
        game: The game by which all are judged; None for what each repository states.
        seconds: Limit of processor time.
    """
    try:
        result = review(repository.folder, game, Limits(seconds=seconds))
    except RungError as error:
        return unread(repository, str(error))
    except Exception as error:  # noqa: BLE001 an error must not end the review of the others
        return unread(repository, f"{type(error).__name__}: {error}")
    return Row(
        repository=printable(repository.name),
        path=_path(repository.folder),
        level=result.level,
        title=result.levels[result.level].title,
        game=result.game,
        template_version=printable(result.template_version),
        blockers=tuple(blocker.finding.capability.id for blocker in result.rating.blockers),
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
