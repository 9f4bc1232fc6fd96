"""The gallery of the site: a project of each game on each rung, with the pages that it made.

uv run python docs/generate/gallery.py                           # both games, to rung 4
uv run python docs/generate/gallery.py --game velocity --upto 1  # a small one
uv run python docs/generate/gallery.py --before v0.1.0           # what changed since a release, too
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gallery_pages import ROOT, Stand, html_of, index, text_page

FOLDER = ROOT / ".cache/site/gallery"
RUNG = Path(sys.executable).with_name("rung")
NAMES = {"velocity": "late-flights", "governance": "credit-risk"}
TEAMS = {"velocity": "churn-team.yml", "governance": "bank-credit.yml"}  # of docs/personas

# What makes a rung's pages, in the words of its README.
TASKS = {
    0: ["train", "evaluate"],
    1: [],
    2: ["pipeline"],
    3: ["keys", "pipeline", "gate"],
    4: ["pipeline", "replay --months 4"],
}
GOVERNANCE_TASKS = {3: ["examine"], 4: ["examine"]}
# Tasks that end with 1 in a project made here: the gate waits for a person's approval, and no one
# has written what the examination asks people for.
UNANSWERED = {"gate", "examine"}

# The pages of a project, where it has made them: path, name here, title.
PAGES = (
    ("reports/report.html", "report.html", "Model report"),
    (".replay/reports/monitor/report.html", "monitor.html", "Monitor, after the replay"),
    ("reports/replay/timeline.html", "timeline.html", "Replay"),
    (
        "reports/examination.html",
        "examination.html",
        "Examination: requirements and what meets them",
    ),
)
TEXTS = {"docs/model_card.md": "Model card", "RUNG.md": "RUNG.md"}


def main() -> int:
    """Write the gallery; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--game", choices=NAMES, help="one game alone")
    parser.add_argument("--upto", type=int, choices=range(5), default=4, help="the last rung")
    parser.add_argument("--before", help="a tag or commit: show what changed since")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    projects: list[Stand] = []
    for game in [options.game] if options.game else NAMES:
        projects += climbed(game, options.upto, options.folder, options.before)
    advice = {game: _assessed(game, options.folder) for game in {each.game for each in projects}}
    commit = _git(ROOT, "rev-parse", "HEAD")
    page = index(options.folder, projects, advice, options.before, commit)
    print(f"Wrote {page}: {len(projects)} projects.")
    return 0


def climbed(game: str, upto: int, folder: Path, before: str | None) -> Iterator[Stand]:
    """Take a project up the ladder; collect what it made on each rung."""
    with tempfile.TemporaryDirectory(prefix="gallery-") as place:
        project = Path(place) / NAMES[game]
        for rung in range(upto + 1):
            if rung == 0:
                start = ("--defaults", "--use-case", game, "--level", 0)
                _run(Path(place), RUNG, "new", project, *start)
            else:
                _run(project, RUNG, "climb", "--to", rung)
            came = "" if rung == 0 else _git(project, "show", "--format=%s", "HEAD")
            printed = _use(project, rung, game)
            stand = _stand(project, game, rung)
            _collect(project, folder / f"{game}-{rung}", stand)
            if "gate" in printed:
                stand.pages |= text_page(folder, stand, "gate", "poe gate", printed["gate"])
            if came:
                title = f"What came since rung {rung - 1}"
                stand.pages |= text_page(folder, stand, "climb", title, came, patch=True)
            if before:
                changed = _since(Path(place), project, stand, before)
                title = f"What changed since {before}"
                stand.pages |= text_page(folder, stand, "since", title, changed, patch=True)
            print(f"{game}, rung {rung}: {len(stand.pages)} pages", flush=True)
            yield stand


