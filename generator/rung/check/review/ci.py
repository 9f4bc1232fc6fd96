"""CI files: what they run and when, without jobs, steps and blocks that never run."""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice

from rung.check.review import data_files, documents, shell
from rung.check.review.content import Content
from rung.check.review.data_files import NOTHING, Node, walk
from rung.check.review.files import WILDCARDS, is_documentation, is_test
from rung.check.review.predicates import Match
from rung.check.review.prefilter import required
from rung.check.review.runners import (
    Command,
    Runners,
    commands_of,
    ignores_failure,
    shebang_of,
    with_values,
)
from rung.check.review.shell import executed, joined

COMMAND_KEY_NAMES = (
    "run script before_script after_script bash pwsh powershell inlineScript command commands args "
    "cmd install after_success"
)
COMMAND_KEYS = set(COMMAND_KEY_NAMES.split())
INCLUDED = re.compile(
    r"""(?:^|[{,])[ \t]*+-?[ \t]*+(?:local|template|uses|include)[ \t]*+:[ \t]*+['"]?([./\w*-]+)['"]?""",
    re.MULTILINE,
)
NAMES = {"name", "displayName", "description", "desc", "id", "paths", "paths-ignore", "branches"}
MAX_FILES = 500  # CI files, with those that they include
MAX_COMMANDS = 200_000  # in all CI files

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

# In an app of AWS CDK.
CDK_STEPS = re.compile(rb"\b(?:ShellStep|CodeBuildStep|BuildSpec\s*\.\s*from_?[oO]bject)\s*\(")
CDK_COMMANDS = re.compile(r"\bcommands[\"']?\s*[:=]\s*\[([^\]]{0,2000})\]")
QUOTED = re.compile(r"""(["'`])([^"'`\n]*)\1""")

# In a Jenkinsfile.
STARTS = re.compile(
    r"(?<![\"'$\w])(?:sh|bat|pwsh|powershell)\b\s*\(?\s*(?:script\s*:\s*)?"
    r"(?:'''(?P<a>(?:[^']|'(?!''))*+)'''|\"\"\"(?P<b>(?:[^\"]|\"(?!\"\"))*+)\"\"\""
    r"|'(?P<c>[^'\n]*)'|\"(?P<d>[^\"\n]*)\")"
)
IDLE = re.compile(
    r"\bif\s*\(\s*false\s*\)\s*\{"
    r"|(?P<stage>\bwhen\s*\{\s*expression\s*\{\s*(?:return\s+)?false\b)"
    r"|\bdef\s+(?P<function>\w+)\s*\([^)\n]*\)\s*\{"
)
# Blocks and statements that go on after a failure.
CAUGHT = re.compile(
    r"\b(?:catchError\s?\([^)\n]{0,200}\bbuildResult:\s?(?:['\"](?:SUCCESS|UNSTABLE)|null)[^)\n]{0,200}\)"
    r"|warnError\s?\([^)\n]{0,200}\)|(?P<tried>try))\s?\{"
    r"|^[ \t]*+sh\s?\([^)]{0,500}\breturnStatus\s*:\s*true",
    re.MULTILINE,
)
CATCH = re.compile(r"\}\s*catch\s*\([^)\n]*\)\s*\{")
THROWS = re.compile(r"\b(?:throw|error|FAILURE|exit)\b")
BRACE = re.compile(r"[{}]")
MAX_BLOCKS = 200
MAX_CAUGHT = 30

# Conditions.
FALSE = re.compile(r"false|never|0|!\s*true|not\(\s*true\s*\)", re.IGNORECASE)
LITERAL = r"(true|false|\d+|'[^']*')"
UNEQUAL = re.compile(
    rf"(?:eq\(\s*{LITERAL}\s*,\s*(?!\1){LITERAL}\s*\)|{LITERAL}\s*==\s*(?!\3){LITERAL})",
    re.IGNORECASE,
)
EXPRESSION = re.compile(r"\$\{\{(.*)\}\}", re.DOTALL)

EVENT = re.compile(r"event_name|CI_PIPELINE_SOURCE|Build\.Reason", re.IGNORECASE)
EVENT_IS = re.compile(
    r"""github\.event_name\s*(==|!=)\s*["'](\w+)["']|["'](\w+)["']\s*(==|!=)\s*github\.event_name"""
)
# Keys that give values to variables: in the file, and to the files that it calls.
VALUES = ("env", "variables", "matrix", "inputs", "parameters")
PASSED = ("with", "parameters")
NOT_SCHEDULED = re.compile(r"!=\s*[\"']?schedule|\bne\([^)]*schedule", re.IGNORECASE)

