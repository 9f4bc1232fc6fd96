"""The project whose service is measured: made, trained and released as a person would do it."""

import re
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

from serve import rooms
from serve.rooms import CACHE, HERE, ROOT, do

LIGHTGBM = "lightgbm==4.7.0"
# Bodies of 1,000 rows at four connections are more than a service lets wait by default, and a
# busy machine must not make it refuse: what is compared is the work for an answer.
SERVICE = {"max_waiting_rows": "10_000", "max_wait_ms": "10_000.0"}
IDENTITY = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@localhost")


# What is measured here serves no users, so no approval is needed.
TO_PRODUCTION = ("deploy", "production", "--without-gate", "measured, not used")


def prepared(peers: Collection[str]) -> Path:
    """Return a folder with the project, its releases and the model in the forms of the peers.

    It is made once for each commit of this repository, about three minutes.

    Args:
        peers: rooms of the services that are compared.
    """
    commit = do("git", "rev-parse", "--short=8", "HEAD").strip()
    scratch = CACHE / "work" / commit
    done = scratch / "done"
    if not done.exists():
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        (scratch / "home").mkdir()
        _project(scratch)
        done.touch()
    hand_over(scratch, peers)
    return scratch


def _commit(project: Path, message: str) -> None:
    do("git", "add", "--all", cwd=project)
    do("git", *IDENTITY, "commit", "--quiet", "--message", message, cwd=project)


def _project(scratch: Path) -> None:
    """Render, train and release; the second release is for the shadow."""
    # A clone has only commits, so uncommitted files are not measured.
    do("git", "clone", "--quiet", ROOT, scratch / "template")
    copier, project = Path(sys.executable).with_name("copier"), scratch / "project"
    answers = ("-d", "level=3", "-d", "package=flights", "-d", "project_name=Flights")
    do(copier, "copy", "--quiet", "--defaults", *answers, scratch / "template", project)
    do("git", "init", "--quiet", "--initial-branch=main", cwd=project)
    for name, folder in (("features.py", "src/flights"), ("model.py", "src/flights")):
        shutil.copyfile(HERE / "project" / name, project / folder / name)
    shutil.copyfile(HERE / "project/params.toml", project / "params.toml")
    for name, value in SERVICE.items():  # their first place in the file is [service]
        _replace(project / "ops/service.toml", rf"(?m)^{name} = .*", f"{name} = {value}")
    do("uv", "add", "--quiet", "--python", sys.executable, LIGHTGBM, cwd=project)
    _poe(project, "keys")
    _commit(project, "Start")
    release(project)
    _poe(project, *TO_PRODUCTION)
    do(_python(project), HERE / "hand_over.py", project, scratch / "model")
    shutil.copytree(project / "releases", scratch / "releases-shadow")
    _replace(project / "params.toml", r"seed = 7\b", "seed = 8")
    _replace(project / "ops/rollout.toml", r"(?<=\[shadow\]\n)(#.*\n)*share = \S+", "share = 1.0")
    # It stays a shadow for as long as this is measured.
    _replace(project / "ops/rollout.toml", r"min_rows = \d+", "min_rows = 1_000_000_000")
    _commit(project, "Train with another seed")
    release(project, RELEASES=str(scratch / "releases-shadow"))
    _poe(project, *TO_PRODUCTION, RELEASES=str(scratch / "releases-shadow"))
    for name, setting, by in (
        ("no-log", r"enabled = true", "enabled = false"),
        ("workers", r"(?m)^\[service\]", "[service]\nworkers = 2"),
    ):
        do("git", "clone", "--quiet", project, scratch / name)
        shutil.copytree(project / "releases", scratch / name / "releases")
        _replace(scratch / name / "ops/service.toml", setting, by)


def release(project: Path, **settings: str) -> None:
    """Train, and write what was trained as a signed bundle."""
    _poe(project, "pipeline")
    _commit(project, "Record the run")
    _poe(project, "release", **settings)


def hand_over(scratch: Path, peers: Collection[str]) -> None:
    """Give the peers the model in their forms, unless they have it."""
    model = scratch / "model"
    given = {"BENCHMARK_MODEL": str(model), "PYTHONPATH": str(rooms.PEER_CODE)}
    for room, needed, code, form in (
        ("export", {"bentoml", "litserve", "fastapi"}, "onnx_model.py", "model.onnx"),
        ("mlflow", {"mlflow", "mlserver"}, "mlflow_model.py", "mlserver"),
    ):
        if needed & set(peers) and not (model / form).exists():
            do(rooms.room_of(room) / "bin/python", rooms.PEER_CODE / code, model, **given)


def _poe(project: Path, *words: str, **settings: str) -> None:
    do("uv", "run", "--quiet", "poe", *words, cwd=project, **settings)


def _python(project: Path) -> Path:
    return project / ".venv/bin/python"


def _replace(path: Path, pattern: str, by: str) -> None:
    text, count = re.subn(pattern, by, path.read_text(encoding="utf-8"), count=1)
    if not count:
        sys.exit(f"{path}: `{pattern}` is not in it any more; fix benchmarks/serve/project.py.")
    path.write_text(text, encoding="utf-8")
