"""docs/climb.svg, a real climb as on a terminal that is as narrow as a phone.

uv run python docs/generate/climb.py

The commands run here; only the commit's name, which differs each time, is replaced. The picture plays
once, and stands still at its end where motion is not wanted.
"""

import os
import pty
import re
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from xml.sax.saxutils import escape

BIN = Path(sys.executable).parent
COLUMNS, ROWS = 46, 24
COMMANDS = (
    "rung climb --no-verify",
    "git diff --quiet HEAD~1 -- src && echo same",
    "rung check | head -1",
)
READING, TYPING, PRINTING = 1.6, 0.8, 0.12  # seconds after an output, a command, a line of output
CHARACTER, LINE, MARGIN, SIZE = 9, 20, 18, 15  # of 15 px text; pixels
CLASSES = {"1": "bold", "31": "red", "32": "green", "33": "yellow", "": ""}
STYLES = """\
svg { --paper: #f7f9fb; --edge: #dfe6ec; --ink: #24313d; --soft: #5b6b79; --green: #12612f; --yellow: #7a4d00; --red: #9b1c1c }
@media (prefers-color-scheme: dark) {
  svg { --paper: #10161d; --edge: #26313c; --ink: #e6edf3; --soft: #9fb0bf; --green: #7fd89b; --yellow: #e5c07b; --red: #ff9d8f }
}
rect { fill: var(--paper); stroke: var(--edge) }
text { font: 15px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; fill: var(--ink); white-space: pre }
.soft { fill: var(--soft) }
.bold { font-weight: 700 }
.green { fill: var(--green) }
.yellow { fill: var(--yellow) }
.red { fill: var(--red) }
@keyframes show { from { opacity: 0 } }
@media (prefers-reduced-motion: no-preference) {
  .screen { animation: scroll %.2fs step-end }
  .screen text[style] { animation: show 1ms both }
}"""


def main() -> None:
    """Print the picture."""
    with tempfile.TemporaryDirectory() as place:
        settings = Path(place) / "settings.yml"
        settings.write_text("{}\n")  # in place of the user's
        os.environ |= {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": str(COLUMNS),
            "TERM": "xterm",
            "NO_COLOR": "",
            "COPIER_SETTINGS_PATH": str(settings),
        }
        project = Path(place) / "late-flights"
        _run("rung new late-flights --defaults", project.parent)
        screens = [(command, _run(command, project)) for command in COMMANDS]
    print(picture(screens), end="")


def _run(command: str, folder: Path) -> list[str]:
    """Run a command on a terminal of COLUMNS; return what it printed, in lines of that width."""
    screen, side = pty.openpty()
    termios.tcsetwinsize(side, (ROWS, COLUMNS))
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=side,
        stderr=subprocess.PIPE,
    )
    os.close(side)
    printed = b""
    try:
        while part := os.read(screen, 65_536):
            printed += part
    except OSError:  # the end of a terminal
        pass
    os.close(screen)
    errors = process.communicate()[1]
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}:\n{errors.decode()}")
    text = re.sub(r"Committed as \w+", "Committed as 5f0c1e2a9b", printed.decode())
    return text.replace("\r", "").rstrip("\n").split("\n")


def picture(screens: list[tuple[str, list[str]]]) -> str:
    """Draw commands and what they printed as an SVG file that shows line after line."""
    texts: list[str] = []
    seconds, rolled = 0.0, []
    for command, output in screens:
        seconds += READING if texts else 0
        lines = [("soft", f"$ {command}"), *(part for line in output for part in _parts(line))]
        for kind, line in lines:
            if len(texts) >= ROWS:
                rolled.append((seconds, ROWS - 1 - len(texts)))
            y = SIZE + LINE * len(texts)
            # The first command is there from the first frame.
            delay = f' style="animation-delay: {seconds:.2f}s"' if texts else ""
            texts.append(f'<text class="{kind}" x="{MARGIN}" y="{y}"{delay}>{escape(line)}</text>')
            seconds += TYPING if kind == "soft" else PRINTING
    width, height = 2 * MARGIN + CHARACTER * COLUMNS, 2 * MARGIN + LINE * ROWS
    keyframes = [("0%", 0), *((f"{100 * when / seconds:.2f}%", by) for when, by in rolled)]
    end = min(0, ROWS - len(texts)) * LINE
    scroll = " ".join(f"{at} {{ transform: translateY({by * LINE}px) }}" for at, by in keyframes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n<style>\n'
        f"{STYLES % seconds}\n.screen {{ transform: translateY({end}px) }}\n"
        f"@keyframes scroll {{ {scroll} }}\n</style>\n"
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>\n'
        f'<svg y="{MARGIN}" width="{width}" height="{LINE * ROWS}"><g class="screen">\n'
        + "\n".join(texts)
        + "\n</g></svg>\n</svg>\n"
    )


def _parts(line: str) -> list[tuple[str, str]]:
    """Return a line with its colour, cut where a terminal begins a new line."""
    colour = re.match(r"\x1b\[(\d+)m", line)
    kind = CLASSES[colour[1] if colour else ""]
    text = re.sub(r"\x1b\[\d+m", "", line)
    return [(kind, text[at : at + COLUMNS]) for at in range(0, max(1, len(text)), COLUMNS)]


if __name__ == "__main__":
    main()