INPUT = re.compile(r"\b(?:inputs|parameters)\.\w")
PASSES = re.compile(r"^[ \t-]*(?:with|parameters)[ \t]*:", re.MULTILINE)
ASSIGNMENTS = re.compile(r"(?<!\S)(\w+)=([^\s\"']+)")  # of Travis: `env: venv=a tests=b`

# Keys of commands whose failure no longer counts.
AFTERWARDS = ("after_script", "after_success", "after_failure")

Lines = tuple[int, int]  # the first and the last
WHOLE: Lines = (1, 1_000_000)  # all lines of a file
Jobs = Mapping[str | None, Node]  # the top-level entries of a document, by name

# `if` of GitHub, `condition` and `enabled` of Azure, `when` of GitLab and CircleCI, `$if` of Taskcluster.
SWITCHES = ("if", "condition", "enabled", "when", "$if")
INSERTED = re.compile(r"\$\{\{\s*if\b(.*)\}\}")  # the key of a conditional block of Azure
HIDDEN = re.compile(r"\.\w[\w.-]*")
MENTIONS = re.compile(rf"(?<![\w.-]){HIDDEN.pattern}")
MAX_EXTENDED = 8  # jobs in a chain of `extends`
MAX_ROUNDS = 20  # of removing jobs that only removed jobs need
RUNS_ANYWAY = re.compile(r"always\(|cancelled\(|failure\(")


