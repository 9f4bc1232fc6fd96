"""The project that the tests run in: found upwards, or rendered; imported before rung_ops."""

import atexit
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

GAME = os.environ.get("RUNG_GAME", "velocity")
# Everything that a project can have, so that each part of the library has its files.
ANSWERS = {
    "level": 4,
    "use_case": GAME,
    "project_name": {"velocity": "Late flights", "governance": "Credit risk"}[GAME],
    "team_size": "teams",
    "compute": "ray_on_kubernetes",
    "data": "warehouse",
}
TEMPLATE = Path(__file__).resolve().parents[2]
SHARED = "RUNG_RENDERED_FOR_TESTS"  # a variable that pytest-xdist hands to the processes it starts


def _found() -> Path | None:
    for folder in (Path.cwd(), *Path.cwd().parents):
        file = folder / "pyproject.toml"
        if file.is_file() and "rung" in tomllib.loads(file.read_text("utf-8")).get("tool", {}):
            return folder
    return None


def _rendered() -> Path:
    """Render a project, or copy that of the process which started this one to share its tests."""
    room = Path(tempfile.mkdtemp(prefix="rung-project-"))
    atexit.register(shutil.rmtree, room, ignore_errors=True)
    folder = room / "project"
    if shared := os.environ.get(SHARED):
        return Path(shutil.copytree(shared, folder, symlinks=True))
    import copier

    copier.run_copy(str(TEMPLATE), folder, data=ANSWERS, defaults=True, quiet=True, vcs_ref="HEAD")
    identity = [
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=ada@example.org",
    ]  # a fresh machine has none
    for command in (["init", "--quiet", "-b", "main"], ["add", "-A"], ["commit", "-qm", "Start"]):
        subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True)
    os.environ[SHARED] = str(folder)
    return folder


# A process of pytest-xdist starts in the project of the one that started it, which others start in too.
ROOT = _rendered() if SHARED in os.environ else _found() or _rendered()
os.chdir(ROOT)
sys.path.insert(0, str(ROOT / "src"))
os.environ["PYTHONPATH"] = str(ROOT / "src")  # for the processes that the library starts


def copied(folder: Path) -> Path:
    """Copy what git holds of the project, as if nothing had been run in it; return the folder.

    An ejected one may have run its pipeline: rows, runs, a cache of DVC and gigabytes of packages are
    beside it. What runs have committed stays behind, too: DVC's records, and the public keys.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file() and target.name != "dvc.lock" and target.suffix not in (".dvc", ".pub"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return folder


def printed(code: str, *words: str) -> str:
    """Run Python code in a process of its own, in the project; return what it prints."""
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def imported(module: str, among: Iterable[str]) -> list[str]:
    """Import a module in a process of its own; return which of some others came with it."""
    code = f"import json, sys, {module}\nprint(json.dumps(sorted({{*{[*among]}}} & sys.modules.keys())))"
    found: list[str] = json.loads(printed(code).splitlines()[-1])
    return found


def stage(name: str) -> ModuleType:
    """Import a stage of the project's pipeline/."""
    spec = importlib.util.spec_from_file_location(f"stage_{name}", ROOT / f"pipeline/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def __getattr__(name: str) -> object:
    """Give `fit` and `split` as the project's own stages have them."""
    if name in ("fit", "split"):
        return getattr(stage({"fit": "train"}.get(name, name)), name)
    raise AttributeError(name)
