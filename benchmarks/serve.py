"""Time prediction services: Rung's against MLflow, MLServer, BentoML, LitServe and FastAPI."""

import argparse
import datetime
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from page import publish
from serve import client, project, rooms, runs, tables
from serve.contenders import SERVICES
from serve.runs import WORKLOADS, Contender

QUICK = ["rung", "fastapi-onnx"]


def begin(options: argparse.Namespace) -> list[Contender]:
    """Install the peers, make the project and its releases, hand the model over."""
    chosen = [one for one in SERVICES if not options.only or one.key in options.only]
    scratch = options.project or project.prepared({one.room for one in chosen})
    shutil.rmtree(scratch / "bodies", ignore_errors=True)
    (scratch / "bodies").mkdir()
    return [
        Contender(
            one,
            rooms.room_of(one.room) if one.room != "project" else scratch / "project/.venv",
            scratch,
        )
        for one in chosen
    ]


def measure(contenders: Sequence[Contender], options: argparse.Namespace) -> float:
    """Start, compare, load; return the largest difference from scikit-learn's answers."""
    cores = client.cores()
    model = contenders[0].scratch / "model"
    rows = json.loads((model / "rows.json").read_text())
    expected = json.loads((model / "expected.json").read_text())
    try:
        for turn in range(options.starts):
            for one in contenders:
                one.stop()
                one.start(rows, cores)
            say(f"cold starts: {turn + 1} of {options.starts}")
        worst = max(runs.compare(one, rows, expected) for one in contenders)
        say(f"all answer as scikit-learn does; largest difference {worst:.2g}")
        for turn in range(options.rounds):
            first = turn % len(contenders)
            for work in WORKLOADS:
                for one in [*contenders[first:], *contenders[:first]]:
                    if runs.able(one, work):
                        runs.apply(one, work, rows, expected, options.seconds, cores)
            say(f"round {turn + 1} of {options.rounds}")
        worst = max(worst, *(runs.compare(one, rows, expected) for one in contenders))
        for one in contenders:
            assert one.server
            one.memory, one.processes = one.server.memory()
    finally:
        for one in contenders:
            one.stop()
    return worst


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def section(
    contenders: Sequence[Contender], options: argparse.Namespace, load: float, worst: float
) -> str:
    """Return the section of docs/benchmarks.md, with all that is needed to make it again."""
    results = tables.Results(contenders)
    command = "uv run --with polars python benchmarks/serve.py"
    command += f" --rounds {options.rounds}" if options.rounds != 7 else ""
    command += " --write docs/benchmarks.md" if options.write else ""
    judged = tables.targets(results)
    reached = sum(one.holds for one in judged)
    return f"""<!-- serve -->
## Serving predictions

One LightGBM classifier of 200 trees and twenty features behind each service, on the rows of the
flights sample; {worst:.1g} is the largest difference of any service's answer from scikit-learn's.
Server on one core, client \
on the other. {datetime.date.today():%d %B %Y}, {platform.system()} {platform.machine()},
{os.cpu_count()} cores, load {load:.1f} at the start; Python {platform.python_version()}, \
{", ".join(rooms.versions())}.

{reached} of {len(judged)} targets were reached. These were not:

{tables.missed(judged)}

One row in a request, by the number of connections:

{tables.alone(results)}

Many rows in a request, four connections:

{tables.together(results)}

From start to the first answer (medians of {options.starts}), and memory after all of this:

{tables.starts(results)}

Made by `{command}`.
<!-- /serve -->
"""


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each load is applied")
    parser.add_argument("--seconds", type=float, default=1.2, help="how long each load lasts")
    parser.add_argument("--starts", type=int, default=3, help="how often each service is started")
    keys = [one.key for one in SERVICES]
    parser.add_argument("--only", nargs="+", choices=keys, metavar="SERVICE", help=f"of {keys}")
    parser.add_argument(
        "--quick", action="store_true", help="one short round of two services: does it run at all?"
    )
    parser.add_argument("--project", type=Path, help="a folder that an earlier run prepared")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page")
    options = parser.parse_args()
    if options.quick:
        options.only, options.rounds, options.seconds, options.starts = QUICK, 1, 0.3, 1
    load = os.getloadavg()[0]
    try:
        contenders = begin(options)
        worst = measure(contenders, options)
    except client.UnansweredError as error:
        sys.exit(str(error))
    made = section(contenders, options, load, worst)
    publish(made, "serve", options.write)


if __name__ == "__main__":
    main()
