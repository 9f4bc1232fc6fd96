"""Run the sample's time through the real service and the real autopilot, and draw what happened.

Rung keeps this file; change it through autopilot.toml.
"""

import argparse
import json
import sys
import webbrowser

from ops.gate_rules import BadRules
from ops.replay import course, page, words
from ops.replay.copied import VerbFailed
from ops.replay.periods import TooFewRows, all_rows, cut
from ops.replay.place import NoCopy
from ops.replay.traffic import ServiceFailed
from ops.settings import REPORTS, shown

FOLDER = REPORTS / "replay"
TIMELINE = FOLDER / "timeline.html"
DATA = FOLDER / "timeline.json"


def main(arguments: list[str] | None = None) -> int:
    """Replay, write the timeline, and print it as a table; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe replay", description=__doc__.splitlines()[0])
    parser.add_argument("--months", type=int, help="how many months, or tenths, to go through")
    parser.add_argument("--open", action="store_true", help="open the timeline in a browser")
    options = parser.parse_args(arguments)
    if options.months is not None and options.months < 1:
        print(f"--months is {options.months}; give 1 or more.", file=sys.stderr)
        return 1
    try:
        timeline = course.replay(*cut(all_rows()), most=options.months)
    except (TooFewRows, BadRules, NoCopy, VerbFailed, ServiceFailed) as error:
        print(error, file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    DATA.write_text(json.dumps(timeline, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    TIMELINE.write_text(page.page(timeline), encoding="utf-8")
    print(f"\n{words.table(timeline)}\n\n{timeline['outcome']}")
    print(f"{timeline['seconds']:.0f} s in all; look at {shown(TIMELINE)}")
    if options.open:
        webbrowser.open(TIMELINE.as_uri())
    return 0


if __name__ == "__main__":
    sys.exit(main())
