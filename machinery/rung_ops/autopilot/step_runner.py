"""A pass, step by step: what is done is written down before the next thing is begun.

A process can be killed between a step's work and the word that it ended, so each step is begun
again from its start: every one of them finds out for itself what is there already.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rung_ops.autopilot import journal
from rung_ops.autopilot.journal import Record


@dataclass(frozen=True)
class Done:
    """What a step came to.

    Attributes:
        detail: what later steps and passes need to know, as JSON.
        then: names of the steps that follow, where this one decides on them.
        outcome: set when the pass ends here: in a word,
        summary: and in a sentence.
    """

    detail: dict[str, Any] = field(default_factory=dict)
    then: tuple[str, ...] = ()
    outcome: str | None = None
    summary: str = ""


class StepFailed(Exception):
    """A step could not be done; the next run tries it again. The message says what to do."""


Step = Callable[[Record], Done]


def carry_out(
    record: Record,
    first: tuple[str, ...],
    steps: Mapping[str, Step],
    on_end: Callable[[Record], None] = lambda entry: None,
) -> None:
    """Do what a pass has still to do, and record each step as it begins and ends.

    Args:
        record: of the pass; it is changed, and saved at each change.
        first: names of the steps that every pass begins with.
        steps: all steps by their name.
        on_end: called with the entry of each step that ended, after it was saved.

    Raises:
        StepFailed: a step failed; the pass stays open.
    """
    waiting = list(first)
    while waiting:
        name = waiting.pop(0)
        entry = journal.step(record, name)
        if entry is None or not entry["ended"]:
            entry = _do(record, name, steps[name])
            on_end(entry)
        if entry["outcome"]:
            _finish(record, entry["outcome"], entry["summary"])
            return
        waiting += entry["then"]
    _finish(record, "done", "")


def _do(record: Record, name: str, step: Step) -> Record:
    entry = journal.step(record, name)
    if entry is None:
        entry = {"step": name, "tries": 0}
        record["steps"].append(entry)
    entry |= {"tries": entry["tries"] + 1, "started": journal.clock(), "ended": None}
    entry |= {"outcome": None, "summary": "", "detail": {}, "then": [], "failed": None}
    journal.save(record)
    try:
        done = step(record)
    except StepFailed as error:
        entry["failed"] = str(error)
        journal.save(record)
        raise
    entry |= {"ended": journal.clock(), "outcome": done.outcome, "summary": done.summary}
    entry |= {"detail": done.detail, "then": list(done.then)}
    journal.save(record)
    return entry


def _finish(record: Record, outcome: str, summary: str) -> None:
    record |= {"outcome": outcome, "summary": summary, "finished": journal.clock()}
    journal.save(record)
