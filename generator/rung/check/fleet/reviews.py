"""Reviews of many repositories in several processes, each as a row of the table."""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

from rung.check.fleet import clones, upkeep, workers
from rung.check.fleet.repositories import Repository
from rung.check.report.facts import title
from rung.check.review.files import Limits
from rung.check.review.review import Review, review
from rung.errors import RungError
from rung.system import terminal
from rung.system.printable import printable

DIED = "the process that read it was ended by the system, for example because memory ran out"
DEPTH = 50  # commits of a clone, for the day of the last climb
EVERY = 50  # repositories between lines of progress where there is no terminal


@dataclass(frozen=True)
class Row:
    """A row of the table. All texts are printable."""

    repository: str  # name of the repository in the table
    path: str  # absolute path of its folder, or its URL
    level: int | None = None  # the rung; None if the repository could not be read
    title: str = ""  # title of the rung, or that only files say so
    game: str = ""  # the game by which the repository was judged
    template_version: str = ""  # tag or commit of the Copier template; empty without one
    blockers: tuple[str, ...] = ()  # capabilities that the next rung needs, the least effort first
    machine_learning: bool = False  # whether the repository is about machine learning
    partial: bool = False  # whether time ran out before all was read
    files: int = 0  # number of files that count
    error: str = ""  # why the repository could not be read
    # By how many releases the template is behind the version that `--behind` names.
    behind: str = ""
    last_climb: str = ""  # day of the last commit that changed the answers to the template
    owner: str = ""  # who owns all files, by CODEOWNERS
    waivers: Mapping[str, str] = field(default_factory=dict)  # last days of waivers, by capability
    # Why waivers and attestations do not count, by capability.
    against_policy: Mapping[str, str] = field(default_factory=dict)

    @property
    def oldest_blocker(self) -> str:
        """The blocker to begin with, or nothing."""
        return self.blockers[0] if self.blockers else ""

    def holds(self, least: int) -> bool:
        """Return whether the repository is known to be on a rung or above it."""
        return self.level is not None and self.level >= least


def reviewed(
    repository: Repository,
    game: str | None,
    seconds: float,
    reference: str | None,
    capabilities: Path | None,
) -> Row:
    """Review a repository, in a clone if a URL names it; an error is shown in its row."""
    try:
        with contextlib.ExitStack() as stack:
            folder = repository.folder
            if url := repository.url:
                folder = stack.enter_context(clones.cloned(url, f"--depth={DEPTH}"))
            limits = Limits(seconds=seconds)
            result = review(folder, game, limits, capabilities_of=capabilities)
            return _row(repository, folder, result, reference)
    except RungError as error:
        return unread(repository, str(error))
    except Exception as error:  # noqa: BLE001 an error must not end the review of the others
        return unread(repository, f"{type(error).__name__}: {error}")


def _row(repository: Repository, folder: Path, result: Review, reference: str | None) -> Row:
    version = result.template_version
    statements = {
        name: finding.statement for name, finding in result.findings.items() if finding.statement
    }
    return Row(
        repository=printable(repository.name),
        path=_path(repository),
        level=result.level,
        title=title(result),
        game=result.game,
        template_version=printable(version),
        blockers=tuple(blocker.finding.capability.id for blocker in result.rating.blockers),
        machine_learning=bool(result.machine_learning),
        partial=result.left_out.out_of_time,
        files=result.file_count,
        behind=upkeep.behind(version, reference) if reference else "",
        last_climb=upkeep.last_climb(folder) if version else "",
        owner=printable(upkeep.owner(folder)),
        waivers={
            name: str(statement.until)
            for name, statement in statements.items()
            if statement.kind == "waiver" and not statement.refused
        },
        against_policy={
            name: f"{statement.kind}: {statement.refused}"
            for name, statement in statements.items()
            if statement.refused
        },
    )


def unread(repository: Repository, reason: str) -> Row:
    """Return the row of a repository that could not be read."""
    message = printable(" ".join(reason.split()))
    return Row(printable(repository.name), _path(repository), error=message[:400] or "unknown")


def _path(repository: Repository) -> str:
    return printable(clones.shown(repository.url) or str(repository.folder.absolute()))


def review_all(
    fleet: Sequence[Repository],
    game: str | None,
    seconds: float,
    jobs: int | None,
    reference: str | None = None,
    capabilities: Path | None = None,
) -> list[Row]:
    """Return a row for each repository, reviewed in several processes with progress on stderr."""
    rows: dict[int, Row] = {}
    progress = Progress(len(fleet), sys.stderr)
    try:
        with contextlib.closing(
            workers.run_all(
                partial(
                    reviewed,
                    game=game,
                    seconds=seconds,
                    reference=reference,
                    capabilities=capabilities,
                ),
                fleet,
                min(jobs or processors(), len(fleet)),
            )
        ) as results:
            for index, row in results:
                rows[index] = row or unread(fleet[index], DIED)
                progress.step(rows[index].repository)
    finally:
        progress.clear()
    return [rows[index] for index in range(len(fleet))]


def processors() -> int:
    """Return how many processors this process may use."""
    # A container or taskset may leave this process only some of the machine's processors.
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Progress:
    """Progress of a run: a line that is rewritten on a terminal, else a new line now and then."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self.total = total
        self.stream = stream
        self.is_terminal = stream.isatty()
        self.done = 0

    def step(self, name: str) -> None:
        """Count a repository as done, and show the progress."""
        self.done += 1
        text = f"{self.done} of {self.total} repositories"
        if width := terminal.columns(self.stream):
            self.stream.write(f"\r\033[K{f'{text}  {name}'[: width - 1]}")
            self.stream.flush()
        elif self.done % EVERY == 0 and self.done < self.total:
            print(text, file=self.stream, flush=True)

    def clear(self) -> None:
        """Remove the line from the terminal."""
        if self.is_terminal and self.done:
            self.stream.write("\r\033[K")
            self.stream.flush()