class CI:
    """The CI files that an event starts, and those that their live parts include or call."""

    def __init__(self, content: Content, runners: Runners) -> None:
        self.content = content
        self.runners = runners
        self.workflows = self._live()

    def _live(self) -> list["Workflow"]:
        """Read the CI files that events start, and those that their live parts include or call."""
        files = self.content.files
        roots = [*files.find(*files.reading.ci), *self._by_content()]
        texts = self._texts(roots)
        self.passed = _passed(texts)
        hidden = Counter(MENTIONS.findall("\n".join(texts.values())))
        workflows: dict[str, Workflow] = {}
        live: set[str] = set()
        waiting = deque((path, False) for path in files.cheap_first(roots))
        in_vain: deque[tuple[str, bool]] = deque()  # of jobs and steps whose failure is ignored
        number = 0
        while waiting or in_vain:
            may_fail = not waiting
            path, is_included = (waiting or in_vain).popleft()
            if path in live or path not in texts:
                continue
            if path not in workflows:
                if files.stops(path) or number > MAX_COMMANDS:
                    reason = "CI files whose commands were not followed"
                    files.left_out.note(reason, path, partial=True)
                    break
                workflows[path] = self._workflow(path, texts[path], hidden)
                number += len(workflows[path].commands)
            if is_included or not workflows[path].is_called:
                live.add(path)
                if may_fail:
                    workflows[path] = self._workflow(path, texts[path], hidden, [WHOLE])
                text = workflows[path].text or texts[path]
                in_vain += [(other, True) for other in self._included(path, text)]
                if not may_fail:
                    text = _without_lines(text, workflows[path].may_fail)
                    waiting += [(other, True) for other in self._included(path, text)]
        ordered = dict.fromkeys((*roots, *texts))
        return [*(workflows[path] for path in ordered if path in live), *self._in_cdk()]

    def _in_cdk(self) -> Iterator["Workflow"]:
        """Yield the CI that apps of AWS CDK describe: the commands of its steps."""
        files = self.content.files
        for path in files.find("**/*.py", "**/*.ts") if files.find("**/cdk.json") else ():
            if is_test(path) or is_documentation(path) or files.stops(path):
                continue
            if not CDK_STEPS.search(files.read(path) or b""):
                continue
            text = documents.without_comments(path, self.content.text(path) or "")
            own = [
                Command(quoted[2], path, text.count("\n", 0, listed.start(1) + quoted.start()) + 1)
                for listed in CDK_COMMANDS.finditer(text)
                for quoted in QUOTED.finditer(listed[1])
            ]
            yield Workflow(path, text, [], list(self.runners.follow(own)))

    def _texts(self, roots: Sequence[str]) -> dict[str, str]:
        """Return the text, without comments, of each CI file and all that it may include."""
        texts: dict[str, str] = {}
        visited: set[str] = set()
        files = self.content.files
        waiting = deque(files.cheap_first(roots))
        while waiting and len(visited) < MAX_FILES:
            path = waiting.popleft()
            if files.stops(path):
                break
            if path not in visited:
                visited.add(path)
                if (self.content.text(path) or "").strip():
                    text = documents.without_comments(path, self.content.text(path) or "")
                    texts[path] = text
                    waiting += self._included(path, text)
        return texts

    def _by_content(self) -> Iterator[str]:
        """Yield the files whose content shows that they are CI files."""
        files = self.content.files
        kinds = [
            [re.compile(pattern, re.MULTILINE) for pattern in patterns]
            for patterns in files.reading.ci_by_content
        ]
        for path in files.find("**/*.yml", "**/*.yaml"):
            if files.stops(path):
                return
            raw = (files.read(path) or b"").lower()
            possible = [
                kind
                for kind in kinds
                if all(
                    any(literal in raw for literal in clause)
                    for regex in kind
                    for clause in required(regex.pattern)
                )
            ]
            if possible and len(raw) < files.limits.data:
                text = documents.without_comments(path, self.content.text(path) or "")
                text = "\n".join(line for _, line in _filled(text))
                if any(all(regex.search(text) for regex in kind) for kind in possible):
                    yield path

    def _included(self, path: str, text: str) -> Iterator[str]:
        folder = path.rpartition("/")[0]
        for name in INCLUDED.findall(text):
            for candidate in (name.removeprefix("./").removeprefix("/"), f"{folder}/{name}"):
                base = candidate.rstrip("/")
                for glob in (base, f"{base}/action.yml", f"{base}/action.yaml"):
                    if glob.count("*") <= WILDCARDS:
                        yield from self.content.files.find(glob)

    def _workflow(
        self, path: str, text: str, hidden: Mapping[str, int], may_fail: Sequence[Lines] = ()
    ) -> "Workflow":
        if documents.ending(path) == "jenkinsfile":
            text = _without_idle_blocks(text)
            caught = list(_caught(text))
            own = []
            for start in STARTS.finditer(text):
                script, line = (
                    next(filter(None, start.groups()), ""),
                    text.count("\n", 0, start.start()) + 1,
                )
                # The shell of a step ends once a command fails: it has -e by default.
                shebang = shebang_of(script)
                ends_early = shell.errexit_after(shebang, not shebang)
                own += [
                    replace(command, may_fail=command.may_fail or _inside(line, caught))
                    for command in commands_of(script, path, line, ends_early)
                ]
            commands = list(self.runners.follow(own))
            scheduled = commands if _is_scheduled(text) else []
            return Workflow(path, text, [], commands, scheduled, may_fail=caught)
        try:
            nodes = data_files.read(path, text)
        except data_files.UnreadableError:
            self.content.files.left_out.note_file("data files that do not parse", path)
            return Workflow(path, "")
        nodes, dead = _without_idle_jobs(nodes, hidden)
        may_fail = [*may_fail, *_may_fail(nodes)]
        lines = _without_lines(text, dead).split("\n")
        own, named = _settings(nodes, path, lines)
        own = [
            replace(command, may_fail=command.may_fail or _inside(command.line, may_fail))
            for command in own
        ]
        values = _values(nodes, VALUES)
        for name, passed in self.passed.items():
            values[name] += passed
        own = [expanded for command in own for expanded in with_values(command, values)]
        by_hand = any(map(_is_started_by_hand, nodes))
        commands = scheduled = [
            replace(command, by_hand=by_hand) for command in self.runners.follow(own)
        ]
        may_fail += [WHOLE] if by_hand else []
        if not _is_scheduled("\n".join(lines)):
            scheduled = []
        elif unscheduled := list(_not_on_a_schedule(nodes)):
            own = [command for command in own if not _inside(command.line, unscheduled)]
            scheduled = list(self.runners.follow(own))
        is_called = any(_events(node) == {"workflow_call"} for node in nodes)
        raw_lines = text.split("\n")
        return Workflow(
            path, "\n".join(lines), named, commands, scheduled, is_called, raw_lines, may_fail
        )


