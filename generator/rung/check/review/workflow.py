"""One CI file: its text, its commands, whether it is scheduled and what it calls elsewhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

SCHEDULED = re.compile(
    r"(?:^|[{,])[ \t]*+(?:-[ \t]*+)?(?:cron[ \t]*+:[ \t]*+\S|schedules?[ \t]*+:[ \t]*+[\[\"']*+[\d*@])"
    r"|\bonly[ \t]*+:\s*+(?:\[[^\]\n]*|-[ \t]*+)\bschedules\b|^[\"']?on[\"']?:.*\bschedule\b|CI_PIPELINE_SOURCE.{0,10}schedule"
    r"|\btriggers\s*+\{\s*+cron|^[ \t]*+cron[ \t]*+\(|scheduledTrigger|^kind:[ \t]*+CronJob",
    re.IGNORECASE | re.MULTILINE,
)
ELSEWHERE = re.compile(
    r"^[ \t]*+-?[ \t]*+uses:[ \t]*+['\"]?(?P<github>[\w.-]+/[\w.-]+/\.github/workflows/[\w./@-]+)"
    r"|^[ \t]*+-?[ \t]*+(?:project|remote|component):[ \t]*+['\"]?(?P<gitlab>[\w.:/@$-]*/[\w.:/@$-]+)"
    r"|\btemplate:[ \t]*+['\"]?(?P<azure>[\w./-]+@(?!self\b)\w+)|@Library\([ \t]*+['\"](?P<jenkins>[^'\"\n]+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Command:
    """A line that CI runs, and its place."""

    text: str
    path: str
    line: int


@dataclass
class Workflow:
    """One CI file, without comments and without jobs that never run.

    Attributes:
        path: of the file.
        text: what is left of it, line by line.
        is_called: whether nothing starts it but another workflow.
        written: the lines as they are written, with names of steps that `text` leaves out.
        named: what its settings say besides names, filters and commands.
        commands: all that it leads to.
        scheduled: those of them that a schedule starts.
    """

    path: str
    text: str
    named: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    scheduled: list[Command] = field(default_factory=list)
    is_called: bool = False
    written: list[str] = field(default_factory=list)

    @cached_property
    def lines(self) -> list[tuple[int, str]]:
        """Its lines that are not blank, with their numbers: no pattern runs over many blank ones."""
        lines = enumerate(self.text.split("\n"), 1)
        return [(number, line.rstrip()) for number, line in lines if line.strip()]

    @cached_property
    def squeezed(self) -> str:
        """Its lines that are not blank, as one text."""
        return "\n".join(line for _, line in self.lines)

    @cached_property
    def is_scheduled(self) -> bool:
        """Say whether it runs on a schedule."""
        return SCHEDULED.search(self.squeezed) is not None

    @property
    def calls_elsewhere(self) -> Iterator[tuple[int, str]]:
        """Give what it calls of other repositories, with the line of each."""
        for match in ELSEWHERE.finditer(self.squeezed):
            number, _ = self.lines[self.squeezed.count("\n", 0, match.end())]
            yield number, next(filter(None, match.groups()))

    def search(self, regex: re.Pattern[str]) -> tuple[int, str] | None:
        """Return the line in which a pattern matches, and its number."""
        match = regex.search(self.squeezed)
        if match is None:
            return None
        position = match.start() + len(match[0]) - len(match[0].lstrip())
        number, line = self.lines[self.squeezed.count("\n", 0, position)] if self.lines else (1, "")
        return number, (self.written[number - 1] if self.written else line).strip()
