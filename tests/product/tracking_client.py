"""A project that records on a tracking server: made, set up, and driven to a moment."""

import json
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

from tests.product.variants import Project, on_few_rows, set_values

PATIENCE = 240.0  # seconds for MLflow to load and to make its tables on a machine that does much


def project_on_few_rows(template: Path, folder: Path) -> Project:
    """Make a project on rung 2 whose runs go to a server."""
    return on_few_rows(template, folder, tracking="server")


def has_to_record(project: Project) -> None:
    """Let the pipeline have a run to record again, with nothing to train."""
    path, kept = project.folder / "reports/run.json", project.folder / ".dvc/cache"
    if not path.exists():
        return
    digest = md5(path.read_bytes()).hexdigest()
    path.unlink()
    # Where a run was brought to the server DVC has kept the file, and would put it back.
    (kept / "files/md5" / digest[:2] / digest[2:]).unlink(missing_ok=True)
    shutil.rmtree(kept / "runs", ignore_errors=True)


def made(project: Project) -> dict[str, str]:
    return dict(json.loads((project.folder / "reports/run.json").read_text()))


def model_name(project: Project) -> str:
    text = (project.folder / "pyproject.toml").read_text()
    return str(tomllib.loads(text)["project"]["name"])


def settings(project: Project, **values: str) -> None:
    quoted = {name: f'"{value}"' for name, value in values.items()}
    set_values(project.folder / "ops/tracking.toml", **quoted)


def when(
    process: "subprocess.Popen[str]", holds: Callable[[], bool], act: Callable[[], object]
) -> tuple[int, str]:
    """Do something to a running command at a moment that the server shows."""
    until = time.monotonic() + PATIENCE
    while not holds():
        ended = process.poll() is not None
        assert not ended and time.monotonic() < until, f"never came to it: {process.communicate()}"
        time.sleep(0.02)
    act()
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output
