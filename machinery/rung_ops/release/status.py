"""Print the releases of each environment and its latest events: `uv run poe releases`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung_ops.project import release_folders
from rung_ops.project.paths import shown
from rung_ops.release import history, state
from rung_ops.release.state import State

EVENTS = 10  # latest events shown
DETAILS = ("release", state.SECOND, "share", "step", "reason")


def role_of(now: State, release: str) -> str | None:
    """Describe the role of a release in an environment; None if it has none."""
    if now.serving == release:
        return "is served"
    if now.canary and now.canary.release == release:
        return f"is the canary, at step {now.canary.step}"
    if now.shadow and now.shadow.release == release:
        return f"is the shadow, for {now.shadow.share:.0%} of the requests"
    return None


def describe(folder: Path) -> Iterator[str]:
    """Describe an environment and its latest events, a line each.

    Raises:
        state.BadState: its state is damaged.
        OSError: its history cannot be read.
    """
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
        yield f"  {_event_line(event)}"
    path = folder / state.HISTORY
    if fault := history.verify(path):
        yield f"  {shown(path)}: {fault}"


def _event_line(event: dict[str, Any]) -> str:
    values = (event["detail"].get(name) for name in DETAILS)
    detail = " ".join(str(each) for each in values if each not in (None, ""))
    return f"{event['at'][:19]}  {event['event']:13} {detail}  ({event['by']})"


def main(arguments: list[str] | None = None) -> int:
    """Describe every environment and the candidates; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe releases", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", action="store_true", help="print only the releases' folder")
    if parser.parse_args(arguments).folder:
        print(release_folders.releases())
        return 0
    code = 0
    for name in release_folders.ENVIRONMENTS:
        try:
            for line in describe(release_folders.environment(name)):
                print(line)
        except (state.BadState, OSError) as error:
            print(error, file=sys.stderr)
            code = 1
    ready = sorted(path.name for path in release_folders.candidates().glob("[!.]*"))
    print(f"candidates\n  {', '.join(ready) or 'none: `uv run poe release` creates one'}")
    return code
