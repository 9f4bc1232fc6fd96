"""CI: its files, the commands in them, and those that these commands lead to."""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from rung.check.review import data_files, disabled, documents, jenkins, literals, scripts, shell
from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.runners import Runners
from rung.check.review.shell import executed
from rung.check.review.simple_commands import joined
from rung.check.review.workflow import Command, Workflow

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
INCLUDED = re.compile(
    r"""(?:^|[{,])[ \t]*+-?[ \t]*+(?:local|template|uses|include)[ \t]*+:[ \t]*+['"]?([./\w*-]+)['"]?""",
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
        hidden = disabled.mentions("\n".join(texts.values()))
        number = 0
        for path, text in texts.items():
            if content.files.clock.stops(content.files.left_out, path) or number > MOST_OF_ALL:
                content.files.left_out.note("CI files whose commands were not followed", path)
                content.files.left_out.out_of_time = True
                break
            workflow = self._workflow(path, text, hidden)
            number += len(workflow.commands)
            self.workflows.append(workflow)
        self.workflows = self._live(texts)

    def _live(self, texts: Mapping[str, str]) -> list[Workflow]:
        """Return the CI files that start by themselves, and those that live parts of these call."""
        by_path = {workflow.path: workflow for workflow in self.workflows}
        waiting = [path for path in self.roots if path in by_path and not by_path[path].is_called]
        live: set[str] = set()
        while waiting:
            path = waiting.pop()
            if path not in live:
                live.add(path)
                included = self._included(path, by_path[path].text or texts[path])
                waiting += [each for each in included if each in by_path]
        return [workflow for workflow in self.workflows if workflow.path in live]

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Give each CI file and what it includes, without comments."""
        files = self.content.files
        visited: set[str] = set()
        self.roots = [*files.find(*files.reading.ci), *self._by_content()]
        waiting = deque(self.roots)
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

    def _workflow(self, path: str, text: str, hidden: Mapping[str, int]) -> Workflow:
        if documents.ending(path) == "jenkinsfile":
            text = jenkins.without_idle_blocks(text)
            own = [each for one in jenkins.scripts(text) for each in lines_of(one[0], path, one[1])]
            workflow = Workflow(path, text, [], list(self.follow(own)))
            workflow.scheduled = workflow.commands if workflow.is_scheduled else []
            return workflow
        try:
            nodes = data_files.read(path, text)
        except data_files.UnreadableError:
            self.content.files.left_out.note("data files that do not parse", path)
            return Workflow(path, "")
        nodes, dead = disabled.without(nodes, hidden)
        lines = text.split("\n")
        for first, last in dead:
            lines[first - 1 : last] = [""] * len(lines[first - 1 : last])
        own, named = [], []
        for node in nodes:
            program = ""  # of Cloud Build, which names it apart from its arguments
            settings: set[int] = set()  # variables, whatever their names
            for key, below in data_files.walk(node):
                if key in ("env", "variables"):
                    settings.update(id(each) for _, each in below.entries)
                if key == "uses" and (below.value or "").startswith("pre-commit/action"):
                    own.append(Command(below.value or "", path, below.line))
                if key == "entrypoint":
                    program = below.value or ""
                if key == "args" and below.entries:
                    own += lines_of(joined([program, *below.texts()]), path, below.line)
                    program = ""
                elif key in COMMAND_KEYS and id(below) not in settings:
                    own += _of_node(key, below, path)
                elif key in NAMES and below.value is not None and " " in below.value:
                    number = below.line - 1
                    lines[number] = lines[number].replace(below.value, "", 1)
                elif below.value is not None and key is not None and key not in NAMES:
                    named.append(below.value)
        for command in own:
            if not executed(command.text) and 0 < command.line <= len(lines):
                lines[command.line - 1] = ""
        workflow = Workflow(path, "\n".join(lines), named, list(self.follow(own)))
        workflow.written = text.split("\n")
        workflow.is_called = any(_is_called(node.get("on")) for node in nodes)
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


def _is_called(events: Node | None) -> bool:
    """Say whether a workflow of GitHub runs only where another calls it."""
    if events is None:
        return False
    return {"workflow_call"} == ({key for key, _ in events.entries if key} or set(events.texts()))


def _of_node(key: str | None, node: Node, path: str) -> Iterator[Command]:
    if node.value is not None:
        yield from lines_of(node.value, path, node.line)
    else:
        for name, below in node.entries:
            if name is not None:
                continue  # keys of its own, such as CircleCI's `command`, are looked at by themselves
            if below.value is None:
                yield from lines_of(joined(below.texts()), path, below.line)
                continue
            yield from lines_of(below.value, path, below.line)
            if shell.EXITS.match(below.value.strip()):
                return  # one shell runs them all


def lines_of(script: str, path: str, line: int) -> Iterator[Command]:
    """Give each command of a script that is in a file, in or below a line."""
    first = line + 1 if "\n" in script.strip() else line
    names: dict[str, str] = {}
    for number, text in shell.lines(script):
        yield Command(scripts.put_in(text, names), path, first + number)
