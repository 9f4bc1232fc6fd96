"""CI: its files, the commands in them, and those that these commands lead to."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rung.review import data_files, documents
from rung.review.content import Content
from rung.review.data_files import Node
from rung.review.runners import Runners

COMMAND_KEYS = {
    *(
        "run",
        "script",
        "before_script",
        "after_script",
        "bash",
        "pwsh",
        "powershell",
        "inlineScript",
    ),
    *("command", "commands", "args", "cmd", "install", "after_success"),
}
JENKINS = re.compile(
    r"\b(?:sh|bat|pwsh|powershell)\b\s*\(?\s*(?:script\s*:\s*)?"
    r"(?:'''(?P<a>(?:[^']|'(?!''))*+)'''|\"\"\"(?P<b>(?:[^\"]|\"(?!\"\"))*+)\"\"\""
    r"|'(?P<c>[^'\n]*)'|\"(?P<d>[^\"\n]*)\")"
)
INCLUDED = re.compile(
    r"""^[ \t]*-?[ \t]*(?:local|template|uses|include)[ \t]*:[ \t]*['"]?([./\w*-]+)['"]?""",
    re.MULTILINE,
)
SCHEDULED = re.compile(
    r"^\s*-?\s*(?:schedules?|cron)\s*:|CI_PIPELINE_SOURCE.{0,10}schedule|\btriggers\s*\{\s*cron|"
    r"^\s*cron\s*\(|scheduledTrigger|^kind:\s*CronJob",
    re.IGNORECASE | re.MULTILINE,
)
# What is printed or said in a comment is not run.
PRINTED = re.compile(
    r"(?<![\w./-])(?:echo|printf|Write-(?:Host|Output))\b(?:[^&;|$`]|\$(?!\())*", re.IGNORECASE
)
COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
# What is installed is not yet run.
INSTALL = re.compile(
    r"\b(?:pip3?|pipx|uv|conda|mamba|poetry|pdm|npm|yarn|apt|apt-get|brew)\s+"
    r"(?:[\w-]+\s+)?(?:install|add|i)\b[^&;|]*"
)
MOST = 3_000  # commands of one CI file


@dataclass(frozen=True)
class Command:
    """A line that CI runs, and where it stands."""

    text: str
    path: str
    line: int


@dataclass
class Workflow:
    """One CI file: its text without comments, and all the commands that it leads to."""

    path: str
    text: str
    commands: list[Command] = field(default_factory=list)

    @property
    def is_scheduled(self) -> bool:
        """Say whether it runs on a schedule."""
        return SCHEDULED.search(self.text) is not None


class CI:
    """The CI of a repository."""

    def __init__(self, content: Content, runners: Runners) -> None:
        """Find the CI files, and what they run."""
        self.content = content
        self.runners = runners
        self.workflows: list[Workflow] = []
        paths = content.files.find(*content.files.reading.ci)
        seen: set[str] = set()
        waiting = list(paths)
        while waiting and len(seen) < 500:
            path = waiting.pop(0)
            if path in seen:
                continue
            seen.add(path)
            text = content.text(path)
            if text is None or not text.strip():
                continue
            text = documents.without_comments(path, text)
            if "cloudbuild" in path.lower() and "gcr.io" not in text and "docker.pkg" not in text:
                continue
            commands = list(self.follow(self._commands(path, text)))
            self.workflows.append(Workflow(path, text, commands))
            waiting += self._included(path, text)

    def _included(self, path: str, text: str) -> Iterator[str]:
        folder = path.rpartition("/")[0]
        for name in INCLUDED.findall(text):
            for tried in (name.removeprefix("./").removeprefix("/"), f"{folder}/{name}"):
                base = tried.rstrip("/")
                for glob in (base, f"{base}/action.yml", f"{base}/action.yaml"):
                    yield from self.content.files.find(glob)

    def follow(self, commands: Iterable[Command]) -> Iterator[Command]:
        """Give commands, and after them those that they start."""
        seen: set[tuple[str, str, int]] = set()
        waiting = list(commands)
        while waiting and len(seen) < MOST:
            command = waiting.pop(0)
            if (command.text, command.path, command.line) in seen:
                continue
            seen.add((command.text, command.path, command.line))
            yield command
            waiting += [
                Command(*found) for found in self.runners.behind(command.text, command.path)
            ]

    def _commands(self, path: str, text: str) -> Iterator[Command]:
        if documents.ending(path) == "jenkinsfile":
            for match in JENKINS.finditer(text):
                words = next(filter(None, match.groups()), "")
                yield from lines_of(words, path, text.count("\n", 0, match.start()) + 1)
            return
        try:
            nodes = data_files.read(path, text)
        except data_files.UnreadableError:
            self.content.files.left_out.note("data files that do not parse", path)
            return
        for node in nodes:
            for key, below in data_files.everything(node):
                if key in COMMAND_KEYS:
                    yield from _of_node(key, below, path)


def _of_node(key: str | None, node: Node, path: str) -> Iterator[Command]:
    if node.value is not None:
        yield from lines_of(node.value, path, node.line)
    elif key == "args":
        words = " ".join(node.texts())
        yield from lines_of(words, path, node.line)
    else:
        for name, below in node.entries:
            if name is not None:
                continue  # keys of its own, such as CircleCI's `command`, are looked at by themselves
            if below.value is not None:
                yield from lines_of(below.value, path, below.line)
            else:
                yield from (
                    Command(text, path, below.line) for text in below.texts() if text.strip()
                )


def acts(command: str) -> str:
    """Return a command without what it only prints, installs or says in a comment."""
    return INSTALL.sub("", PRINTED.sub("", COMMENT.sub("", command)))


def lines_of(script: str, path: str, line: int) -> Iterator[Command]:
    """Give each line of a script, those that end in a backslash joined with the next."""
    first = line + 1 if "\n" in script.strip() else line
    joined = ""
    for number, each in enumerate(script.split("\n")):
        bare = each.strip()
        if bare.startswith("#"):
            continue
        joined = f"{joined} {bare}".strip()
        if joined.endswith("\\"):
            joined = joined[:-1].strip()
            continue
        if joined:
            yield Command(joined[:1_000], path, first + number)
        joined = ""
    if joined:
        yield Command(joined[:1_000], path, first)
