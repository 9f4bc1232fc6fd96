"""The frames of terminal output in README.md and on the site, made by running the commands.

uv run python docs/generate/frames.py          # writes them
uv run python docs/generate/frames.py --check  # fails where one is out of date
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNG = Path(sys.executable).with_name("rung")
PAGES = [ROOT / "README.md", ROOT / "docs/index.md", ROOT / "docs/ladder.md"]
FRAME = re.compile(r"(<!-- frame: (\w+) -->\n).*?(<!-- /frame -->)", re.DOTALL)
# Of each command's output, the paragraphs that are shown, and how many of their lines.
SHOWN: dict[str, dict[str, int]] = {
    "plan": {"From": 1, "Added:": 6, "New CI jobs:": 2, "The team brings:": 4, "Rung 3,": 2},
    "check": {"late-flights:": 1, "Rung 2,": 7, "Next:": 5},
    "levels": {"Rung": 11},
}


def main() -> int:
    """Write the frames, or compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    frames = make()
    outdated = []
    for page in PAGES:
        text = page.read_text("utf-8")
        framed = FRAME.sub(lambda match: match[1] + frames[match[2]] + match[3], text)
        if framed != text:
            outdated.append(page.relative_to(ROOT))
            if not check:
                page.write_text(framed, "utf-8")
    if check and outdated:
        print(f"Frames are out of date in {', '.join(map(str, outdated))}: make docs")
        return 1
    return 0


def make() -> dict[str, str]:
    """Run each command in a new project on rung 2, and return its frame as Markdown."""
    with tempfile.TemporaryDirectory() as place:
        project = Path(place) / "late-flights"
        _output(Path(place), "new", project.name, "--defaults", "--level", "2", "--no-git")
        for command in ("init --quiet", "add --all", "commit --quiet --message Start"):
            identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
            subprocess.run(["git", *identity, *command.split()], cwd=project, check=True)
        return {verb: _frame(verb, _output(project, verb)) for verb in SHOWN}


def _output(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [RUNG, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"rung {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def _frame(verb: str, output: str) -> str:
    """Cut the output down to what is shown; a line of dots stands for what was left out."""
    lines, gap = [f"$ rung {verb}"], False
    for paragraph in output.rstrip().split("\n\n"):
        shown = [line.rstrip() for line in paragraph.splitlines()]
        count = next((n for start, n in SHOWN[verb].items() if shown[0].startswith(start)), 0)
        if count:
            lines += ["..."] if gap else [""] if len(lines) > 1 else []
            lines += shown[:count]
        gap = len(shown) > count
    lines += ["..."] if gap else []
    return "\n".join(["", "```console", *lines, "```", "", ""])


if __name__ == "__main__":
    sys.exit(main())
