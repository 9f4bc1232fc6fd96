"""Make one pass of the loop: look, decide, train, gate, release, take over or go back."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from rung_ops.autopilot import commits, hooks, journal, policy, step_runner
from rung_ops.autopilot.journal import BadJournal, Record
from rung_ops.autopilot.policy import BadPolicy
from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.project.paths import ROOT
from rung_ops.release.paths import person
from rung_ops.system import locks
from rung_ops.tracking import last_run

ABANDONED = "abandoned"


def main(arguments: list[str] | None = None) -> int:
    """Make a pass, or finish the one that was stopped; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe autopilot", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--look", action="store_true", help="say what would be decided, and change nothing"
    )
    parser.add_argument(
        "--abandon",
        action="store_true",
        help="give up the pass that failed, instead of trying it again",
    )
    parser.add_argument(
        "--now", type=_moment, default=None, help="judge as of this time (now), as a replay does"
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
    except (BadPolicy, BadJournal, locks.AlreadyRunningError, StepFailed) as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, now: datetime, rules: policy.Policy, lock: int) -> int:
    # Imported here: they load polars, and a run that is refused need not wait for that.
    from rung_ops.autopilot.steps import FIRST, steps
    from rung_ops.autopilot.tools import TaskRunner, Tools

    started = journal.unfinished(journal.passes())
    if options.abandon:
        return _abandon(started)
    record = _resumed(started) or journal.begin(now, person())
    try:
        work = steps(Tools(rules, TaskRunner(lock), _say))
        step_runner.carry_out(record, FIRST, work, hooks.notify_of_step)
    except StepFailed as error:
        hooks.notify("The autopilot failed", str(error))
        print(
            f"{error}\nThe pass stays open: `poe autopilot` tries this step again, and "
            "`poe autopilot --abandon` gives the pass up.",
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
        _say(f"Pass {started['pass']} is open: `poe autopilot` goes on with it first.")
    work = steps(Tools(rules, TaskRunner(None), _say, dry=True))
    record = journal.begin(now, person())
    for name in FIRST:
        done = work[name](record)
        record["steps"].append({"step": name, "ended": journal.clock(), "detail": done.detail})
    return 0


def _resumed(started: Record | None) -> Record | None:
    """Take up the pass that was stopped, unless what it made is not here."""
    if started is None:
        return None
    lost = _lost(started)
    if lost is None:
        at = next((each["step"] for each in started["steps"] if not each["ended"]), "its next step")
        _say(f"Pass {started['pass']} was stopped: going on at `{at}`.")
        return started
    _say(f"Pass {started['pass']} was stopped, and {lost}: a new one begins.")
    _end(started, lost)
    return None


def _lost(record: Record) -> str | None:
    """Say what this checkout lacks of what a pass has made; None where it can go on.

    Once its commits are published, and with them all that others need, nothing else has to be here.
    """
    made = [each["detail"].get("commit") for each in record["steps"] if each["detail"]]
    if not all(commits.holds(commit) for commit in made if commit):
        return "its commits are not in this checkout"
    rows = journal.detail(record, "collect").get("file")
    if rows and not (ROOT / rows).exists() and not Path(f"{ROOT / rows}.dvc").exists():
        return "the rows that it collected are not in this checkout"
    trained = journal.detail(record, "train")
    published = journal.detail(record, "publish").get("pushed to")
    if trained and not published and last_run.read() != trained:
        return "the version that it trained is not in this checkout"
    return None


def _abandon(started: Record | None) -> int:
    if started is None:
        _say("No pass is open: there is nothing to abandon.")
        return 0
    from rung_ops.autopilot import collect

    collect.take_back_unfinished()
    for path in commits.restore():
        _say(f"{path}: as it was committed last")
    _end(started, f"given up by {person()}")
    _say(f"Pass {started['pass']} is given up.")
    return 0


def _end(record: Record, why: str) -> None:
    record |= {"outcome": ABANDONED, "summary": why, "finished": journal.clock()}
    journal.save(record)


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time; give one such as 2026-01-31T12:00:00+00:00"
        ) from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _say(line: str) -> None:
    print(line, flush=True)