@dataclass(frozen=True)
class Workflow:
    """A CI file, without comments and without jobs that never run."""

    path: str
    text: str  # the rest of the file; removed lines are blank
    # Values of settings other than names, filters and commands.
    named: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)  # all commands that the file leads to
    # Those of the commands that a schedule starts.
    scheduled: list[Command] = field(default_factory=list)
    is_called: bool = False  # whether only another workflow starts this one
    # The lines with the names of steps and what else `text` leaves out.
    raw_lines: list[str] = field(default_factory=list)
    # The first and last line of each job and step whose failure is ignored.
    may_fail: list[tuple[int, int]] = field(default_factory=list)

    @cached_property
    def lines(self) -> list[tuple[int, str]]:
        """The lines that are not blank, with their numbers.

        Many blank lines would make patterns slow.
        """
        return _filled(self.text)

    @cached_property
    def squeezed(self) -> str:
        """The lines that are not blank, as one text."""
        return "\n".join(line for _, line in self.lines)

    @property
    def calls_elsewhere(self) -> Iterator[tuple[int, str]]:
        """Workflows and templates of other repositories that the file calls, with their lines."""
        for match in ELSEWHERE.finditer(self.squeezed):
            number, _ = self.lines[self.squeezed.count("\n", 0, match.end())]
            yield number, next(filter(None, match.groups()))

    def search(self, regex: re.Pattern[str]) -> Iterator[Match]:
        """Yield the lines in which a pattern matches."""
        for match in regex.finditer(self.squeezed):
            position = match.start() + len(match[0]) - len(match[0].lstrip())
            number, line = self.lines[self.squeezed.count("\n", 0, position)]
            text = (self.raw_lines[number - 1] if self.raw_lines else line).strip()
            yield Match(self.path, number, text, may_fail=_inside(number, self.may_fail))
            if WHOLE in self.may_fail:
                return  # the other lines say no more


def _inside(line: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= line <= last for first, last in ranges)


def _without_lines(text: str, ranges: Iterable[tuple[int, int]]) -> str:
    lines = text.split("\n")
    for first, last in ranges:
        lines[first - 1 : last] = [""] * len(lines[first - 1 : last])
    return "\n".join(lines)


def _filled(text: str) -> list[tuple[int, str]]:
    """Return the lines of a text that are not blank, with their numbers."""
    lines = enumerate(text.split("\n"), 1)
    return [(number, line.rstrip()) for number, line in lines if line.strip()]


def _is_scheduled(text: str) -> bool:
    return SCHEDULED.search("\n".join(line for _, line in _filled(text))) is not None


