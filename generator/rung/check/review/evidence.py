"""Whether the evidence of a capability holds in a repository, and where."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import zip_longest
from typing import Any

from rung.check.review import dependencies, matching
from rung.check.review.ci import CI
from rung.check.review.commands import Commands
from rung.check.review.content import Content
from rung.check.review.predicates import FLAGS, PREDICATES, FilePredicate, Match
from rung.check.review.reachability import Reachability
from rung.check.review.runners import Runners
from rung.check.review.shell import executed

Predicate = Any  # as levels/README.md describes it
Accept = Callable[[Match], bool]
SHOWN = 5  # matches of one predicate
STARTS = 200  # files from which one predicate follows commands and imports
TOGETHER = ("all", "any", "none", "same_file", "leads_to")  # predicates of predicates


class Evidence:
    """The answers of a repository to predicates of levels/.

    Args:
        content: Content of the repository.
        predicates: All that will be asked.
    """

    def __init__(self, content: Content, predicates: Iterable[Predicate]) -> None:
        self.content = content
        self.ci = CI(content, Runners(content))
        self.commands = Commands(content, self.ci)
        self.reachability = Reachability(content, self.ci)
        self.packages = dependencies.read(content)
        by_name: dict[str, FilePredicate] = {}
        for predicate in predicates:
            for part in file_predicates(predicate):
                by_name.setdefault(_name(part), part)
        self.matches = matching.match(content, by_name, self.reachability.tests)
        self.matched: dict[tuple[str, str], bool] = {}  # by pattern and command

    def holds(self, predicate: Predicate, used: Predicate = None) -> list[Match]:
        """Return what supports a predicate and may run; nothing when it does not hold."""
        return self._shown(predicate, lambda match: not match.only_declared, used)

    def holds_anywhere(self, predicate: Predicate) -> list[Match]:
        """Return what supports a predicate, notebooks included."""
        return self._shown(predicate, lambda match: True, None)

    def all_matches(self, predicate: Predicate) -> list[Match]:
        """Return all that supports a predicate, notebooks included."""
        return self._supporting(predicate, lambda match: True, None)

    def _shown(self, predicate: Predicate, accept: Accept, used: Predicate) -> list[Match]:
        matches = self._supporting(predicate, accept, used)
        if predicate == "reached" or not {"all", "any"} & set(predicate):
            return matches[:SHOWN]
        return matches[: 2 * SHOWN]

    def _supporting(self, predicate: Predicate, accept: Accept, used: Predicate) -> list[Match]:
        """Return all that supports a predicate."""
        if predicate == "reached":
            return self._supporting(used, self._within(self.reachability.reached), None)
        kind, value = next(iter(predicate.items()))
        if kind in TOGETHER:
            parts = [self._supporting(part, accept, used) for part in value]
            return list(dict.fromkeys(self._together(kind, parts)))
        if kind == "reached":
            return self._supporting(value, self._within(self.reachability.reached), None)
        if kind == "scheduled":
            return self._supporting(value, self._starts_on_a_schedule, None)
        if kind in ("ci_runs", "ci_says"):
            return list(self._in_ci(predicate))
        if kind == "runs":
            return [match for match in self._runs(value) if accept(match)]
        if kind == "depends":
            return list(self._depends(value))
        return list(filter(accept, self.matches.get(_name(_file_predicate(predicate)), [])))

    def _together(self, kind: str, parts: list[list[Match]]) -> Iterable[Match]:
        """Return what is left of the matches of each part."""
        if kind == "any":
            return _in_turn(parts)
        if kind == "none":
            return [] if any(parts) else [Match("", 0, "nothing of this kind was found")]
        if not all(parts):
            return []
        if kind == "leads_to":
            return self._leads_to(parts)
        if kind == "same_file":
            paths = set.intersection(*({match.path for match in matches} for matches in parts))
            parts = [[match for match in matches if match.path in paths] for matches in parts]
        return _in_turn(parts)

    def _leads_to(self, parts: list[list[Match]]) -> list[Match]:
        first, *others = parts
        starting: list[Match] = []
        files = self.content.files
        wanted = {match.path for matches in others for match in matches if not match.only_declared}
        for number, start in enumerate(dict.fromkeys(match.path for match in first)):
            if number >= STARTS:
                files.left_out.note("files whose imports were not followed", start)
                files.left_out.out_of_time = True
                break
            within = self._within(self.reachability.reachable_from(start, wanted))
            ends = [list(filter(within, matches)) for matches in others]
            if all(ends):
                starting += _in_turn([[match for match in first if match.path == start], *ends])
        return starting

    def _within(self, paths: AbstractSet[str]) -> Accept:
        return lambda match: not match.only_declared and match.path in paths

    def _starts_on_a_schedule(self, match: Match) -> bool:
        location = (match.path, match.line)
        return (
            self._within(self.reachability.scheduled)(match)
            or location in self.commands.on_a_schedule
        )

    def _runs(self, wanted: str) -> Iterator[Match]:
        regex = re.compile(wanted, FLAGS)
        for command in self.commands.all:
            if self._acts(regex, command.text):
                yield Match(command.path, command.line, command.text)

    def _acts(self, regex: re.Pattern[str], command: str) -> bool:
        acts = self.matched.get((regex.pattern, command))
        if acts is None:
            acts = bool(regex.search(command) and regex.search(executed(command)))
            self.matched[regex.pattern, command] = acts
        return acts

    def _in_ci(self, predicate: Mapping[str, str]) -> Iterator[Match]:
        says = re.compile(predicate["ci_says"], FLAGS) if "ci_says" in predicate else None
        runs = re.compile(predicate["ci_runs"], FLAGS) if "ci_runs" in predicate else None
        for workflow in self.ci.workflows:
            matches: list[Match] = []
            if says:
                said = workflow.search(says)
                if not said:
                    continue
                matches.append(Match(workflow.path, *said))
            if runs:
                command = next(
                    (each for each in workflow.commands if self._acts(runs, each.text)), None
                )
                if not command:
                    continue
                matches.append(Match(command.path, command.line, command.text))
            yield from matches

    def _depends(self, wanted: Iterable[str]) -> Iterator[Match]:
        for name in wanted:
            bare, bracket, extra = name.partition("[")
            asked = dependencies.normalised(bare)
            if bracket:
                asked += f"[{dependencies.normalised(extra.rstrip(']'))}]"
            if asked in self.packages:
                yield Match(*self.packages[asked])


def _in_turn(parts: Iterable[Iterable[Match]]) -> Iterator[Match]:
    """Give the first match of each part, then the second of each, for what is shown is cut."""
    for matches in zip_longest(*parts):
        yield from filter(None, matches)


def file_predicates(predicate: Predicate) -> Iterator[FilePredicate]:
    """Give the predicates in a predicate that look at files."""
    if predicate == "reached":
        return
    kind, value = next(iter(predicate.items()))
    if kind in TOGETHER:
        for part in value:
            yield from file_predicates(part)
    elif kind in ("reached", "scheduled"):
        yield from file_predicates(value)
    elif kind in PREDICATES:
        yield _file_predicate(predicate)


def _file_predicate(predicate: Predicate) -> FilePredicate:
    (kind, value), *options = predicate.items()
    return FilePredicate(kind, value, dict(options))


def _name(predicate: FilePredicate) -> str:
    return json.dumps([predicate.kind, predicate.value, dict(predicate.options)], sort_keys=True)
