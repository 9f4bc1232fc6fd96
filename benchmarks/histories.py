"""Live the same histories with each engine, and print what was lost: `python -m benchmarks.histories`.

Each history is drawn from its seed, so a line of the output can be reproduced.
"""

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import copier

from rung.core import template_source
from tests.climbing import engines
from tests.climbing.edits import WEIGHTS
from tests.climbing.histories import MARKER, Climbed, Engine, Fresh, History, Verdict, git
from tests.conftest import ROOT


def steps(seed: int, climbs: int) -> tuple[dict[str, Any], list[Any]]:
    """Draw a history: the answers it starts with; then edits, with seeds, and answers to change."""
    chance = Random(seed)
    level, ci = chance.choice([0, 0, 1, 1, 2]), "github"
    answers = {
        "use_case": chance.choice(["velocity", "governance"]),
        "team_size": "team",
        "ci": ci,
        "level": level,
    }
    drawn: list[Any] = []
    for _ in range(climbs):
        for kind in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=chance.randint(2, 8)):
            drawn.append((kind, chance.randrange(2**32)))
        if chance.random() < 0.1:
            ci = "gitlab" if ci == "github" else "github"
            drawn.append({"ci": ci})
        else:
            upward = [rung for rung in range(5) if rung > level]
            downward = [rung for rung in range(5) if rung < level]
            chosen = upward if upward and (not downward or chance.random() < 0.75) else downward
            level = chance.choice(chosen[:2] if chosen is upward else chosen[-2:])
            drawn.append({"level": level})
    return answers, drawn


def plain(project: Path, changed: Mapping[str, Any]) -> Climbed:
    """Climb with `copier update`, and commit unless it leaves conflicts."""
    copier.run_update(
        project,
        data=dict(changed),
        vcs_ref=copier.VcsRef.CURRENT,
        defaults=True,
        overwrite=True,
        quiet=True,
        skip_answered=True,
    )
    conflicts = _left(project)

    if conflicts:
        return Climbed(
            False,
            conflicts,
            decide=lambda: engines.keep_mine(project, "HEAD", conflicts),
            moved=True,
        )
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", f"Climb: {changed}")
    return Climbed(True)


def _left(project: Path) -> list[str]:
    """Return the files that a user has to decide: unmerged ones, markers and rejects."""
    entries = git(project, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    left = []
    for entry in filter(None, entries.split("\0")):
        path = project / entry[3:]
        marked = path.is_file() and not path.is_symlink() and MARKER.search(path.read_bytes())
        if "U" in entry[:2] or entry[:2] in ("AA", "DD") or entry.endswith(".rej") or marked:
            left.append(entry[3:].removesuffix(".rej"))
    return left


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
        engine = engines.rungs(template) if options.engine == "rung" else plain
        for seed in range(options.first, options.first + options.histories):
            for verdict in live(seed, options.climbs, engine, fresh, folder):
                out.write(json.dumps({"seed": seed, **vars(verdict)}) + "\n")
                out.flush()


if __name__ == "__main__":
    main()
