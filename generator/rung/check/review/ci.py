"""CI files: what they run and when, without jobs, steps and blocks that never run."""

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property

from rung.check.review import data_files, documents, shell
from rung.check.review.content import Content
from rung.check.review.data_files import Node, walk
from rung.check.review.files import WILDCARDS
from rung.check.review.predicates import Match
from rung.check.review.prefilter import required
from rung.check.review.runners import Command, Runners, commands_of
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
BRACE = re.compile(r"[{}]")
MAX_BLOCKS = 200

# Conditions.
FALSE = re.compile(r"false|never|0|!\s*true|not\(\s*true\s*\)", re.IGNORECASE)
LITERAL = r"(true|false|\d+|'[^']*')"
UNEQUAL = re.compile(
    rf"(?:eq\(\s*{LITERAL}\s*,\s*(?!\1){LITERAL}\s*\)|{LITERAL}\s*==\s*(?!\3){LITERAL})",
    re.IGNORECASE,
)
EXPRESSION = re.compile(r"\$\{\{(.*)\}\}", re.DOTALL)

EVENT = re.compile(r"event_name|CI_PIPELINE_SOURCE|Build\.Reason", re.IGNORECASE)
EVENT_IS = re.compile(r"""github\.event_name\s*==\s*(["'])(\w+)\1""")
MAY_FAIL = ("continue-on-error", "allow_failure", "continueOnError", "soft_fail")
NOT_SCHEDULED = re.compile(r"!=\s*[\"']?schedule|\bne\([^)]*schedule", re.IGNORECASE)

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
    """The CI of a repository.

    Attributes:
        workflows: The files that an event starts, and those that their live parts include or call.
    """

    def __init__(self, content: Content, runners: Runners) -> None:
        self.content = content
        self.runners = runners
        self.workflows = self._live()

    def _live(self) -> list["Workflow"]:
        """Read the CI files that events start, and those that their live parts include or call."""
        files = self.content.files
        roots = [*files.find(*files.reading.ci), *self._by_content()]
        texts = self._texts(roots)
        hidden = Counter(MENTIONS.findall("\n".join(texts.values())))
        workflows: dict[str, Workflow] = {}
        live: set[str] = set()
        waiting = deque((path, False) for path in files.cheap_first(roots))
        number = 0
        while waiting:
            path, is_included = waiting.popleft()
            if path in live or path not in texts:
                continue
            if path not in workflows:
                if files.clock.stops(files.left_out, path) or number > MAX_COMMANDS:
                    files.left_out.note("CI files whose commands were not followed", path)
                    files.left_out.out_of_time = True
                    break
                workflows[path] = self._workflow(path, texts[path], hidden)
                number += len(workflows[path].commands)
            if is_included or not workflows[path].is_called:
                live.add(path)
                included = self._included(path, workflows[path].text or texts[path])
                waiting += [(other, True) for other in included]
        ordered = dict.fromkeys((*roots, *texts))
        return [workflows[path] for path in ordered if path in live]

    def _texts(self, roots: Sequence[str]) -> dict[str, str]:
        """Return the text, without comments, of each CI file and all that it may include."""
        texts: dict[str, str] = {}
        visited: set[str] = set()
        files = self.content.files
        waiting = deque(files.cheap_first(roots))
        while waiting and len(visited) < MAX_FILES:
            path = waiting.popleft()
            if files.clock.stops(files.left_out, path):
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
            if files.clock.stops(files.left_out, path):
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

    def _workflow(self, path: str, text: str, hidden: Mapping[str, int]) -> "Workflow":
        if documents.ending(path) == "jenkinsfile":
            text = _without_idle_blocks(text)
            scripts = _jenkins_scripts(text)
            own = [
                command for script, line in scripts for command in commands_of(script, path, line)
            ]
            commands = list(self.runners.follow(own))
            return Workflow(path, text, [], commands, commands if _is_scheduled(text) else [])
        try:
            nodes = data_files.read(path, text)
        except data_files.UnreadableError:
            self.content.files.left_out.note("data files that do not parse", path)
            return Workflow(path, "")
        nodes, dead = _without_idle_jobs(nodes, hidden)
        may_fail = list(_may_fail(nodes))
        lines = text.split("\n")
        for first, last in dead:
            lines[first - 1 : last] = [""] * len(lines[first - 1 : last])
        own, named = _settings(nodes, path, lines)
        own = [
            replace(command, may_fail=True) if _inside(command.line, may_fail) else command
            for command in own
        ]
        commands = scheduled = list(self.runners.follow(own))
        if not _is_scheduled("\n".join(lines)):
            scheduled = []
        elif unscheduled := list(_not_on_a_schedule(nodes)):
            own = [command for command in own if not _inside(command.line, unscheduled)]
            scheduled = list(self.runners.follow(own))
        is_called = any(_is_called(node.get("on")) for node in nodes)
        raw_lines = text.split("\n")
        return Workflow(
            path, "\n".join(lines), named, commands, scheduled, is_called, raw_lines, may_fail
        )


