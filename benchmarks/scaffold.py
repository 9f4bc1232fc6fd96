"""Time the start of a project: Rung and Copier against cookiecutter-data-science and Kedro."""

import argparse
import datetime
import os
import platform
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from page import publish

ROOT = Path(__file__).resolve().parents[1]
CCDS = "cookiecutter-data-science"
CCDS_TEMPLATE = f"https://github.com/drivendataorg/{CCDS}"


@dataclass
class Contender:
    """One command, run in an empty folder beside `template`, `ccds` and `home`, and its figures."""

    title: str
    command: str
    missing: str = ""  # why it cannot be run here
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    files: int = 0

    def run(self, scratch: Path, environment: dict[str, str], *, timed: bool) -> None:
        """Run once in a new folder; count its files, and its seconds when it is timed."""
        folder = Path(tempfile.mkdtemp(dir=scratch))
        before, begin = _children(), time.perf_counter()
        done = subprocess.run(
            shlex.split(self.command),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        wall, cpu = time.perf_counter() - begin, _children() - before
        if done.returncode:
            sys.exit(f"`{self.command}` ended with {done.returncode}:\n{done.stdout.decode()}")
        if timed:
            self.wall.append(wall)
            self.cpu.append(cpu)
        made = [path for path in folder.rglob("*") if path.is_file()]
        self.files = sum(".git" not in path.relative_to(folder).parts for path in made)
        shutil.rmtree(folder)


PROJECTS = [
    Contender("`rung new`, rung 0", "rung new new --defaults --level 0 --template ../template"),
    Contender("`rung new`, rung 2", "rung new new --defaults --level 2 --template ../template"),
    Contender("`copier copy`, rung 0", "copier copy -q --defaults -d level=0 ../template new"),
    Contender("`copier copy`, rung 2", "copier copy -q --defaults -d level=2 ../template new"),
    Contender("`ccds`", "ccds --no-input ../ccds"),
    Contender(
        "`kedro new`, no tools, no example",
        "kedro new --name new --tools none --example no --telemetry no",
    ),
]


def _children() -> float:
    """Return the CPU seconds of all child processes that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _do(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def install(room: Path) -> dict[str, str]:
    """Install the peers into an environment of their own; return their versions."""
    peers, python = (CCDS, "kedro"), room / "bin" / "python"
    _do("uv", "venv", "--quiet", "--python", sys.executable, room)
    _do("uv", "pip", "install", "--quiet", "--python", python, *peers)
    ask = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
    return dict(zip(peers, _do(python, "-c", ask, *peers).split(), strict=True))


def ccds_template(given: Path | None, tag: str, room: Path) -> str:
    """Clone cookiecutter-data-science's template, which its package lacks, or say why not."""
    clone = f"git clone --quiet --branch {tag}".split()
    if given:
        _do(*clone, given, room)
        return ""
    no_prompt = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    try:
        subprocess.run([*clone, CCDS_TEMPLATE, room], check=True, env=no_prompt, timeout=60)
    except subprocess.SubprocessError:
        return "not run: its template is on GitHub, which could not be reached"
    return ""


def surroundings(scratch: Path) -> dict[str, str]:
    """Return an environment in which no setting of this machine's user counts."""
    home = scratch / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    places = (Path(sys.executable).parent, scratch / "peers" / "bin", os.environ["PATH"])
    return (
        kept
        | dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(home))
        | {"PATH": os.pathsep.join(map(str, places)), "DO_NOT_TRACK": "1"}
    )


def measure(
    contenders: Sequence[Contender], rounds: int, scratch: Path, environment: dict[str, str]
) -> None:
    """Run all of them once to warm up, then in turn, beginning with another one each round."""
    able = [contender for contender in contenders if not contender.missing]
    for turn in range(rounds + 1):
        first = turn % len(able)
        for contender in able[first:] + able[:first]:
            contender.run(scratch, environment, timed=turn > 0)
        print(f"round {turn} of {rounds} done" if turn else "warmed up", file=sys.stderr)


def table(contenders: Sequence[Contender], *extra: str) -> str:
    """Return medians as a Markdown table; ratios are to the first contender."""
    head = ["Command", "Wall s", "CPU s", "CPU, relative", *extra]
    lines = [head, ["-"] + ["-:"] * (len(head) - 1)]
    base = statistics.median(contenders[0].cpu)
    for one in contenders:
        cells = [one.missing, *[""] * (len(head) - 2)]
        if not one.missing:
            wall, cpu = statistics.median(one.wall), statistics.median(one.cpu)
            cells = [
                f"{wall:.2f}",
                f"{cpu:.2f}",
                f"{cpu / base:.2f}",
                *[str(one.files)] * len(extra),
            ]
        lines.append([one.title, *cells])
    return "\n".join(f"|{'|'.join(line)}|" for line in lines)


def section(options: argparse.Namespace, load: float, peers: dict[str, str]) -> str:
    """Return the section of docs/benchmarks.md, with all that is needed to make it again."""
    command = f"uv run python benchmarks/scaffold.py --rounds {options.rounds}"
    command += " --ccds-template CLONE" if options.ccds_template else ""
    command += " --write docs/benchmarks.md" if options.write else ""
    versions = {"Python": platform.python_version(), "rung": version("rung")}
    versions |= {"copier": version("copier")} | peers
    return f"""<!-- scaffold -->
## Starting a project

{datetime.date.today():%d %B %Y}, {platform.system()} {platform.machine()}, \
{os.cpu_count()} cores, load {load:.1f} at the start;
{", ".join(f"{name} {number}" for name, number in versions.items())}.

{table(PROJECTS, "Files")}

Made by `{command}`.
<!-- /scaffold -->
"""


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each command is timed")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page")
    parser.add_argument(
        "--ccds-template", type=Path, metavar="CLONE", help=f"a clone of {CCDS_TEMPLATE}"
    )
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="scaffold-") as name:
        scratch = Path(name)
        peers = install(scratch / "peers")
        ccds = next(one for one in PROJECTS if one.title == "`ccds`")
        ccds.missing = ccds_template(options.ccds_template, f"v{peers[CCDS]}", scratch / "ccds")
        # A clone has only commits, so uncommitted files are not measured.
        _do("git", "clone", "--quiet", ROOT, scratch / "template")
        environment = surroundings(scratch)
        measure(PROJECTS, options.rounds, scratch, environment)
    made = section(options, load, peers)
    publish(made, "scaffold", options.write)


if __name__ == "__main__":
    main()
