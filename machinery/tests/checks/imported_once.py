"""Run pytest in a fork of a process that has imported what takes seconds, and nothing of a project.

It imports nothing of rung_ops, which finds its project when it is imported.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path

SLOW = ["pandera.polars", "polars", "pytest", "skops.io", "sklearn.ensemble", "sklearn.metrics"]
# pytest says of its plugins that their assertions cannot be rewritten any more.
AS_FORKED = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]


def run_pytest(
    arguments: list[str], folder: Path, environment: Mapping[str, str], log: Path
) -> tuple[int, str]:
    """Run pytest in a folder; return its exit code and what it printed.

    Args:
        arguments: of pytest.
        folder: where it runs.
        environment: variables that it gets; PYTHONPATH counts.
        log: file for what it prints.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(SLOW)
    child = context.Process(target=_run, args=(arguments, folder, dict(environment), log))
    child.start()
    child.join()
    return child.exitcode or 0, log.read_text(encoding="utf-8")


def _run(arguments: list[str], folder: Path, environment: dict[str, str], log: Path) -> None:
    import pytest

    with log.open("wb") as printed:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(printed.fileno(), stream.fileno())
    os.environ.clear()
    # Plugins of Rung's own tests, which a project does not have, take a second.
    os.environ |= environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    os.chdir(folder)
    sys.path[:0] = [str(folder), *environment["PYTHONPATH"].split(os.pathsep)]
    raise SystemExit(pytest.main(arguments))
