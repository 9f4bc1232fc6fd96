"""Compare two versions of Rung in one run: the service, the monitor, the climb, the new project.

    uv run python benchmarks/versions.py --before d4a1ba2 --rounds 5 --write docs/benchmarks.md

Both versions' projects are made, trained, released and deployed first, some four minutes. The later
version is the last commit.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from page import publish
from serve import client
from serve.processes import Server

ROOT = Path(__file__).resolve().parents[1]
CONNECTIONS, SECONDS, BODIES = 16, 4.0, 500
Figures = dict[str, list[float]]


def do(*command: str | Path, cwd: Path, **more: str) -> str:
    """Run a command; return what it printed.

    Raises:
        SystemExit: it failed.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment | {"UV_NO_PROGRESS": "1"} | more,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


class Version:
    """A version of Rung: its template, a project on rung 4 that serves, and its figures."""

    def __init__(self, ref: str, folder: Path) -> None:
        """Clone the repository at a ref, below a folder."""
        self.ref, self.folder = ref, folder
        self.template, self.project = folder / "template", folder / "project"
        self.figures: Figures = defaultdict(list)
        folder.mkdir(parents=True)
        do("git", "clone", "--quiet", ROOT, self.template, cwd=folder)
        do("git", "checkout", "--quiet", "--detach", ref, cwd=self.template)

    def prepare(self) -> None:
        """Make the project, train, release, deploy, and let it answer once a minute of rows."""
        answers = ("-d", "level=4", "-d", "package=flights", "-d", "project_name=Flights")
        self.copy(self.project, answers)
        self.commit("Start")
        do("uv", "sync", "--quiet", cwd=self.project)
        for verb in ("keys", "pipeline", "gate", "release", "deploy production"):
            if verb == "pipeline":
                self.commit("Lock the packages, publish the keys")
            do("uv", "run", "poe", *verb.split(), cwd=self.project)

    def copy(self, place: Path, answers: tuple[str, ...]) -> None:
        """Render a project with plain Copier."""
        copier = Path(sys.executable).with_name("copier")
        do(copier, "copy", "--quiet", "--defaults", *answers, self.template, place, cwd=self.folder)

    def commit(self, message: str) -> None:
        """Commit everything in the project, which becomes a repository."""
        if not (self.project / ".git").exists():
            do("git", "init", "--quiet", "--initial-branch=main", cwd=self.project)
        do("git", "add", "--all", cwd=self.project)
        identity = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")
        do("git", *identity, "commit", "--quiet", "--message", message, cwd=self.project)

    def verb(self, verb: str) -> list[str]:
        """Give the command of a verb of the library."""
        return [str(self.project / ".venv/bin/python"), "-m", "rung_ops", verb]

    def serve(self, port: int) -> None:
        """Start the service, load it, and note start, CPU per request and memory."""
        bundles = self.project / "releases/production/bundles"
        (bundle,) = bundles.glob("[!.]*")  # beside a lock
        row = json.loads((bundle / "contract.json").read_text())["example"]
        bodies = self.folder / "bodies"
        client.write([json.dumps(row).encode()] * BODIES, bodies)
        server_core, client_core = client.cores()
        url, kind = f"http://127.0.0.1:{port}/predict", "application/json"
        command = [*self.verb("serve"), "--port", str(port)]
        begin = time.perf_counter()
        server = Server(command, self.project, os.environ, server_core, self.folder / "log")
        try:
            client.wait(url, json.dumps(row).encode(), kind, 60)
            self.figures["cold start, s"].append(time.perf_counter() - begin)
            self.figures["cold start, CPU s"].append(server.cpu())
            client.load(url, bodies, kind, (), CONNECTIONS, 1.0, client_core)
            before = server.cpu()
            load = client.load(url, bodies, kind, (), CONNECTIONS, SECONDS, client_core)
            used = (server.cpu() - before) / load.answered * 1e6
            self.figures["CPU per request, microseconds"].append(used)
            self.figures["memory, MB"].append(server.memory()[0])
        finally:
            server.stop()

    def monitor(self) -> None:
        """Let the monitor check what the service logged."""
        command = self.verb("monitor")
        self.figures["monitor, CPU s"].append(_cpu(command, self.project, codes=(0, 1)))

    def climb(self) -> None:
        """Climb from rung 2 to 3 with this version's own `rung`."""
        place = self.folder / "climbing"
        shutil.rmtree(place, ignore_errors=True)
        rung = ["uv", "run", "--quiet", "--no-dev", "--project", str(self.template), "rung"]
        do(*rung, "new", place, "--defaults", "-d", "level=2", cwd=self.template)
        command = [*rung, "climb", str(place), "--to", "3", "--no-verify"]
        self.figures["climb 2 to 3, CPU s"].append(_cpu(command, self.template))

    def new(self) -> None:
        """Make a project with `rung new`, and the same with Copier."""
        python = self.template / ".venv/bin/python"
        for level in (0, 4):
            place = self.folder / "new"
            for name, command in (
                ("rung new", [python, "-m", "rung", "new", place, "--defaults"]),
                ("copier copy", [python, "-m", "copier", "copy", "--defaults", "--quiet"]),
            ):
                shutil.rmtree(place, ignore_errors=True)
                answer = ["-d", f"level={level}"]
                last = [self.template, place] if name == "copier copy" else []
                words = [str(part) for part in (*command, *answer, *last)]
                used = _cpu(words, self.template)
                self.figures[f"{name}, rung {level}, CPU s"].append(used)


