"""Make one pass: observe, decide, train, gate, release, promote or roll back: `poe autopilot`."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from rung_ops.autopilot import commits, hooks, journal, policy, step_runner
from rung_ops.autopilot.journal import BadJournal, Record
from rung_ops.autopilot.policy import BadPolicy
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.release_folders import person
from rung_ops.system import locks
from rung_ops.tracking import last_run

ABANDONED = "abandoned"


def main(arguments: list[str] | None = None) -> int:
    """Make a pass, or continue the one that was stopped; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe autopilot", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--look", action="store_true", help="print the decision without changing anything"
    )
    parser.add_argument(
        "--abandon",
        action="store_true",
        help="end the pass that failed instead of continuing it",
    )
    parser.add_argument(
        "--now", type=_time, default=None, help="decide as of this time (default: the current time)"
    )
    options = parser.parse_args(arguments)
    now = options.now or datetime.now(UTC).replace(microsecond=0)
    who = {"by": person(), "started": journal.clock()}
    try:
        rules = policy.read()
        if options.look:
            return _look(now, rules)
        with locks.single_instance(journal.folder(), who, _say, "The autopilot") as lock:
            return _run(options, now, rules, lock)
    except (BadPolicy, BadJournal, locks.AlreadyRunningError, StageError) as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, now: datetime, rules: policy.Policy, lock: int) -> int:
    # Imported here because they import polars, which a refused run need not wait for.
    from rung_ops.autopilot.steps import FIRST, steps
    from rung_ops.autopilot.tools import TaskRunner, Tools

    started = journal.unfinished(journal.passes())
    if options.abandon:
        return _abandon(started)
    record = _resumed(started) or journal.begin(now, person())
    try:
        work = steps(Tools(rules, TaskRunner(lock), _say))
        step_runner.run(record, FIRST, work, hooks.notify_of_step)
    except StageError as error:
        hooks.notify("The autopilot failed", str(error))
        print(
            f"{error}\nThe pass stays open: `poe autopilot` retries this step, and "
            "`poe autopilot --abandon` ends the pass.",
            file=sys.stderr,
        )
        return 1
    _say(f"Pass {record['pass']} ended: {record['outcome']}; {record['summary']}")
    return 0


def _look(now: datetime, rules: policy.Policy) -> int:
    """Decide without writing or changing anything."""
    from rung_ops.autopilot.steps import FIRST, steps
    from rung_ops.autopilot.tools import TaskRunner, Tools

    started = journal.unfinished(journal.passes())
    if started:
        _say(f"Pass {started['pass']} is open: `poe autopilot` continues it first.")
    work = steps(Tools(rules, TaskRunner(None), _say, dry=True))
    record = journal.begin(now, person())
    for name in FIRST:
        done = work[name](record)
        record["steps"].append({"step": name, "ended": journal.clock(), "detail": done.detail})
    return 0


def _resumed(started: Record | None) -> Record | None:
    """Return the pass that was stopped, unless this checkout lacks its results."""
    if started is None:
        return None
    missing = _missing(started)
    if missing is None:
        at = next((each["step"] for each in started["steps"] if not each["ended"]), "its next step")
        _say(f"Pass {started['pass']} was stopped: continuing at `{at}`.")
        return started
    _say(f"Pass {started['pass']} was stopped, and {missing}: starting a new one.")
    _end(started, missing)
    return None


def _missing(record: Record) -> str | None:
    """Return which result of a pass this checkout lacks; None if it can continue.

    After a pass has pushed its commits, any checkout can continue it.
    """
    made = [each["detail"].get("commit") for each in record["steps"] if each["detail"]]
    if not all(commits.contains(commit) for commit in made if commit):
        return "its commits are not in this checkout"
    rows = journal.detail(record, "collect").get("file")
    if (
        rows
        and not (current().root / rows).exists()
        and not Path(f"{current().root / rows}.dvc").exists()
    ):
        return "the rows that it collected are not in this checkout"
    trained = journal.detail(record, "train")
    published = journal.detail(record, "publish").get("pushed to")
    if trained and not published and last_run.read() != trained:
        return "the version that it trained is not in this checkout"
    return None


def _abandon(started: Record | None) -> int:
    if started is None:
        _say("No pass is open.")
        return 0
    from rung_ops.autopilot import collect

    collect.remove_uncommitted()
    for path in commits.restore():
        _say(f"restored {path}")
    _end(started, f"abandoned by {person()}")
    _say(f"Pass {started['pass']} is abandoned.")
    return 0


def _end(record: Record, why: str) -> None:
    record |= {"outcome": ABANDONED, "summary": why, "finished": journal.clock()}
    journal.save(record)


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"got {text!r}; expected a time such as 2026-01-31T12:00:00+00:00"
        ) from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _say(line: str) -> None:
    print(line, flush=True)
