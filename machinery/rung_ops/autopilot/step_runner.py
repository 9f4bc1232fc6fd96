"""Run the steps of a pass, and record each step in the journal before the next one starts.

A process can be killed after a step's work and before the record of its end. So an unrecorded step
is run again from its start, and every step checks what it has done before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rung_ops.autopilot import journal
from rung_ops.autopilot.journal import Record
from rung_ops.errors import StageError


@dataclass(frozen=True)
class Done:
    """The result of a step.

    Attributes:
        detail: values for later steps and passes, as JSON.
        then: names of the steps to run next, if this step decides that.
        outcome: final status if the pass ends here, such as `refused`.
        summary: final message, a sentence.
    """

    detail: dict[str, Any] = field(default_factory=dict)
    then: tuple[str, ...] = ()
    outcome: str | None = None
    summary: str = ""


class StepFailed(StageError):
    """A step failed; the next run retries it. The message says what to do."""


Step = Callable[[Record], Done]


def run(
    record: Record,
    first: tuple[str, ...],
    steps: Mapping[str, Step],
    on_end: Callable[[Record], None] = lambda entry: None,
) -> None:
    """Run the remaining steps of a pass, and record the start and end of each.

    Args:
        record: of the pass; changed in place, and saved at each change.
        first: names of the first steps of every pass.
        steps: all steps by name.
        on_end: called with the entry of each step that ended, after it was saved.

    Raises:
        StepFailed: a step failed; the pass stays open.
    """
    waiting = list(first)
    while waiting:
        name = waiting.pop(0)
        entry = journal.step(record, name)
        if entry is None or not entry["ended"]:
            entry = _run_step(record, name, steps[name])
            on_end(entry)
        if entry["outcome"]:
            _finish(record, entry["outcome"], entry["summary"])
            return
        waiting += entry["then"]
    _finish(record, "done", "")


def _run_step(record: Record, name: str, step: Step) -> Record:
    entry = journal.step(record, name)
    if entry is None:
        entry = {"step": name, "tries": 0}
        record["steps"].append(entry)
    entry |= {"tries": entry["tries"] + 1, "started": journal.clock(), "ended": None}
    entry |= {"outcome": None, "summary": "", "detail": {}, "then": [], "failed": None}
    journal.save(record)
    try:
        done = step(record)
    except StageError as error:
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
