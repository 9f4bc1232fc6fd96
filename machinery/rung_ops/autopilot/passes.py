"""Make one pass: observe, decide, train, gate, release, promote or roll back: `poe autopilot`."""

import sys
from datetime import UTC, datetime

import click

from rung_ops.autopilot import commits, decide, journal
from rung_ops.autopilot.journal import Record, TaskRunner, Tools
from rung_ops.command import verb
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import person
from rung_ops.system import files
from rung_ops.tracking import last_run


def time(value: str) -> datetime:
    """Read a time in ISO 8601, in UTC if it names no zone; the help calls it by this name, TIME."""
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"got {value!r}; expected a time such as 2026-01-31T12:00:00+00:00"
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


@verb("poe autopilot")
@click.option("--look", is_flag=True, help="print the decision without changing anything")
@click.option("--abandon", is_flag=True, help="end the pass that failed instead of continuing it")
@click.option("--now", type=time, help="decide as of this time (default: the current time)")
def main(look: bool, abandon: bool, now: datetime | None) -> int:
    """Make one pass: observe, decide, train, gate, release, promote or roll back."""
    now = now or datetime.now(UTC).replace(microsecond=0)
    who = {"by": person(), "started": journal.clock()}
    rules = decide.read_rules()
    if look:
        return _look(now, rules)
    with files.single_instance(journal.folder(), who, _say, "The autopilot") as lock:
        return _abandon() if abandon else _run(now, rules, lock)


def _run(now: datetime, rules: decide.Policy, lock: int) -> int:
    # Imported here because it imports polars, which a refused run need not wait for.
    from rung_ops.autopilot import steps

    record = _resumed(journal.unfinished(journal.passes())) or journal.begin(now, person())
    try:
        work = steps.all_steps(Tools(rules, TaskRunner(lock), _say))
        journal.run(record, steps.FIRST, work, steps.notify_of_step)
    except StageError as error:
        steps.notify("The autopilot failed", str(error))
        print(
            f"{error}\nThe pass stays open: `poe autopilot` retries this step, and "
            "`poe autopilot --abandon` ends the pass.",
            file=sys.stderr,
        )
        return 1
    _say(f"Pass {record['pass']} ended: {record['outcome']}; {record['summary']}")
    return 0


def _look(now: datetime, rules: decide.Policy) -> int:
    """Decide without writing or changing anything."""
    from rung_ops.autopilot import steps

    if started := journal.unfinished(journal.passes()):
        _say(f"Pass {started['pass']} is open: `poe autopilot` continues it first.")
    work = steps.all_steps(Tools(rules, TaskRunner(None), _say, dry=True))
    record = journal.begin(now, person())
    for name in steps.FIRST:
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
    if rows and not any((current().root / name).exists() for name in (rows, f"{rows}.dvc")):
        return "the rows that it collected are not in this checkout"
    trained = journal.detail(record, "train")
    published = journal.detail(record, "publish").get("pushed to")
    if trained and not published and last_run.read() != trained:
        return "the version that it trained is not in this checkout"
    return None


def _abandon() -> int:
    started = journal.unfinished(journal.passes())
    if started is None:
        _say("No pass is open.")
        return 0
    from rung_ops.autopilot import training_rows

    training_rows.remove_uncommitted()
    training_rows.undo()
    for path in commits.restore():
        _say(f"restored {path}")
    _end(started, f"abandoned by {person()}")
    _say(f"Pass {started['pass']} is abandoned.")
    return 0


def _end(record: Record, why: str) -> None:
    record |= {"outcome": "abandoned", "summary": why, "finished": journal.clock()}
    journal.save(record)


def _say(line: str) -> None:
    print(line, flush=True)
