"""Jobs, steps and stages that never run anything, or not on a schedule, by what they say themselves."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from rung.check.review.conditions import is_false, names_another_event
from rung.check.review.data_files import Node, walk
from rung.check.review.shell import executed

Jobs = Mapping[str | None, Node]  # of a document, by name

# `if` of GitHub, `condition` and `enabled` of Azure, `when` of GitLab and CircleCI, `$if` of Taskcluster.
SWITCHES = ("if", "condition", "enabled", "when", "$if")
INSERTED = re.compile(r"\$\{\{\s*if\b(.*)\}\}")  # the key of what Azure leaves out
HIDDEN = re.compile(r"\.\w[\w.-]*")
MENTIONS = re.compile(rf"(?<![\w.-]){HIDDEN.pattern}")
DEEPEST = 8  # jobs that extend one another
MOST_ROUNDS = 20  # of taking out what is only there for what was taken out
RUNS_ANYWAY = re.compile(r"always\(|cancelled\(|failure\(")


def mentions(text: str) -> Mapping[str, int]:
    """Return how often each name of a hidden job of GitLab is in the text of all CI files."""
    return Counter(MENTIONS.findall(text))


def without(
    documents: Sequence[Node], used: Mapping[str, int]
) -> tuple[list[Node], list[tuple[int, int]]]:
    """Take out what never runs.

    Args:
        documents: of a CI file; they are changed.
        used: how often all CI files name each hidden job of GitLab, which others extend.

    Returns:
        The documents that are left, and the first and last line of each part taken out.
    """
    dead: list[tuple[int, int]] = []
    left = []
    for document in documents:
        workflow = document.get("workflow")
        if _never(document, {}) or (workflow is not None and _never(workflow, {})):
            dead.append((document.line, document.last))
            continue
        dead += _hide(document, used)
        dead += _prune(document)
        dead += _without_what_it_needs(document)
        dead += _in_no_workflow(document)
        left.append(document)
    return left, dead


def without_idle_stages(documents: Sequence[Node]) -> list[Node]:
    """Return a pipeline of DVC without the stages that run nothing, such as those that only print."""
    for document in documents:
        stages = document.get("stages")
        if stages is not None:
            stages.entries = [(name, stage) for name, stage in stages.entries if not _idle(stage)]
            if not stages.entries:
                document.entries = [
                    (key, node) for key, node in document.entries if node is not stages
                ]
    return list(documents)


def _idle(stage: Node) -> bool:
    command = stage.get("cmd") or stage.get("do", "cmd")
    texts = command.texts() if command else []
    return bool(texts) and not any(executed(text) or ">" in text for text in texts)


def _hide(document: Node, used: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """Take out the hidden jobs that nothing extends but others of their kind."""
    hidden = {key: node for key, node in document.entries if key and HIDDEN.fullmatch(key)}
    inside = {
        key: Counter(value for _, one in walk(node) for value in one.texts() if value in hidden)
        for key, node in hidden.items()
    }
    unused: set[str] = set()
    by_unused: Counter[str] = Counter()
    for _ in range(MOST_ROUNDS):
        left = hidden.keys() - unused
        more = {key for key in left if used.get(key, 0) <= 1 + inside[key][key] + by_unused[key]}
        if not more:
            break
        unused |= more
        for key in more:
            by_unused.update(inside[key])
    yield from ((hidden[key].line, hidden[key].last) for key in unused)
    document.entries = [(key, node) for key, node in document.entries if key not in unused]


def _prune(document: Node) -> Iterator[tuple[int, int]]:
    jobs = dict(document.entries)
    waiting = [document]
    visited = {id(document)}
    while waiting:
        node = waiting.pop()
        kept = []
        for key, below in node.entries:
            inserted = INSERTED.fullmatch(key.strip()) if key else None
            never = key != "rules" and _never(below, jobs)
            if below.entries and (never or (inserted and is_false(inserted[1]))):
                yield below.line, below.last
                continue
            kept.append((key, below))
            if id(below) not in visited:
                visited.add(id(below))
                waiting.append(below)
        node.entries = kept


def _without_what_it_needs(document: Node) -> Iterator[tuple[int, int]]:
    """Take out the jobs of GitHub that need one that is taken out."""
    jobs = document.get("jobs")
    for _ in range(MOST_ROUNDS if jobs is not None and jobs.is_mapping else 0):
        assert jobs is not None
        left = {key for key, _ in jobs.entries}
        kept = [(key, job) for key, job in jobs.entries if not _waits_in_vain(job, left)]
        named = {key for key, _ in kept}
        yield from ((job.line, job.last) for key, job in jobs.entries if key not in named)
        if named == left:
            return
        jobs.entries = kept


def _waits_in_vain(job: Node, jobs: AbstractSet[str | None]) -> bool:
    needs, condition = job.get("needs"), job.get("if")
    if needs is None or jobs >= set(needs.texts()):
        return False
    return not (condition and condition.value and RUNS_ANYWAY.search(condition.value))


def _in_no_workflow(document: Node) -> Iterator[tuple[int, int]]:
    """Take out the jobs of CircleCI that none of its workflows names."""
    jobs, workflows = document.get("jobs"), document.get("workflows")
    if jobs is None or workflows is None:
        return
    named = {name for key, node in walk(workflows) for name in (key, node.value)}
    yield from ((job.line, job.last) for key, job in jobs.entries if key not in named)
    jobs.entries = [(key, job) for key, job in jobs.entries if key in named]


def _never(node: Node, jobs: Jobs) -> bool:
    """Say whether a job, step or rule never runs, by itself or by what it extends in its document."""
    if any(
        key in SWITCHES and below.value is not None and is_false(below.value)
        for key, below in node.entries
    ):
        # A rule of GitLab that says never is one of several: its list decides.
        return not any(key in ("changes", "exists", "else") for key, _ in node.entries)
    matrix = node.get("strategy", "matrix")
    if matrix is not None and any(
        key not in ("include", "exclude") and not axis.entries and axis.value is None
        for key, axis in matrix.entries
    ):
        return True
    rules = _rules(node, jobs, set())
    return bool(rules) and all(_never(one, jobs) for one in rules)


def _rules(node: Node, jobs: Jobs, visited: set[int]) -> list[Node]:
    """Return the rules of a job of GitLab: its own, or those of what it extends."""
    visited.add(id(node))
    rules = node.get("rules")
    if rules is not None:
        listed = []
        for _, rule in rules.entries:
            name, *rest = ["", ""] if rule.is_mapping else [*rule.texts(), ""]
            other = jobs.get(name) if rest[0] == "rules" else None
            if other is None or id(other) in visited or len(visited) > DEEPEST:
                listed.append(rule)
            else:
                listed += _rules(other, jobs, visited)
        return listed
    named = node.get("extends")
    extended = [jobs.get(name) for name in reversed(named.texts())] if named else []
    merged = [below for key, below in node.entries if key == "<<"]
    for other in filter(None, [*merged, *extended]):
        is_new = id(other) not in visited and len(visited) <= DEEPEST
        if is_new and (found := _rules(other, jobs, visited)):
            return found
    return []


def not_on_a_schedule(documents: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """Give the first and last line of each job and step that a schedule does not start."""
    for document in documents:
        jobs = dict(document.entries)
        for _, node in walk(document):
            if node.entries and _waits_for_another_event(node, jobs):
                yield node.line, node.last


def _waits_for_another_event(node: Node, jobs: Jobs) -> bool:
    when, excepted, rules = node.get("when"), node.get("except"), node.get("rules")
    if when is not None and when.value == "manual":
        return True
    if excepted is not None and "schedules" in excepted.texts():
        return True
    conditions = [below.value for key, below in node.entries if key in SWITCHES and below.value]
    if any(map(names_another_event, conditions)):
        return True
    return (
        rules is not None
        and bool(rules.entries)
        and all(
            _never(one, jobs) or _waits_for_another_event(one, jobs) for _, one in rules.entries
        )
    )
