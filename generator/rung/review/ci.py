"""CI: its files, the commands in them, and those that these commands lead to."""

import re
from collections import deque
from collections.abc import Iterable, Iterator

from rung.review import data_files, disabled, documents, literals, scripts, shell
from rung.review.content import Content
from rung.review.data_files import Node
from rung.review.runners import Runners
from rung.review.shell import executed
from rung.review.workflow import Command, Workflow

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
    r"""^[ \t]*+-?[ \t]*+(?:local|template|uses|include)[ \t]*+:[ \t]*+['"]?([./\w*-]+)['"]?""",
    re.MULTILINE,
)
NAMES = {"name", "displayName", "description", "desc", "id", "paths", "paths-ignore", "branches"}
MOST = 3_000  # commands of one CI file
MOST_OF_ALL = 200_000  # commands of all CI files together


class CI:
    """The CI of a repository."""

    def __init__(self, content: Content, runners: Runners) -> None:
        """Find the CI files, and what they run."""
        self.content = content
        self.runners = runners
        self.workflows: list[Workflow] = []
        texts = dict(self._texts())
        everything = "\n".join(texts.values())
        number = 0
        for path, text in texts.items():
            if content.files.clock.stops(content.files.left_out, path) or number > MOST_OF_ALL:
                content.files.left_out.note("CI files whose commands were not followed", path)
                content.files.left_out.out_of_time = True
                break
            workflow = self._workflow(path, text, everything)
            number += len(workflow.commands)
            self.workflows.append(workflow)

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Give each CI file and what it includes, without comments."""
        files = self.content.files
        visited: set[str] = set()
        waiting = deque([*files.find(*files.reading.ci), *self._by_content()])
        while waiting and len(visited) < 500:
            path = waiting.popleft()
            if path in visited:
                continue
            visited.add(path)
            text = self.content.text(path)
            if text is None or not text.strip():
                continue
            text = documents.without_comments(path, text)
            yield path, text
            waiting.extend(self._included(path, text))

    def _by_content(self) -> Iterator[str]:
        """Give the files that are CI by what they say."""
        files = self.content.files
        wanted = [
            [(re.compile(each, re.MULTILINE), literals.required_by(each)) for each in one]
            for one in files.reading.ci_by_content
        ]
        for path in files.find("**/*.yml", "**/*.yaml"):
            if files.clock.stops(files.left_out, path):
                return
            lower = (files.read(path) or b"").lower()
            may_be = [
                [regex for regex, _ in one]
                for one in wanted
                if all(required is None or required.met_by(lower) for _, required in one)
            ]
            if may_be and len(lower) < files.limits.data:
                uncommented = documents.without_comments(path, self.content.text(path) or "")
                text = Workflow(path, uncommented).squeezed
                if any(all(each.search(text) for each in one) for one in may_be):
                    yield path

    def _workflow(self, path: str, text: str, everything: str) -> Workflow:
        if documents.ending(path) == "jenkinsfile":
            own = list(_of_jenkins(path, text))
            workflow = Workflow(path, text, [], list(self.follow(own)))
            workflow.scheduled = workflow.commands if workflow.is_scheduled else []
            return workflow
        try:
            nodes = data_files.read(path, text)
        except data_files.UnreadableError:
            self.content.files.left_out.note("data files that do not parse", path)
            return Workflow(path, "")
        nodes, dead = disabled.without(nodes, everything)
        lines = text.split("\n")
        for first, last in dead:
            lines[first - 1 : last] = [""] * len(lines[first - 1 : last])
        own, named = [], []
        for node in nodes:
            program = ""  # of Cloud Build, which names it apart from its arguments
            for key, below in data_files.walk(node):
                if key == "entrypoint":
                    program = f"{below.value or ''} "
                elif key == "args" and program and below.entries:
                    own.append(Command(program + " ".join(below.texts()), path, below.line))
                    program = ""
                if key in COMMAND_KEYS:
                    own += _of_node(key, below, path)
                elif below.value is not None and key is not None and key not in NAMES:
                    named.append(below.value)
        for command in own:
            if not executed(command.text) and 0 < command.line <= len(lines):
                lines[command.line - 1] = ""
        workflow = Workflow(path, "\n".join(lines), named, list(self.follow(own)))
        if workflow.is_scheduled:
            others = list(disabled.not_on_a_schedule(nodes))
            own = [one for one in own if not any(a <= one.line <= z for a, z in others)]
            workflow.scheduled = list(self.follow(own)) if others else workflow.commands
        return workflow

    def _included(self, path: str, text: str) -> Iterator[str]:
        folder = path.rpartition("/")[0]
        for name in INCLUDED.findall(text):
            for tried in (name.removeprefix("./").removeprefix("/"), f"{folder}/{name}"):
                base = tried.rstrip("/")
                for glob in (base, f"{base}/action.yml", f"{base}/action.yaml"):
                    yield from self.content.files.find(glob)

    def follow(self, commands: Iterable[Command]) -> Iterator[Command]:
        """Give commands, and after them those that they start, each task once."""
        visited: set[Command] = set()
        started: set[tuple[str, str]] = set()
        waiting = deque(commands)
        while waiting and len(visited) < MOST:
            command = waiting.popleft()
            if command in visited:
                continue
            visited.add(command)
            yield command
            for started_command in self.runners.started_by(
                executed(command.text), command.path, started
            ):
                waiting.append(Command(*started_command))


def _of_jenkins(path: str, text: str) -> Iterator[Command]:
    for match in JENKINS.finditer(text):
        script = next(filter(None, match.groups()), "")
        yield from lines_of(script, path, text.count("\n", 0, match.start()) + 1)


def _of_node(key: str | None, node: Node, path: str) -> Iterator[Command]:
    if node.value is not None:
        yield from lines_of(node.value, path, node.line)
    elif key == "args":
        arguments = " ".join(node.texts())
        yield from lines_of(arguments, path, node.line)
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


def lines_of(script: str, path: str, line: int) -> Iterator[Command]:
    """Give each command of a script that is in a file, in or below a line."""
    first = line + 1 if "\n" in script.strip() else line
    names: dict[str, str] = {}
    for number, text in shell.lines(script):
        yield Command(scripts.put_in(text, names), path, first + number)
