"""The environments of the peers, and commands run without this machine's settings."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache/benchmarks/serve"
PEER_CODE = HERE / "peers"
PEERS = ("bentoml", "export", "fastapi", "litserve", "mlflow", "mlserver")
# With it every start compiles again; VIRTUAL_ENV would name the wrong environment.
UNWANTED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")


def surroundings(**more: str) -> dict[str, str]:
    """Return an environment without usage reports and without the user's settings."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    silent = {"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "NO_COLOR": "1"}
    return kept | silent | {"MLFLOW_DISABLE_TELEMETRY": "true"} | more


def do(*command: str | Path, cwd: Path = ROOT, **more: str) -> str:
    """Run a command; stop with its own words where it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=surroundings(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"`{' '.join(map(str, command))}` ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def room_of(peer: str) -> Path:
    """Install a peer's requirements into an environment of its own, unless it has one."""
    requirements = HERE / "requirements" / f"{peer}.txt"
    room = CACHE / peer
    installed = room / "requirements.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        do("uv", "venv", "--quiet", "--clear", "--python", sys.executable, room)
        python = room / "bin/python"
        install = ("uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python)
        do(*install, "--requirement", requirements)
        shutil.copyfile(requirements, installed)
    return room


def versions() -> list[str]:
    """Name what the peers' requirement files ask for."""
    named = {
        line.split("#")[0].strip().replace("==", " ")
        for peer in PEERS
        for line in (HERE / "requirements" / f"{peer}.txt").read_text().splitlines()
        if "==" in line
    }
    return sorted(named)