@dataclass(frozen=True)
class Workflow:
    """A CI file, without comments and without jobs that never run.

    Attributes:
        path: Path of the file.
        text: The rest of the file; removed lines are blank.
        named: Values of settings other than names, filters and commands.
        commands: All commands that the file leads to.
        scheduled: Those of the commands that a schedule starts.
        is_called: Whether only another workflow starts this one.
        raw_lines: The lines with the names of steps and what else `text` leaves out.
        may_fail: The first and last line of each job and step whose failure is ignored.
    """

    path: str
    text: str
    named: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    scheduled: list[Command] = field(default_factory=list)
    is_called: bool = False
    raw_lines: list[str] = field(default_factory=list)
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


def _inside(line: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= line <= last for first, last in ranges)


def _filled(text: str) -> list[tuple[int, str]]:
    """Return the lines of a text that are not blank, with their numbers."""
    lines = enumerate(text.split("\n"), 1)
    return [(number, line.rstrip()) for number, line in lines if line.strip()]


def _is_scheduled(text: str) -> bool:
    return SCHEDULED.search("\n".join(line for _, line in _filled(text))) is not None


def _is_called(events: Node | None) -> bool:
    """Return whether a workflow of GitHub runs only when another calls it."""
    if events is None:
        return False
    return {"workflow_call"} == ({key for key, _ in events.entries if key} or set(events.texts()))


def _settings(
    nodes: Sequence[Node], path: str, lines: list[str]
) -> tuple[list[Command], list[str]]:
    """Return the commands of a CI file, and the values of its other settings.

    Args:
        nodes: Documents of the file.
        path: Path of the file.
        lines: Lines of the file; names and commands that execute nothing are removed from them.
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


def _jenkins_scripts(text: str) -> Iterator[tuple[str, int]]:
    """Yield each shell script of a Jenkinsfile, and its line."""
    for match in STARTS.finditer(text):
        script = next(filter(None, match.groups()), "")
        yield script, text.count("\n", 0, match.start()) + 1


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
    """Return the start of the block that contains a position."""
    depth = 0
    for match in reversed(list(BRACE.finditer(text, 0, position))):
        depth += 1 if match[0] == "}" else -1
        if depth < 0:
            return match.end()
    return 0


def _block_end(text: str, position: int) -> int:
    """Return the end of the block that begins before a position."""
    depth = 1
    for match in BRACE.finditer(text, position):
        depth += 1 if match[0] == "{" else -1
        if not depth:
            return match.start()
    return len(text)


def _without_idle_jobs(
    documents_: Sequence[Node], used: Mapping[str, int]
) -> tuple[list[Node], list[tuple[int, int]]]:
    """Remove jobs and steps that never run.

    Args:
        documents_: Documents of a CI file; they are changed.
        used: How often all CI files name each hidden job of GitLab, which others extend.

    Returns:
        The remaining documents, and the first and last line of each removed part.
    """
    dead: list[tuple[int, int]] = []
    left = []
    for document in documents_:
        workflow, events = document.get("workflow"), _events(document)
        _without_foreign_events(document, events)
        if (
            events == set()
            or _never(document, {})
            or (workflow is not None and _never(workflow, {}))
        ):
            dead.append((document.line, document.last))
            continue
        dead += _remove_hidden(document, used)
        dead += _remove_conditional(document)
        dead += _remove_dependents(document)
        dead += _remove_unlisted(document)
        left.append(document)
    return left, dead


def _events(document: Node) -> set[str] | None:
    """Return the events that start a workflow of GitHub; None if it names none."""
    on = document.get("on")
    if on is None or on.value == "":
        return None
    never = {
        event
        for event, settings in on.entries
        for filters in [{key: below.texts() for key, below in settings.entries}]
        if "**" in [*filters.get("branches-ignore", []), *filters.get("paths-ignore", [])]
        and filters.keys().isdisjoint({"tags", "tags-ignore"})
    }
    return {event for event, _ in on.entries if event and event not in never} | (
        set() if on.is_mapping else set(on.texts())
    )


def _without_foreign_events(document: Node, events: AbstractSet[str] | None) -> None:
    """Make comparisons with events false that a workflow of GitHub never has."""
    if not events or "workflow_call" in events:
        return  # an event of its own, or that of the workflow that calls it
    for key, node in walk(document):
        if key == "if" and node.value and "event_name" in node.value:
            node.value = EVENT_IS.sub(
                lambda match: match[0] if match[2] in events else "false", node.value
            )


def _may_fail(documents_: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of each job and step whose failure is ignored."""
    for document in documents_:
        jobs = dict(document.entries)
        for _, node in walk(document):
            setting = node if node.value is None else None
            for _ in range(MAX_EXTENDED):
                if setting is None:
                    break
                values = {key: below.value for key, below in setting.entries}
                if "true" in [(values.get(name) or "").lower() for name in MAY_FAIL]:
                    yield node.line, node.last
                    break
                extends = setting.get("extends") or setting.get("<<")
                named = extends.texts() if extends else []
                setting = jobs.get(named[-1]) if named else extends