def _cpu(command: list[str], cwd: Path, codes: tuple[int, ...] = (0,)) -> float:
    """Return the CPU seconds of a command and all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in codes:
        sys.exit(f"{command} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(before: Version, after: Version, rounds: int) -> str:
    """Write the section of the page."""
    rows = [
        f"|{name}|{old:.3g}|{new:.3g}|{new / old:.2f}|"
        for name, values in after.figures.items()
        for old, new in [(statistics.median(before.figures[name]), statistics.median(values))]
    ]
    head = f"|Median of {rounds} rounds, interleaved|{before.ref}|{after.ref}|ratio|"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    low, *_, high = sorted(os.getloadavg())  # of the last minute, five and fifteen
    load = f"{low:.0f} to {high:.0f}"
    command = f"uv run python benchmarks/versions.py --before {before.ref} --rounds {rounds}"
    return "\n".join(
        [
            "<!-- versions -->",
            "## This version and the one before",
            "",
            f"{time.strftime('%d %B %Y')}, {machine}, Python {platform.python_version()}, at a load of",
            f"{load}. A velocity project on rung 4, flights; {CONNECTIONS} connections ask for one row",
            "each.",
            "",
            head,
            "|-|-:|-:|-:|",
            *rows,
            "",
            f"Made by `{command} --write docs/benchmarks.md`.",
            "<!-- /versions -->",
            "",
        ]
    )


def main() -> None:
    """Prepare both, measure them in turn, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", required=True, help="tag or commit of the earlier version")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, help="page to put the table into")
    options = parser.parse_args()
    last = do("git", "rev-parse", "--short", "HEAD", cwd=ROOT).strip()
    with tempfile.TemporaryDirectory(prefix="rung-versions-") as scratch:
        both = [
            Version(options.before, Path(scratch) / "before"),
            Version(last, Path(scratch) / "after"),
        ]
        for one in both:
            print(f"preparing {one.ref}", file=sys.stderr)
            one.prepare()
            one.climb()  # not counted: fills the caches
            one.figures.clear()
        steps: list[Callable[[Version], None]] = [
            lambda one: one.serve(8731),
            Version.monitor,
            Version.climb,
            Version.new,
        ]
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            for step in steps:
                for one in both if number % 2 else reversed(both):
                    step(one)
        publish(table(*both, options.rounds), "versions", options.write)


if __name__ == "__main__":
    main()
