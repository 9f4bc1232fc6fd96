"""Evidence: which predicates of levels/ hold in a repository, and where."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cached_property
from itertools import islice, zip_longest
from typing import Any

from packaging.utils import canonicalize_name

from rung.check.review import data_files, dependencies, documents, matching
from rung.check.review.ci import CI
from rung.check.review.content import Content
from rung.check.review.predicates import FLAGS, PREDICATES, FilePredicate, Match
from rung.check.review.reachability import Reachability
from rung.check.review.runners import Command, Runners, commands_of
from rung.check.review.shell import executed, joined

Predicate = Any  # as levels/README.md describes it
Accept = Callable[[Match], bool]
SHOWN = 5  # matches per predicate
# Parts of the time that is left which a step may take, so that no step leaves nothing for the others.
DEPENDENCIES, WORKFLOWS, LINES = 0.2, 0.5, 0.75
MAX_STARTS = 200  # files from which a `leads_to` follows commands and imports
COMBINING = ("all", "any", "none", "same_file", "leads_to")  # predicates of predicates
IMAGES = ("**/Dockerfile*", "**/*.Dockerfile", "**/Containerfile*")
INSTRUCTION = re.compile(r"\s*(?:RUN|CMD|ENTRYPOINT)\s+(.*)", re.IGNORECASE)
# Keys of a container in Compose and Kubernetes, and of a job of Ray.
CONTAINER_KEYS = {"command", "args", "entrypoint"}


class Evidence:
    """The matches of predicates in a repository; each file is read once for all of them."""

    def __init__(self, content: Content, predicates: Iterable[Predicate]) -> None:
        self.content = content
        clock = content.files.clock
        with clock.share(DEPENDENCIES):
            self.packages = dependencies.read(content)
        with clock.share(WORKFLOWS):
            self.ci = CI(content, Runners(content))
        self.reachability = Reachability(content, self.ci)
        by_name: dict[str, FilePredicate] = {}
        for predicate in predicates:
            for part in file_predicates(predicate):
                by_name.setdefault(_name(part), part)
        with clock.share(LINES):
            tests, not_collected = self.reachability.tests, self.reachability.not_collected
            self.matches = matching.match(content, by_name, tests, not_collected)
        self.matched: dict[tuple[str, str], bool] = {}  # cache, by pattern and command

    def holds(
        self, predicate: Predicate, used: Predicate = None, *, enforced: bool = False
    ) -> list[Match]:
        """Return the matches of a predicate in code that may run; none if it does not hold.

        `reached` refers to the predicate of the tier `used`. If enforced, no failure may be ignored.
        """

        def accept(match: Match) -> bool:
            return not match.only_declared and not (enforced and match.may_fail)

        return self._first_matches(predicate, accept, used)

    def holds_anywhere(self, predicate: Predicate) -> list[Match]:
        """Return the matches of a predicate, also in notebooks and in code that never runs."""
        return self._first_matches(predicate, lambda match: True, None)

    def all_matches(self, predicate: Predicate) -> list[Match]:
        """Return all matches of a predicate: `holds_anywhere` returns only those to be shown."""
        return self._matches(predicate, lambda match: True, None)

    def _first_matches(self, predicate: Predicate, accept: Accept, used: Predicate) -> list[Match]:
        matches = self._matches(predicate, accept, used)
        if predicate == "reached" or not {"all", "any"} & set(predicate):
            return matches[:SHOWN]
        return matches[: 2 * SHOWN]

    def _matches(self, predicate: Predicate, accept: Accept, used: Predicate) -> list[Match]:
        files = self.content.files
        if files.clock.is_up():
            reason = "pieces of evidence not looked for in time"
            files.left_out.note(reason, str(predicate)[:80], partial=True)
            return []
        if predicate == "reached":
            return self._matches(used, self._within(self.reachability.reached, accept), None)
        kind, value = next(iter(predicate.items()))
        if kind in COMBINING:
            if kind in ("all", "same_file"):  # what is imported is shown last: it says the least
                value = sorted(value, key=lambda part: "imports" in part)
            parts = [self._matches(part, accept, used) for part in value]
            return list(dict.fromkeys(self._combined(kind, parts)))
        if kind == "reached":
            return self._matches(value, self._within(self.reachability.reached, accept), None)
        if kind == "scheduled":
            return self._matches(value, self._on_a_schedule(accept), None)
        if kind in ("ci_runs", "ci_says"):
            return list(self._ci_matches(predicate, accept))
        if kind == "runs":
            return [match for match in self._run_matches(value) if accept(match)]
        if kind == "depends":
            return list(self._dependency_matches(value))
        return list(filter(accept, self.matches.get(_name(_file_predicate(predicate)), [])))

    def _combined(self, kind: str, parts: list[list[Match]]) -> Iterable[Match]:
        if kind == "any":
            return _in_turn(parts)
        if kind == "none":
            return (
                []
                if any(parts) or self.content.files.clock.is_up()
                else [Match("", 0, "nothing of this kind was found")]
            )
        if not all(parts):
            return []
        if kind == "leads_to":
            return self._leading_matches(parts)
        if kind == "same_file":
            paths = set.intersection(*({match.path for match in matches} for matches in parts))
            parts = [[match for match in matches if match.path in paths] for matches in parts]
        return _in_turn(parts)

    def _leading_matches(self, parts: list[list[Match]]) -> list[Match]:
        """Return matches of the first part in files that lead to all others, and these matches."""
        first, *others = parts
        leading: list[Match] = []
        files = self.content.files
        targets = {match.path for matches in others for match in matches if not match.only_declared}
        for number, start in enumerate(dict.fromkeys(match.path for match in first)):
            if number >= MAX_STARTS:
                files.left_out.note("files whose imports were not followed", start, partial=True)
                break
            within = self._within(self.reachability.reachable_from(start, targets))
            ends = [list(filter(within, matches)) for matches in others]
            if all(ends):
                leading += _in_turn([[match for match in first if match.path == start], *ends])
        return leading

    def _within(self, paths: AbstractSet[str], accept: Accept = lambda match: True) -> Accept:
        return lambda match: not match.only_declared and match.path in paths and accept(match)

    def _on_a_schedule(self, accept: Accept) -> Accept:
        within = self._within(self.reachability.scheduled, accept)
        locations = self.scheduled_commands
        return lambda match: (
            within(match) or ((match.path, match.line) in locations and accept(match))
        )

    @cached_property
    def commands(self) -> list[Command]:
        """The commands of CI, task files, pipelines, images and container manifests."""
        commands = [command for workflow in self.ci.workflows for command in workflow.commands]
        commands += self.ci.runners.tasks()
        started = [*_image_commands(self.content), *_manifest_commands(self.content)]
        commands += self.ci.runners.follow(started)
        return list(dict.fromkeys(commands))

    @cached_property
    def scheduled_commands(self) -> frozenset[tuple[str, int]]:
        """File and line of each command that a CI schedule leads to."""
        return frozenset(
            (command.path, command.line)
            for workflow in self.ci.workflows
            for command in workflow.scheduled
        )

    def _run_matches(
        self, pattern: str, commands: Iterable[Command] | None = None
    ) -> Iterator[Match]:
        """Yield the commands that execute what a pattern matches."""
        regex = re.compile(pattern, FLAGS)
        for command in self.commands if commands is None else commands:
            if self._executes(regex, command.text):
                may_fail = not regex.search(command.enforced)
                yield Match(command.path, command.line, command.text, may_fail=may_fail)

    def _executes(self, regex: re.Pattern[str], command: str) -> bool:
        matches = self.matched.get((regex.pattern, command))
        if matches is None:
            matches = bool(regex.search(command) and regex.search(executed(command)))
            self.matched[regex.pattern, command] = matches
        return matches

    def _ci_matches(self, predicate: Mapping[str, Any], accept: Accept) -> Iterator[Match]:
        says = re.compile(predicate["ci_says"], FLAGS) if "ci_says" in predicate else None
        for workflow in self.ci.workflows:
            matches: list[Match] = []
            if says:
                matches += islice(filter(accept, workflow.search(says)), 1)
            if "ci_runs" in predicate and (matches or not says):
                commands = workflow.commands
                if predicate.get("by_hand"):
                    commands = [replace(command, by_hand=False) for command in commands]
                run = self._run_matches(predicate["ci_runs"], commands)
                matches += (runs := list(islice(filter(accept, run), 1)))
                if not runs:
                    continue
            yield from matches

    def _dependency_matches(self, requirements: Iterable[str]) -> Iterator[Match]:
        for requirement in requirements:
            package, bracket, extra = requirement.partition("[")
            name: str = canonicalize_name(package)
            if bracket:
                name += f"[{canonicalize_name(extra.rstrip(']'))}]"
            if name in self.packages:
                yield Match(*self.packages[name])


def _in_turn(parts: Iterable[Iterable[Match]]) -> Iterator[Match]:
    """Yield the first match of each part, then the second of each: a report shows only some."""
    for matches in zip_longest(*parts):
        yield from filter(None, matches)


def file_predicates(predicate: Predicate) -> Iterator[FilePredicate]:
    """Yield the predicates within a predicate that are matched file by file."""
    if predicate == "reached":
        return
    kind, value = next(iter(predicate.items()))
    if kind in COMBINING:
        for part in value:
            yield from file_predicates(part)
    elif kind in ("reached", "scheduled"):
        yield from file_predicates(value)
    elif PREDICATES[kind].match:
        yield _file_predicate(predicate)


def _file_predicate(predicate: Predicate) -> FilePredicate:
    (kind, value), *options = predicate.items()
    return FilePredicate(kind, value, dict(options))


def _name(predicate: FilePredicate) -> str:
    return json.dumps([predicate.kind, predicate.value, dict(predicate.options)], sort_keys=True)


def _image_commands(content: Content) -> Iterator[Command]:
    files = content.files
    for path in files.in_time(files.find(*IMAGES)):
        text = documents.without_comments("Dockerfile", content.text(path) or "")
        for instruction in commands_of(text, path, 1):
            if match := INSTRUCTION.match(instruction.text):
                yield Command(_shell_form(match[1]), path, instruction.line)


def _manifest_commands(content: Content) -> Iterator[Command]:
    files = content.files
    for path in files.in_time(content.manifests):
        for document in content.data(path):
            for key, node in data_files.walk(document):
                if key in CONTAINER_KEYS and (command := joined(node.texts())):
                    yield from commands_of(command, path, node.script_line)


def _shell_form(command: str) -> str:
    """Return an instruction's command in shell form; the exec form is a JSON list of arguments."""
    try:
        arguments = json.loads(command)
    except ValueError:
        return command
    return joined(list(map(str, arguments))) if isinstance(arguments, list) else command
