"""Live the same histories with each engine, and print what was lost: `python -m tests.climbing.compare`.

Each history is drawn from its seed, so a line of the output can be lived again.
"""

import argparse
import json
import sys
import tempfile
import traceback
from pathlib import Path

from rung import source
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


def main() -> None:
    """Live the histories of some seeds, one line of JSON for each climb."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=["rung", "plain"])
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--histories", type=int, default=80, help="how many")
    parser.add_argument("--climbs", type=int, default=3, help="in each")
    parser.add_argument("--out", type=Path, required=True, help="where the lines go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="histories-") as name, options.out.open("a") as out:
        folder = Path(name)
        git(folder, "clone", "--quiet", str(ROOT), "template")
        template = source.choose(str(folder / "template"), None)
        fresh = engines.fresh_projects(template, folder / "r")
        engine = engines.rungs(template) if options.engine == "rung" else engines.plain
        for seed in range(options.first, options.first + options.histories):
            for verdict in live(seed, options.climbs, engine, fresh, folder):
                out.write(json.dumps({"seed": seed, **vars(verdict)}) + "\n")
                out.flush()


if __name__ == "__main__":
    main()
