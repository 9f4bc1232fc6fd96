"""Print the releases of each environment and its latest events: `uv run poe releases`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from rung_ops.command import verb
from rung_ops.project import paths
from rung_ops.project.paths import shown
from rung_ops.release import history, state

EVENTS = 10  # latest events shown
DETAILS = ("release", state.SECOND, "share", "step", "reason")


def describe(folder: Path) -> Iterator[str]:
    """Describe an environment and its latest events, a line each."""
    now = state.read(folder)
    yield folder.name
    if now.stopped:
        yield f"  STOPPED by {now.stopped.by} at {now.stopped.at}: {now.stopped.reason}"
    yield f"  serving    {now.serving or 'nothing yet'}"
    if now.canary:
        yield f"  canary     {now.canary.release}, step {now.canary.step} since {now.canary.since}"
    if now.shadow:
        yield f"  shadow     {now.shadow.release}, {now.shadow.share:.0%} of the requests"
    if now.previous:
        yield f"  previous   {', '.join(now.previous)}"
    for event in state.events(folder)[-EVENTS:]:
        yield f"  {event['at'][:19]}  {event['event']:13} {detail(event)}  ({event['by']})"
    path = folder / state.HISTORY
    if fault := history.verify(path):
        yield f"  {shown(path)}: {fault}"


def detail(event: dict[str, Any]) -> str:
    """Say what an event was about: its release, and the numbers and reason that it has."""
    values = (event["detail"].get(name) for name in DETAILS)
    return " ".join(str(each) for each in values if each not in (None, ""))


@verb("poe releases")
@click.option("--folder", is_flag=True, help="print only the releases' folder")
def main(folder: bool) -> int:
    """Print the releases of each environment and its latest events."""
    if folder:
        print(paths.releases())
        return 0
    code = 0
    for name in paths.ENVIRONMENTS:
        try:
            for line in describe(paths.environment(name)):
                print(line)
        except (state.StateError, OSError) as error:
            print(error, file=sys.stderr)
            code = 1
    ready = sorted(path.name for path in paths.candidates().glob("[!.]*"))
    print(f"candidates\n  {', '.join(ready) or 'none: `uv run poe release` creates one'}")
    return code
