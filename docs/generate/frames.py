"""The frames of terminal output in README.md and on the site, made by running the commands.

uv run python docs/generate/frames.py          # writes them
uv run python docs/generate/frames.py --check  # fails where one is out of date

Either fails where a page lacks a frame, or the output a paragraph that is shown.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rung.check.report.text import LEGEND, NEXT
from rung.core.climbing.messages import ADDED, FROM_TO, JOBS
from rung.levels import ladder
from rung.levels.ladder import BRINGS, HEADING

ROOT = Path(__file__).resolve().parents[2]
RUNG = Path(sys.executable).with_name("rung")
PAGES = {  # which frames each page shows
    "README.md": ("plan", "check"),
    "docs/index.md": ("check",),
}
FRAME = re.compile(r"(<!-- frame: (\S+) -->\n).*?(<!-- /frame -->)", re.DOTALL)
NAME, LEVEL = "late-flights", 2
BEFORE, AFTER = map(HEADING.format, ladder.load(ROOT / "levels")[LEVEL : LEVEL + 2])
# Of each command's output, the paragraphs that are shown, by what they begin with, which stands in the
# code that prints them, and how many of their lines.
SHOWN: dict[str, dict[str, int]] = {
    "plan": {
        f"{FROM_TO.format(LEVEL, LEVEL + 1)}:": 1,
        f"{ADDED}:": 6,
        f"{JOBS}:": 2,
        f"{BRINGS}:": 4,
        AFTER: 2,
    },
    "check": {f"{NAME}:": 1, LEGEND: 1, BEFORE: 7, f"{NEXT}:": 5},
}


def main() -> int:
    """Write the frames, or compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    try:
        frames = make()
        framed = {name: fill(name, (ROOT / name).read_text("utf-8"), frames) for name in PAGES}
    except LookupError as error:
        print(error.args[0])
        return 1
    outdated = [name for name in PAGES if framed[name] != (ROOT / name).read_text("utf-8")]
    if check and outdated:
        print(f"Frames are out of date in {', '.join(outdated)}: make docs")
        return 1
    for name in outdated:
        (ROOT / name).write_text(framed[name], "utf-8")
    return 0


def fill(name: str, text: str, frames: Mapping[str, str]) -> str:
    """Put the frames into a page.

    Args:
        name: of the page, a key of PAGES.
        text: of the page.
        frames: by key.

    Raises:
        LookupError: the page lacks a frame that it has to show, or has another.
    """
    expected, keys = PAGES[name], [match[2] for match in FRAME.finditer(text)]
    for key in expected:
        if keys.count(key) != 1:
            count = keys.count(key) or "no"
            raise LookupError(
                f"{name} has {count} frame `{key}`, and needs one: a line `<!-- frame: {key} -->` "
                "and, below, a line `<!-- /frame -->`."
            )
    if unknown := sorted(set(keys) - set(expected)):
        raise LookupError(
            f"{name} has a frame `{unknown[0]}`, which PAGES in docs/generate/frames.py does not "
            "name for this page."
        )
    return FRAME.sub(lambda match: match[1] + frames[match[2]] + match[3], text)


def make() -> dict[str, str]:
    """Run each command in a new project on rung LEVEL, and return its frame as Markdown."""
    with tempfile.TemporaryDirectory() as place:
        project = Path(place) / NAME
        _output(Path(place), "new", project.name, "--defaults", "--level", str(LEVEL), "--no-git")
        (project / "dvc.lock").write_text("schema: '2.0'\n")  # as of a pipeline that ran
        for command in ("init --quiet", "add --all", "commit --quiet --message Start"):
            identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
            subprocess.run(["git", *identity, *command.split()], cwd=project, check=True)
        return {verb: excerpt(verb, _output(project, verb)) for verb in SHOWN}


def _output(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [RUNG, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"rung {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def excerpt(verb: str, output: str) -> str:
    """Cut the output down to what is shown; a line of dots stands for what was left out.

    Raises:
        LookupError: a paragraph that is to be shown is not in the output.
    """
    lines, gap, missing = [f"$ rung {verb}"], False, list(SHOWN[verb])
    for paragraph in output.rstrip().split("\n\n"):
        shown = [line.rstrip() for line in paragraph.splitlines()]
        start = next((start for start in SHOWN[verb] if shown[0].startswith(start)), None)
        count = SHOWN[verb][start] if start else 0
        if start:
            lines += ["..."] if gap else [""] if len(lines) > 1 else []
            lines += shown[:count]
            missing = [name for name in missing if name != start]
        gap = len(shown) > count
    if missing:
        pages = ", ".join(name for name, keys in PAGES.items() if verb in keys)
        raise LookupError(
            f"{pages}: the frame `{verb}` shows a paragraph that begins with `{missing[0]}`, and "
            f"`rung {verb}` prints none. Was it reworded? Correct SHOWN in docs/generate/frames.py."
        )
    lines += ["..."] if gap else []
    return "\n".join(["", "```console", *lines, "```", "", ""])


if __name__ == "__main__":
    sys.exit(main())
