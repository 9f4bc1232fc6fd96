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
from rung.check.review.hit import Hit
from rung.check.review.leaf import FLAGS, Leaf
from rung.check.review.predicates import PREDICATES
from rung.check.review.reachability import Reachability
from rung.check.review.runners import Runners
from rung.check.review.shell import executed

Predicate = Any  # as levels/README.md describes it
Accept = Callable[[Hit], bool]
SHOWN = 5  # hits of one predicate
STARTS = 200  # files from which one predicate follows commands and imports
TOGETHER = ("all", "any", "none", "same_file", "leads_to")  # predicates of predicates


class Evidence:
    """The answers of a repository to the predicates of levels/."""

    def __init__(self, content: Content, predicates: Iterable[Predicate]) -> None:
        """Look at the files for all that the predicates ask."""
        self.content = content
        self.ci = CI(content, Runners(content))
        self.commands = Commands(content, self.ci)
        self.reachability = Reachability(content, self.ci)
        self.packages = dependencies.read(content)
        self.leaves: dict[str, Leaf] = {}
        for predicate in predicates:
            for leaf in _leaves(predicate):
                self.leaves.setdefault(_name(leaf), leaf)
        self.hits = matching.match(content, self.leaves, self.reachability.tests)
        self.matched: dict[tuple[str, str], bool] = {}  # by pattern and command

    def holds(self, predicate: Predicate, used: Predicate = None) -> list[Hit]:
        """Return what supports a predicate and may run; nothing when it does not hold."""
        return self._shown(predicate, lambda hit: not hit.only_declared, used)

    def holds_anywhere(self, predicate: Predicate) -> list[Hit]:
        """Return what supports a predicate, notebooks included."""
        return self._shown(predicate, lambda hit: True, None)

    def all_hits(self, predicate: Predicate) -> list[Hit]:
        """Return all that supports a predicate, notebooks included."""
        return self._supporting(predicate, lambda hit: True, None)

    def _shown(self, predicate: Predicate, accept: Accept, used: Predicate) -> list[Hit]:
        hits = self._supporting(predicate, accept, used)
        if predicate == "reached" or not {"all", "any"} & set(predicate):
            return hits[:SHOWN]
        return hits[: 2 * SHOWN]

    def _supporting(self, predicate: Predicate, accept: Accept, used: Predicate) -> list[Hit]:
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
            return [hit for hit in self._runs(value) if accept(hit)]
        if kind == "depends":
            return list(self._depends(value))
        options = {name: each for name, each in predicate.items() if name != kind}
        hits = self.hits.get(_name(Leaf(kind, value, options)), [])
        return [hit for hit in hits if accept(hit)]

    def _together(self, kind: str, parts: list[list[Hit]]) -> Iterable[Hit]:
        """Return what is left of the hits of each part."""
        if kind == "any":
            return _in_turn(parts)
        if kind == "none":
            return [] if any(parts) else [Hit("", 0, "nothing of this kind was found")]
        if not all(parts):
            return []
        if kind == "leads_to":
            return self._leads_to(parts)
        if kind == "same_file":
            paths = set.intersection(*({hit.path for hit in hits} for hits in parts))
            parts = [[hit for hit in hits if hit.path in paths] for hits in parts]
        return _in_turn(parts)

    def _leads_to(self, parts: list[list[Hit]]) -> list[Hit]:
        first, *others = parts
        leading: list[Hit] = []
        files = self.content.files
        wanted = {hit.path for hits in others for hit in hits if not hit.only_declared}
        for number, start in enumerate(dict.fromkeys(hit.path for hit in first)):
            if number >= STARTS:
                files.left_out.note("files whose imports were not followed", start)
                files.left_out.out_of_time = True
                break
            within = self._within(self.reachability.reachable_from(start, wanted))
            ends = [list(filter(within, hits)) for hits in others]
            if all(ends):
                leading += _in_turn([[hit for hit in first if hit.path == start], *ends])
        return leading

    def _within(self, paths: AbstractSet[str]) -> Accept:
        return lambda hit: not hit.only_declared and hit.path in paths

    def _starts_on_a_schedule(self, hit: Hit) -> bool:
        location = (hit.path, hit.line)
        return (
            self._within(self.reachability.scheduled)(hit)
            or location in self.commands.on_a_schedule
        )

    def _runs(self, wanted: str) -> Iterator[Hit]:
        regex = re.compile(wanted, FLAGS)
        for command in self.commands.all:
            if self._acts(regex, command.text):
                yield Hit(command.path, command.line, command.text)

    def _acts(self, regex: re.Pattern[str], command: str) -> bool:
        acts = self.matched.get((regex.pattern, command))
        if acts is None:
            acts = bool(regex.search(command) and regex.search(executed(command)))
            self.matched[regex.pattern, command] = acts
        return acts

    def _in_ci(self, predicate: Mapping[str, str]) -> Iterator[Hit]:
        says = re.compile(predicate["ci_says"], FLAGS) if "ci_says" in predicate else None
        runs = re.compile(predicate["ci_runs"], FLAGS) if "ci_runs" in predicate else None
        for workflow in self.ci.workflows:
            hits: list[Hit] = []
            if says:
                matched = workflow.search(says)
                if not matched:
                    continue
                hits.append(Hit(workflow.path, *matched))
            if runs:
                command = next(
                    (one for one in workflow.commands if self._acts(runs, one.text)), None
                )
                if not command:
                    continue
                hits.append(Hit(command.path, command.line, command.text))
            yield from hits

    def _depends(self, wanted: Iterable[str]) -> Iterator[Hit]:
        for name in wanted:
            bare, bracket, extra = name.partition("[")
            asked = dependencies.normalised(bare)
            if bracket:
                asked += f"[{dependencies.normalised(extra.rstrip(']'))}]"
            if asked in self.packages:
                yield Hit(*self.packages[asked])


def _in_turn(parts: Iterable[Iterable[Hit]]) -> Iterator[Hit]:
    """Give the first hit of each part, then the second of each, for what is shown is cut."""
    for hits in zip_longest(*parts):
        yield from filter(None, hits)


def _leaves(predicate: Predicate) -> Iterator[Leaf]:
    if predicate == "reached":
        return
    kind, value = next(iter(predicate.items()))
    if kind in TOGETHER:
        for part in value:
            yield from _leaves(part)
    elif kind in ("reached", "scheduled"):
        yield from _leaves(value)
    elif kind in PREDICATES:
        yield Leaf(kind, value, {name: each for name, each in predicate.items() if name != kind})


def _name(leaf: Leaf) -> str:
    return json.dumps([leaf.kind, leaf.value, dict(leaf.options)], sort_keys=True)
