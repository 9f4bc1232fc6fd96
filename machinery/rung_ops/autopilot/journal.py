"""A pass of the autopilot as a record of steps: the journal, and what runs the steps and writes it.

The journal has one JSON file for each pass, written atomically, so that a pass can be continued. It is beside
the releases, so that every checkout that can change production finds it. A pass without `finished` was killed
or failed: the next run continues at its first step without `ended`. A process can be killed after a step's
work and before the record of its end, so every step checks what it has done before.

Steps run the project's poe tasks, such as `poe gate` and `poe deploy production`, whose commands differ
between projects (ops/tasks.toml).
"""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rung_ops.autopilot.decide import Policy
from rung_ops.errors import OpsError, StageError
from rung_ops.project import current, keyless, paths
from rung_ops.project.paths import shown
from rung_ops.release import state
from rung_ops.system import files
from rung_ops.system.processes import poe

SCHEMA = 1
Record = dict[str, Any]


def folder() -> Path:
    """Return the folder of the journal."""
    return paths.releases() / "autopilot"


def clock() -> str:
    """Return the current time of the machine in UTC, as recorded for steps."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def begin(at: datetime, by: str) -> Record:
    """Create the record of a new pass, which decides as of a time; save() writes it."""
    stem = at.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    taken = {path.stem for path in _files()}
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f"{stem}.{number}"
    return {
        "schema": SCHEMA,
        "pass": name,
        "at": at.isoformat(),
        "by": by,
        "started": clock(),
        "steps": [],
        "outcome": None,
        "summary": None,
        "finished": None,
    }


def save(record: Record) -> None:
    """Write the record, atomically."""
    records = folder() / "passes"
    records.mkdir(parents=True, exist_ok=True)
    content = json.dumps(record, indent=2, allow_nan=False, default=str) + "\n"
    files.write(records / f"{record['pass']}.json", content.encode())


def passes() -> list[Record]:
    """Read the records of all passes, oldest first."""
    records = []
    for path in _files():
        try:
            record = json.loads(path.read_bytes())
            if record["schema"] != SCHEMA or not isinstance(record["steps"], list):
                raise ValueError(record["schema"])
        except (ValueError, KeyError, TypeError) as error:
            raise OpsError(
                f"{shown(path)} is not a record of the autopilot. Move it elsewhere: the "
                "other passes do not depend on it."
            ) from error
        records.append(record)
    return sorted(records, key=lambda record: (record["at"], record["started"]))


def unfinished(records: list[Record]) -> Record | None:
    """Return the pass that was killed or failed, if any."""
    return next((record for record in reversed(records) if record["finished"] is None), None)


def step(record: Record, name: str) -> Record | None:
    """Return the entry of a step; None before it was started."""
    return next((each for each in record["steps"] if each["step"] == name), None)


def detail(record: Record, name: str) -> Record:
    """Return the detail of a step; empty if it has not ended."""
    entry = step(record, name)
    return dict(entry["detail"]) if entry and entry["ended"] else {}


def ended(records: Sequence[Record], name: str) -> Iterator[tuple[datetime, Record]]:
    """Yield the time and the detail of a step, for each pass in which it ended."""
    for record in records:
        entry = step(record, name)
        if entry and entry["ended"]:
            yield datetime.fromisoformat(record["at"]), dict(entry["detail"])


def _files() -> list[Path]:
    return sorted((folder() / "passes").glob("*.json"))


@dataclass(frozen=True)
class Done:
    """The result of a step."""

    # Values for later steps and passes, as JSON.
    detail: dict[str, Any] = field(default_factory=dict)
    then: tuple[str, ...] = ()  # names of the steps to run next, if this step decides that
    outcome: str | None = None  # final status if the pass ends here, such as `refused`
    summary: str = ""  # final message, a sentence


Step = Callable[[Record], Done]


def run(
    record: Record,
    first: tuple[str, ...],
    steps: Mapping[str, Step],
    on_end: Callable[[Record], None] = lambda entry: None,
) -> None:
    """Run the remaining steps of a pass; save the record at each start and end, then call `on_end`."""
    waiting = list(first)
    while waiting:
        name = waiting.pop(0)
        entry = step(record, name)
        if entry is None or not entry["ended"]:
            entry = _run_step(record, name, steps[name])
            on_end(entry)
        if entry["outcome"]:
            _finish(record, entry["outcome"], entry["summary"])
            return
        waiting += entry["then"]
    _finish(record, "done", "")


def _run_step(record: Record, name: str, work: Step) -> Record:
    entry = step(record, name)
    if entry is None:
        entry = {"step": name, "tries": 0}
        record["steps"].append(entry)
    entry |= {"tries": entry["tries"] + 1, "started": clock(), "ended": None}
    entry |= {"outcome": None, "summary": "", "detail": {}, "then": [], "failed": None}
    save(record)
    try:
        done = work(record)
    except StageError as error:
        entry["failed"] = str(error)
        save(record)
        raise
    entry |= {"ended": clock(), "outcome": done.outcome, "summary": done.summary}
    entry |= {"detail": done.detail, "then": list(done.then)}
    save(record)
    return entry


def _finish(record: Record, outcome: str, summary: str) -> None:
    record |= {"outcome": outcome, "summary": summary, "finished": clock()}
    save(record)


SHOWN = 30  # lines of output in the message of a failed task
# Tasks that run code of the project, which changes before anybody reads it, and sign nothing.
WITHOUT_KEYS = ("validate", "incoming", "pipeline")


class TaskRunner:
    """Runs poe tasks in the current environment, passing each the lock of the pass."""

    def __init__(self, lock: int | None, quiet: bool = False) -> None:
        self._lock = lock
        self._quiet = quiet

    def run(self, *words: str) -> int:
        """Run a task with its arguments; return its exit code."""
        return self._run(words)[0]

    def must(self, *words: str) -> None:
        """Run a task that has to succeed; the error repeats its last lines."""
        code, last = self._run(words)
        if code != 0:
            output = "".join(f"  {line}\n" for line in last)
            raise StageError(f"`poe {' '.join(words)}` ended with exit code {code}:\n{output}")

    def last_line(self, *words: str) -> str:
        """Run a task quietly; return the last line of its output, or an empty string."""
        last = TaskRunner(self._lock, quiet=True)._run(words)[1]
        return last[-1] if last else ""

    def _run(self, words: tuple[str, ...]) -> tuple[int, list[str]]:
        executables = str(Path(sys.executable).parent)
        last: deque[str] = deque(maxlen=SHOWN)
        environment = keyless.environment() if words[0] in WITHOUT_KEYS else dict(os.environ)
        environment |= {paths.ACTOR: paths.AUTOPILOT}
        with subprocess.Popen(
            poe(*words, directory=current().root),
            cwd=current().root,
            env=environment | {"PATH": f"{executables}{os.pathsep}{os.environ.get('PATH', '')}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            pass_fds=() if self._lock is None else (self._lock,),
        ) as running:
            for line in running.stdout or ():
                last.append(line.rstrip())
                if not self._quiet:
                    print(f"  | {line.rstrip()}", flush=True)
        return running.returncode, list(last)


@dataclass(frozen=True)
class Tools:
    """The tools that every step gets."""

    policy: Policy
    tasks: TaskRunner
    say: Callable[[str], None]
    dry: bool = False  # whether writing is forbidden


def production() -> state.State:
    """Read the state of production."""
    return state.read(paths.environment(paths.PRODUCTION))


def tries(record: Record, name: str) -> int:
    """Return how often a step was started, including this time."""
    entry = step(record, name)
    return int(entry["tries"]) if entry else 0