def _remove_hidden(document: Node, used: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """Remove hidden jobs that only other such jobs extend; yield their lines."""
    hidden = {key: node for key, node in document.entries if key and HIDDEN.fullmatch(key)}
    inside = {
        key: Counter(value for _, below in walk(node) for value in below.texts() if value in hidden)
        for key, node in hidden.items()
    }
    unused: set[str] = set()
    in_unused: Counter[str] = Counter()
    for _ in range(MAX_ROUNDS):
        left = hidden.keys() - unused
        more = {key for key in left if used.get(key, 0) <= 1 + inside[key][key] + in_unused[key]}
        if not more:
            break
        unused |= more
        for key in more:
            in_unused.update(inside[key])
    yield from ((hidden[key].line, hidden[key].last) for key in unused)
    document.entries = [(key, node) for key, node in document.entries if key not in unused]


def _remove_conditional(document: Node) -> Iterator[tuple[int, int]]:
    """Remove jobs, steps and blocks whose condition is never true; yield their lines."""
    jobs = dict(document.entries)
    waiting = [document]
    visited = {id(document)}
    while waiting:
        node = waiting.pop()
        kept = []
        for key, below in node.entries:
            inserted = INSERTED.fullmatch(key.strip()) if key else None
            never = key != "rules" and _never(below, jobs)
            if below.entries and (never or (inserted and _is_false(inserted[1]))):
                yield below.line, below.last
                continue
            kept.append((key, below))
            if id(below) not in visited:
                visited.add(id(below))
                waiting.append(below)
        node.entries = kept


def _remove_dependents(document: Node) -> Iterator[tuple[int, int]]:
    """Remove jobs of GitHub that need a removed job; yield their lines."""
    jobs = document.get("jobs")
    for _ in range(MAX_ROUNDS if jobs is not None and jobs.is_mapping else 0):
        assert jobs is not None
        left = {key for key, _ in jobs.entries}
        kept = [(key, job) for key, job in jobs.entries if not _never_starts(job, left)]
        named = {key for key, _ in kept}
        yield from ((job.line, job.last) for key, job in jobs.entries if key not in named)
        if named == left:
            return
        jobs.entries = kept


def _never_starts(job: Node, jobs: AbstractSet[str | None]) -> bool:
    needs, condition = job.get("needs"), job.get("if")
    if needs is None or jobs >= set(needs.texts()):
        return False
    return not (condition and condition.value and RUNS_ANYWAY.search(condition.value))


def _remove_unlisted(document: Node) -> Iterator[tuple[int, int]]:
    """Remove jobs of CircleCI that no workflow lists; yield their lines."""
    jobs, workflows = document.get("jobs"), document.get("workflows")
    if jobs is None or workflows is None:
        return
    named = {name for key, node in walk(workflows) for name in (key, node.value)}
    yield from ((job.line, job.last) for key, job in jobs.entries if key not in named)
    jobs.entries = [(key, job) for key, job in jobs.entries if key in named]


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
    if ignored is not None and "/.*/" in ignored.texts() and not node.get("filters", "tags"):
        return True
    if matrix is not None and any(
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
    if rules is not None:
        listed = []
        for _, rule in rules.entries:
            name, *rest = ["", ""] if rule.is_mapping else [*rule.texts(), ""]
            other = jobs.get(name) if rest[0] == "rules" else None
            if other is None or id(other) in visited or len(visited) > MAX_EXTENDED:
                listed.append(rule)
            else:
                listed += _rules(other, jobs, visited)
        return listed
    named = node.get("extends")
    extended = [jobs.get(name) for name in reversed(named.texts())] if named else []
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
    when, exceptions, rules = node.get("when"), node.get("except"), node.get("rules")
    if when is not None and when.value == "manual":
        return True
    if exceptions is not None and "schedules" in exceptions.texts():
        return True
    conditions = [below.value for key, below in node.entries if key in SWITCHES and below.value]
    if any(map(_names_another_event, conditions)):
        return True
    return (
        rules is not None
        and bool(rules.entries)
        and all(
            _never(rule, jobs) or _waits_for_another_event(rule, jobs) for _, rule in rules.entries
        )
    )


def _is_false(condition: str) -> bool:
    """Return whether a condition is never true."""
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