def _passed(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the values that CI files pass to those that they call, by the names of the inputs."""
    values: dict[str, list[str]] = defaultdict(list)
    if any(INPUT.search(text) for text in texts.values()):
        for path, text in texts.items():
            try:
                nodes = data_files.read(path, text) if PASSES.search(text) else []
            except data_files.UnreadableError:
                continue
            for name, passed in _values(nodes, PASSED).items():
                values[name] += passed
    return values


def _values(nodes: Iterable[Node], keys: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of variables by name, as they stand below some keys."""
    values: dict[str, list[str]] = defaultdict(list)
    for key, node in (entry for document in nodes for entry in walk(document)):
        for name, below in [(key, node), *walk(node)] if key in keys else ():
            if name and name not in keys:
                values[name] += below.texts() + below.get("default").texts()
            if stated := below.get("name").value:  # of Azure, a list of mappings
                values[stated] += [*below.get("value").texts(), *below.get("default").texts()]
            for assigned, value in ASSIGNMENTS.findall("\n".join(below.texts())):
                values[assigned].append(value)
    return values


def _settings(
    nodes: Sequence[Node], path: str, lines: list[str]
) -> tuple[list[Command], list[str]]:
    """Return the commands of a CI file, and the values of its other settings.

    Names and commands that execute nothing are removed from the lines.
    """
    own: list[Command] = []
    named: list[str] = []
    for node in nodes:
        program = ""  # of Cloud Build, which has a key for the program and one for its arguments
        variables: set[int] = set()  # ids of nodes: a variable may be named like a command key
        for key, below in walk(node):
            if key in ("env", "variables"):
                variables.update(id(variable) for _, variable in below.entries)
            if key == "uses" and (below.value or "").startswith("pre-commit/action"):
                own.append(Command(below.value or "", path, below.line))
            if key == "entrypoint":
                program = below.value or ""
                own += _commands_at(below, path) if below.entries else []
            if key == "BuildSpec" and "\n" in (below.value or ""):
                own += _of_build_spec(below, path)
            if key == "args" and below.entries:
                own += commands_of(joined([program, *below.texts()]), path, below.script_line)
                program = ""
            elif key in COMMAND_KEYS and id(below) not in variables:
                own += _commands_at(below, path)
            elif key in NAMES and below.value is not None and " " in below.value:
                number = below.line - 1
                lines[number] = lines[number].replace(below.value, "", 1)
            elif below.value is not None and key is not None and key not in NAMES:
                named.append(below.value)
    for command in own:
        if not executed(command.text) and 0 < command.line <= len(lines):
            lines[command.line - 1] = ""
    return own, named


def _of_build_spec(node: Node, path: str) -> Iterator[Command]:
    """Yield the commands of a specification of CodeBuild within a template of CloudFormation."""
    try:
        nodes = data_files.read("buildspec.yml", node.value or "")
    except data_files.UnreadableError:
        return
    for command in _settings(nodes, path, [])[0]:
        yield replace(command, line=node.first + command.line - 1)


def _commands_at(node: Node, path: str) -> Iterator[Command]:
    """Yield the commands of a key such as `run` or `script`."""
    if node.value is not None:
        yield from commands_of(node.value, path, node.script_line)
        return
    for name, below in node.entries:
        if name is not None:
            continue  # a mapping, such as CircleCI's `run`: `_settings` reads its `command`
        if below.value is None:
            yield from commands_of(joined(below.texts()), path, below.script_line)
            continue
        yield from commands_of(below.value, path, below.script_line)
        if shell.EXITS.match(below.value.strip()):
            return  # the same shell runs all commands of the list


def _caught(text: str) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of each part of a Jenkinsfile whose failure is ignored."""
    for match in islice(CAUGHT.finditer(text), MAX_CAUGHT):
        is_block = match[0].endswith("{")
        end = _block_end(text, match.end()) if is_block else match.end()
        if match["tried"]:
            handler = CATCH.match(text, end)
            if not handler or THROWS.search(text, handler.end(), _block_end(text, handler.end())):
                continue
        start = match.end() - len(match[0].lstrip())
        yield text.count("\n", 0, start) + 1, text.count("\n", 0, end) + 1


def _without_idle_blocks(text: str) -> str:
    """Return a Jenkinsfile without blocks below a false condition and without unused functions."""
    position = 0
    for _ in range(MAX_BLOCKS):
        match = IDLE.search(text, position)
        if match is None:
            break
        position = match.end()
        name = match["function"]
        if name and len(re.findall(rf"\b{name}\b", text)) > 1:
            continue
        start = _block_start(text, match.start()) if match["stage"] else match.end()
        end = _block_end(text, start)
        text = text[:start] + "\n" * text.count("\n", start, end) + text[end:]
        position = start
    return text


def _block_start(text: str, position: int) -> int:
    depth = 0
    for match in reversed(list(BRACE.finditer(text, 0, position))):
        depth += 1 if match[0] == "}" else -1
        if depth < 0:
            return match.end()
    return 0


def _block_end(text: str, position: int) -> int:
    depth = 1
    for match in BRACE.finditer(text, position):
        depth += 1 if match[0] == "{" else -1
        if not depth:
            return match.start()
    return len(text)


def _without_idle_jobs(
    documents_: Sequence[Node], used: Mapping[str, int]
) -> tuple[list[Node], list[tuple[int, int]]]:
    """Return what is left without jobs and steps that never run, and the lines of each removed part."""
    dead: list[Node] = []
    left = []
    for document in documents_:
        events = _events(document)
        _without_foreign_events(document, events)
        if events == set() or _never(document, {}) or _never(document.get("workflow"), {}):
            dead.append(document)
            continue
        dead += _remove_hidden(document, used)
        dead += _remove_conditional(document)
        dead += _remove_dependents(document)
        dead += _remove_unlisted(document)
        left.append(document)
    return left, [(node.line, node.last) for node in dead]


def _events(document: Node) -> set[str] | None:
    """Return the events that start a workflow of GitHub; None if it names none."""
    on = document.get("on")
    if not on or on.value == "":
        return None
    never = {
        event
        for event, settings in on.entries
        for filters in [{key: below.texts() for key, below in settings.entries}]
        if (
            "**" in [*filters.get("branches-ignore", []), *filters.get("paths-ignore", [])]
            or all(name.startswith("!") for name in filters.get("branches") or [""])
        )
        and filters.keys().isdisjoint({"tags", "tags-ignore"})
    }
    return {event for event, _ in on.entries if event and event not in never} | (
        set() if on.is_mapping else set(on.texts())
    )


def _without_foreign_events(document: Node, events: AbstractSet[str] | None) -> None:
    """Make comparisons with events false that a workflow of GitHub never has."""
    if not events or "workflow_call" in events:
        return  # an event of its own, or that of the workflow that calls it

    def known(match: re.Match[str]) -> str:
        event = match[2] or match[3]
        never = event not in events if "==" in match[0] else events == {event}
        return "false" if never else match[0]

    for key, node in walk(document):
        if key == "if" and node.value and "event_name" in node.value:
            node.value = EVENT_IS.sub(known, node.value)


def _may_fail(documents_: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """Yield the lines of each job and step whose failure is ignored."""
    for document in documents_:
        jobs = dict(document.entries)
        for key, node in walk(document):
            if key in AFTERWARDS or _ignores_failure(node, jobs):
                yield node.line, node.last
        for matrix in (document.get("jobs"), document.get("matrix")):  # of Travis
            allowed = [_stated(job) for _, job in matrix.get("allow_failures").entries]
            for _, job in matrix.get("include").entries:
                if any(stated and stated <= _stated(job) for stated in allowed):
                    yield job.line, job.last


def _stated(job: Node) -> set[tuple[str | None, str]]:
    return {(key, text) for key, below in job.entries for text in below.texts()}


def _ignores_failure(node: Node, jobs: Jobs) -> bool:
    """Return whether a job or step says that its failure is ignored, or a job that it extends."""
    rules = node.get("rules").entries
    if rules and all(ignores_failure(rule) for _, rule in rules):
        return True
    for _ in range(MAX_EXTENDED if node.value is None else 0):
        stated = ignores_failure(node)
        if stated is not None or not node:
            return bool(stated)
        extends = node.get("extends") or node.get("<<")
        named = [] if extends.is_mapping else extends.texts()
        node = jobs.get(named[-1], NOTHING) if named else extends
    return False


def _is_started_by_hand(document: Node) -> bool:
    """Return whether only a person starts a workflow of GitHub or a pipeline of Azure."""
    by_itself = document.get("schedules") or document.get("resources")
    is_off = document.get("trigger").value == document.get("pr").value == "none"
    return (is_off and not by_itself) or _events(document) == {"workflow_dispatch"}


def _remove_hidden(document: Node, used: Mapping[str, int]) -> list[Node]:
    """Remove hidden jobs that only other such jobs extend."""
    hidden = {key: node for key, node in document.entries if key and HIDDEN.fullmatch(key)}
    inside = {
        key: Counter(value for _, below in walk(node) for value in below.texts() if value in hidden)
        for key, node in hidden.items()
    }
    unused: set[str | None] = set()
    in_unused: Counter[str] = Counter()
    for _ in range(MAX_ROUNDS):
        left = hidden.keys() - unused
        more = {key for key in left if used.get(key, 0) <= 1 + inside[key][key] + in_unused[key]}
        if not more:
            break
        unused |= more
        for key in more:
            in_unused.update(inside[key])
    return document.remove(lambda key, _: key in unused)


def _remove_conditional(document: Node) -> list[Node]:
    """Remove jobs, steps and blocks whose condition is never true."""
    jobs = dict(document.entries)

    def is_dead(key: str | None, below: Node) -> bool:
        if not below.entries:
            return False
        inserted = INSERTED.fullmatch(key.strip()) if key else None
        never = key != "rules" and _never(below, jobs)
        return never or (inserted is not None and _is_false(inserted[1]))

    dead: list[Node] = []
    waiting = [document]
    visited = {id(document)}
    while waiting:
        node = waiting.pop()
        dead += node.remove(is_dead)
        new = [below for _, below in node.entries if id(below) not in visited]
        visited.update(map(id, new))
        waiting += new
    return dead


def _remove_dependents(document: Node) -> list[Node]:
    """Remove jobs of GitHub that need a removed job."""
    jobs = document.get("jobs")
    dead: list[Node] = []
    for _ in range(MAX_ROUNDS if jobs.is_mapping else 0):
        left = {key for key, _ in jobs.entries}
        more = jobs.remove(partial(_never_starts, left))
        if not more:
            break
        dead += more
    return dead


def _never_starts(jobs: AbstractSet[str | None], _name: str | None, job: Node) -> bool:
    needs, condition = job.get("needs"), job.get("if")
    return not jobs >= set(needs.texts()) and not RUNS_ANYWAY.search(condition.value or "")


def _remove_unlisted(document: Node) -> list[Node]:
    """Remove jobs of CircleCI that no workflow lists."""
    jobs, workflows = document.get("jobs"), document.get("workflows")
    if not jobs or not workflows:
        return []
    named = {name for key, node in walk(workflows) for name in (key, node.value)}
    return jobs.remove(lambda key, _: key not in named)


def _never(node: Node, jobs: Jobs) -> bool:
    """Return whether a job, step or rule never runs, by its own or by inherited conditions."""
    if any(
        key in SWITCHES and below.value is not None and _is_false(below.value)
        for key, below in node.entries
    ):
        # A rule with `changes` or `exists` (GitLab) applies only at times, an `$if` may have an `else`.
        return not any(key in ("changes", "exists", "else") for key, _ in node.entries)
    matrix = node.get("strategy", "matrix")
    ignored = node.get("filters", "branches", "ignore")  # of CircleCI
    if "/.*/" in ignored.texts() and not node.get("filters", "tags"):
        return True
    if any(
        key not in ("include", "exclude") and not axis.entries and axis.value is None
        for key, axis in matrix.entries
    ):
        return True
    rules = _rules(node, jobs, set())
    return bool(rules) and all(_never(rule, jobs) for rule in rules)


def _rules(node: Node, jobs: Jobs, visited: set[int]) -> list[Node]:
    """Return the rules of a job of GitLab: its own, or those of the job that it extends."""
    visited.add(id(node))
    rules = node.get("rules")
    if rules:
        listed = []
        for _, rule in rules.entries:
            name, *rest = ["", ""] if rule.is_mapping else [*rule.texts(), ""]
            other = jobs.get(name) if rest[0] == "rules" else None
            if other is None or id(other) in visited or len(visited) > MAX_EXTENDED:
                listed.append(rule)
            else:
                listed += _rules(other, jobs, visited)
        return listed
    extended = [jobs.get(name) for name in reversed(node.get("extends").texts())]
    merged = [below for key, below in node.entries if key == "<<"]
    for other in filter(None, [*merged, *extended]):
        is_new = id(other) not in visited and len(visited) <= MAX_EXTENDED
        if is_new and (inherited := _rules(other, jobs, visited)):
            return inherited
    return []


def _not_on_a_schedule(documents_: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of each job and step that a schedule does not start."""
    for document in documents_:
        jobs = dict(document.entries)
        for _, node in walk(document):
            if node.entries and _waits_for_another_event(node, jobs):
                yield node.line, node.last


def _waits_for_another_event(node: Node, jobs: Jobs) -> bool:
    if node.get("when").value == "manual" or "schedules" in node.get("except").texts():
        return True
    conditions = [below.value for key, below in node.entries if key in SWITCHES and below.value]
    if any(map(_names_another_event, conditions)):
        return True
    rules = node.get("rules").entries
    return bool(rules) and all(
        _never(rule, jobs) or _waits_for_another_event(rule, jobs) for _, rule in rules
    )


def _is_false(condition: str) -> bool:
    text = condition.strip()
    if expression := EXPRESSION.fullmatch(text):
        text = expression[1].strip()
    if FALSE.fullmatch(text) or UNEQUAL.fullmatch(text):
        return True
    if text.lower().startswith("and(") and text.endswith(")"):
        return any(map(_is_false, _parts(text[4:-1], ",")))
    if len(either := _parts(text, "||")) > 1:
        return all(map(_is_false, either))
    if len(both := _parts(text, "&&")) > 1:
        return any(map(_is_false, both))
    return text.startswith("(") and text.endswith(")") and _is_false(text[1:-1])


def _parts(text: str, separator: str) -> list[str]:
    """Return the parts of a condition between separators outside of parentheses."""
    parts, depth = [""], 0
    for piece in re.split(rf"({re.escape(separator)}|[()])", text[:1_000]):
        depth += (piece == "(") - (piece == ")")
        if piece == separator and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _names_another_event(condition: str) -> bool:
    """Return whether a condition requires an event other than a schedule."""
    if not EVENT.search(condition):
        return False
    if NOT_SCHEDULED.search(condition):
        return True
    return "schedule" not in condition.lower() and re.search(r"==|\beq\(", condition) is not None