def _use(project: Path, rung: int, game: str) -> dict[str, str]:
    """Run what the rung offers, and commit what it wrote; return what each task printed."""
    printed = {}
    extra = GOVERNANCE_TASKS.get(rung, []) if game == "governance" else []
    _run(project, "uv", "sync", "--quiet")
    _commit(project, f"Lock the packages of rung {rung}")
    for task in [*TASKS[rung], *extra]:
        command = ("uv", "run", "--quiet", "poe", "--quiet", *task.split())
        printed[task] = _run(project, *command, allowed=int(task in UNANSWERED))
        _commit(project, f"{task.split()[0].capitalize()} on rung {rung}")
    return printed


def _stand(project: Path, game: str, rung: int) -> Stand:
    if f"\nlevel: {rung}\n" not in (project / ".copier-answers.yml").read_text("utf-8"):
        raise SystemExit(f"The project of {game} is not on rung {rung}.")
    paths = [project / name for name in _git(project, "ls-files").splitlines()]
    kept = [path for path in paths if path.suffix not in (".parquet", ".whl", ".lock")]
    lines = sum(len(path.read_bytes().splitlines()) for path in kept)
    return Stand(game, rung, len(kept), lines)


def _collect(project: Path, folder: Path, stand: Stand) -> None:
    """Copy the pages of a project, and make those of `rung check` and `rung plan`."""
    folder.mkdir()
    stand.pages |= copied(project, folder)
    for name, title in TEXTS.items():
        if (project / name).is_file():
            text = (project / name).read_text("utf-8")
            file = Path(name).stem.lower()
            stand.pages |= text_page(folder.parent, stand, file, title, text, html=html_of(text))
    check = _run(project, RUNG, "check", "--use-case", stand.game, "--format", "html")
    (folder / "check.html").write_text(check, "utf-8")
    stand.pages[f"{folder.name}/check.html"] = "rung check"
    if stand.rung < max(TASKS):
        plan = _run(project, RUNG, "plan", "--to", stand.rung + 1)
        stand.pages |= text_page(
            folder.parent, stand, "plan", f"rung plan --to {stand.rung + 1}", plan
        )


def copied(project: Path, folder: Path) -> dict[str, str]:
    """Copy the pages that a project has made; return their paths here, with titles."""
    pages = {}
    for path, name, title in PAGES:
        if (project / path).is_file():
            shutil.copy(project / path, folder / name)
            pages[f"{folder.name}/{name}"] = title
    return pages


def _since(place: Path, project: Path, stand: Stand, before: str) -> str:
    """Compare Rung's files of the project with those of an earlier template, as a patch."""
    old, new = place / f"before-{stand.rung}", place / f"now-{stand.rung}"
    for folder, revision in ((old, before), (new, "HEAD")):
        answers = ("--defaults", "--use-case", stand.game, "--level", stand.rung, "--no-git")
        template = ("--template", ROOT, "--template-version", revision)
        _run(place, RUNG, "new", folder / project.name, *answers, *template)
    done = subprocess.run(
        ["git", "diff", "--no-index", "--stat", "--patch", old, new],
        capture_output=True,
        text=True,
        check=False,  # 1 if they differ
    )
    return done.stdout.replace(str(old), "").replace(str(new), "")


def _assessed(game: str, folder: Path) -> str:
    """Write the advice to a team of docs/personas that plays the game; return its file name."""
    answers = ROOT / "docs/personas" / TEAMS[game]
    page = _run(ROOT, RUNG, "assess", "--answers", answers, "--defaults", "--format", "html")
    (folder / f"assess-{game}.html").write_text(page, "utf-8")
    return f"assess-{game}.html"


def _commit(project: Path, message: str) -> None:
    if _git(project, "status", "--porcelain"):
        _git(project, "add", "--all")
        _git(project, "commit", "--quiet", "--message", message)


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    return _run(folder, "git", *identity, *arguments)


def _run(folder: Path, *command: object, allowed: int = 0) -> str:
    """Run a command and return what it prints; an error ends the gallery with its output."""
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == allowed != 0:
        return done.stdout + done.stderr
    if done.returncode:
        output = f"{done.stdout}{done.stderr}"
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{output}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
