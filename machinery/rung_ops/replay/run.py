"""Replay the sample through the service and the autopilot, and draw a timeline: `poe replay`."""

import argparse
import json
import sys
import webbrowser
from pathlib import Path

from rung_ops.errors import SettingsError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.replay import page, simulation, wording
from rung_ops.replay.copy_commands import VerbFailed
from rung_ops.replay.periods import TooFewRows, all_rows, cut
from rung_ops.replay.project_copy import NoCopy
from rung_ops.replay.traffic import ServiceFailed


def report_folder() -> Path:
    """Return the folder of a replay's reports."""
    return current().reports / "replay"


def timeline_page() -> Path:
    """Return the path of a replay's page."""
    return report_folder() / "timeline.html"


def timeline_data() -> Path:
    """Return the path of a replay's timeline as JSON."""
    return report_folder() / "timeline.json"


def main(arguments: list[str] | None = None) -> int:
    """Replay, write the timeline, and print it as a table; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe replay", description=__doc__.splitlines()[0])
    parser.add_argument("--months", type=int, help="number of months, or tenths, to replay")
    parser.add_argument(
        "--from",
        dest="start",
        help="first of them, such as 2013-08: the first release learns from all before (default: the "
        "earliest that leaves it enough rows)",
    )
    parser.add_argument("--open", action="store_true", help="open the timeline in a browser")
    options = parser.parse_args(arguments)
    if options.months is not None and options.months < 1:
        print(f"--months: got {options.months}; expected 1 or more.", file=sys.stderr)
        return 1
    try:
        timeline = simulation.replay(*cut(all_rows()), options.months, options.start)
    except (TooFewRows, SettingsError, NoCopy, VerbFailed, ServiceFailed) as error:
        print(error, file=sys.stderr)
        return 1
    report_folder().mkdir(parents=True, exist_ok=True)
    timeline_data().write_text(
        json.dumps(timeline, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    timeline_page().write_text(page.page(timeline), encoding="utf-8")
    print(f"\n{wording.table(timeline)}\n\n{timeline['outcome']}")
    print(f"Wrote {shown(timeline_page())} in {timeline['seconds']:.0f} s.")
    if options.open:
        webbrowser.open(timeline_page().as_uri())
    return 0
