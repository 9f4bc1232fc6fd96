"""Print what is served, what is on trial, and what happened: `uv run poe releases`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung_ops.project.paths import shown
from rung_ops.release import history, paths, state
from rung_ops.release.state import State

EVENTS = 10  # of the history that are shown
SAID = ("release", state.SECOND, "share", "step", "reason")


def place_of(now: State, release: str) -> str | None:
    """Say what a release does in an environment; None where it does nothing."""
    if now.serving == release:
        return "answers"
    if now.canary and now.canary.release == release:
        return f"is the canary, at step {now.canary.step}"
    if now.shadow and now.shadow.release == release:
        return f"is in the shadow, for {now.shadow.share:.0%} of the requests"
    return None


def describe(folder: Path) -> Iterator[str]:
    """Describe an environment and its latest changes, a line at a time.

    Raises:
        state.BadState: its state is damaged.
    """
    now = state.read(folder)
    yield folder.name
    if now.stopped:
        yield f"  STOPPED by {now.stopped.by} at {now.stopped.at}: {now.stopped.reason}"
    yield f"  answers    {now.serving or 'nothing yet'}"
    if now.canary:
        yield f"  canary     {now.canary.release}, step {now.canary.step} since {now.canary.since}"
    if now.shadow:
        yield f"  shadow     {now.shadow.release}, {now.shadow.share:.0%} of the requests"
    if now.previous:
        yield f"  before     {', '.join(now.previous)}"
    for event in state.events(folder)[-EVENTS:]:
        yield f"  {_told(event)}"
    path = folder / state.HISTORY
    if fault := history.verify(path):
        yield f"  {shown(path)}: {fault}"


def _told(event: dict[str, Any]) -> str:
    known = (event["detail"].get(name) for name in SAID)
    words = " ".join(str(each) for each in known if each not in (None, ""))
    return f"{event['at'][:19]}  {event['event']:13} {words}  ({event['by']})"


def main(arguments: list[str] | None = None) -> int:
    """Describe every environment and the candidates; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe releases", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", action="store_true", help="only name the folder they lie in")
    if parser.parse_args(arguments).folder:
        print(paths.releases())
        return 0
    code = 0
    for name in paths.ENVIRONMENTS:
        try:
            for line in describe(paths.environment(name)):
                print(line)
        except state.BadState as error:
            print(error, file=sys.stderr)
            code = 1
    ready = sorted(path.name for path in paths.candidates().glob("[!.]*"))
    print(f"candidates\n  {', '.join(ready) or 'none: `uv run poe release` makes one'}")
    return code
