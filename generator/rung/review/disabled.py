"""Jobs, steps and stages that never run anything, or not on a schedule, by what they say themselves."""

import re
from collections.abc import Iterator, Sequence

from rung.review.data_files import Node, walk
from rung.review.shell import executed

# `if` of GitHub, `condition` and `enabled` of Azure, `when` of GitLab and CircleCI.
SWITCHES = ("if", "condition", "enabled", "when")
FALSE = re.compile(r"(?:\$\{\{\s*)?(?:false|never|0)(?:\s*&&.*)?(?:\s*\}\})?$", re.IGNORECASE)

EVENT = re.compile(r"event_name|CI_PIPELINE_SOURCE|Build\.Reason", re.IGNORECASE)
NOT_SCHEDULED = re.compile(r"!=\s*[\"']?schedule|\bne\([^)]*schedule", re.IGNORECASE)


def without(documents: Sequence[Node], used: str) -> tuple[list[Node], list[tuple[int, int]]]:
    """Take out what never runs.

    Args:
        documents: of a CI file; they are changed.
        used: the text of all CI files, in which hidden jobs of GitLab are named that others extend.

    Returns:
        The documents that are left, and the first and last line of each part taken out.
    """
    dead: list[tuple[int, int]] = []
    left = []
    for document in documents:
        workflow = document.get("workflow")
        if _never(document) or (workflow is not None and _never(workflow)):
            dead.append((document.line, document.last))
            continue
        dead += _hide(document, used)
        dead += _prune(document)
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


def _hide(document: Node, used: str) -> Iterator[tuple[int, int]]:
    kept = []
    for key, node in document.entries:
        if key and key.startswith(".") and len(key) > 1 and used.count(key) < 2:
            yield node.line, node.last
        else:
            kept.append((key, node))
    document.entries = kept


def _prune(document: Node) -> Iterator[tuple[int, int]]:
    waiting = [document]
    visited = {id(document)}
    while waiting:
        node = waiting.pop()
        kept = []
        for key, below in node.entries:
            if below.entries and _never(below) and key != "rules":
                yield below.line, below.last
                continue
            kept.append((key, below))
            if id(below) not in visited:
                visited.add(id(below))
                waiting.append(below)
        node.entries = kept


def _never(node: Node) -> bool:
    if any(
        key in SWITCHES and below.value is not None and FALSE.match(below.value.strip())
        for key, below in node.entries
    ):
        # A rule of GitLab that says never is one of several: its list decides.
        return not any(key in ("changes", "exists") for key, _ in node.entries)
    rules = node.get("rules")
    return (
        rules is not None and bool(rules.entries) and all(_never(one) for _, one in rules.entries)
    )


def not_on_a_schedule(documents: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """Give the first and last line of each job and step that a schedule does not start."""
    for document in documents:
        for _, node in walk(document):
            if node.entries and _waits_for_another_event(node):
                yield node.line, node.last


def _waits_for_another_event(node: Node) -> bool:
    when, excepted, rules = node.get("when"), node.get("except"), node.get("rules")
    if when is not None and when.value == "manual":
        return True
    if excepted is not None and "schedules" in excepted.texts():
        return True
    conditions = [below.value for key, below in node.entries if key in SWITCHES and below.value]
    if any(map(_names_another_event, conditions)):
        return True
    return (
        rules is not None
        and bool(rules.entries)
        and all(_never(one) or _waits_for_another_event(one) for _, one in rules.entries)
    )


def _names_another_event(condition: str) -> bool:
    if not EVENT.search(condition):
        return False
    if NOT_SCHEDULED.search(condition):
        return True
    return "schedule" not in condition.lower() and re.search(r"==|\beq\(", condition) is not None
