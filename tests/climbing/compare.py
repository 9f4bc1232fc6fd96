"""Live the same histories with each engine, and print what was lost: `python -m tests.climbing.compare`.

Each history is drawn from its seed, so a line of the output can be reproduced.
"""

import argparse
import json
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from rung.core import template_source
from tests.climbing import engines
from tests.climbing.histories import Engine, Fresh, History, Verdict, git, steps
from tests.conftest import ROOT


def live(seed: int, climbs: int, engine: Engine, fresh: Fresh, folder: Path) -> list[Verdict]:
    """Live one history and return the verdict on each climb."""
    answers, drawn = steps(seed, climbs)
    history = History(folder / f"history-{seed}", fresh, answers)
    verdicts = []
    try:
        for step in drawn:
            if isinstance(step, dict):
                verdicts.append(history.climb(engine, step))
            else:
                history.edit(*step)
    except Exception:  # noqa: BLE001 - the other histories go on, and it counts against the engine
        print(f"seed {seed}:", *history.log, sep="\n  ", file=sys.stderr)
        traceback.print_exc()
        verdicts.append(Verdict(up=True, broken=["the engine raised"]))
    finally:
        history.remove()
    return verdicts


def table(files: list[Path]) -> str:
    """Return what the files of several engines say as a Markdown table."""
    lines = [
        "|Engine|Histories|Climbs|With a lost edit|With a conflict, up or aside|down|Broken|",
        "|-|-:|-:|-:|-:|-:|-:|",
    ]
    for file in files:
        result = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        up = [climb for climb in result if climb["up"]]
        down = [climb for climb in result if not climb["up"]]
        cells = [
            file.stem,
            str(len({climb["seed"] for climb in result})),
            str(len(result)),
            _share(result, "lost"),
            _share(up, "conflicts"),
            _share(down, "conflicts"),
            _share(result, "broken"),
        ]
        lines.append(f"|{'|'.join(cells)}|")
    return "\n".join(lines)


def _share(climbs: list[dict[str, Any]], what: str) -> str:
    number = sum(bool(climb[what]) for climb in climbs)
    percent = f" ({100 * number / len(climbs):.1f} %)" if climbs else ""
    return f"{number} of {len(climbs)}{percent}"


def main() -> None:
    """Live the histories of some seeds, one line of JSON for each climb; or print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=["rung", "plain", "table"], help="or the table of both")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--histories", type=int, default=80, help="how many")
    parser.add_argument("--climbs", type=int, default=3, help="in each")
    parser.add_argument("--out", type=Path, help="where the lines go: ENGINE.jsonl")
    parser.add_argument(
        "--made", type=Path, nargs="*", default=[], help="such files, for the table"
    )
    options = parser.parse_args()
    if options.engine == "table":
        print(table(options.made))
        return
    out_file = options.out or Path(f"{options.engine}.jsonl")
    with tempfile.TemporaryDirectory(prefix="histories-") as name, out_file.open("a") as out:
        folder = Path(name)
        git(folder, "clone", "--quiet", str(ROOT), "template")
        template = template_source.choose(str(folder / "template"), None)
        fresh = engines.fresh_projects(template, folder / "r")
        engine = engines.rungs(template) if options.engine == "rung" else engines.plain
        for seed in range(options.first, options.first + options.histories):
            for verdict in live(seed, options.climbs, engine, fresh, folder):
                out.write(json.dumps({"seed": seed, **vars(verdict)}) + "\n")
                out.flush()


if __name__ == "__main__":
    main()
