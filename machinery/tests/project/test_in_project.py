"""What the library's tests run in: rendered on any machine, and no two processes share one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from machinery.tests import in_project

COMMITTED = """
import subprocess
from machinery.tests import in_project
subprocess.run(["git", "log", "--format=%s"], cwd=in_project.ROOT, check=True)
"""
RENDERED = os.environ.get(in_project.SHARED)


@pytest.mark.skipif(not RENDERED, reason="a project that was there")
def test_it_is_rendered_where_git_knows_no_name_and_removed_at_the_end(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "GIT_CONFIG_GLOBAL": os.devnull}
    # Whoever owns this clone.
    environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory"}
    environment |= {"GIT_CONFIG_VALUE_0": "*"}
    kept = {name: os.environ[name] for name in ("PATH", "RUNG_GAME") if name in os.environ}

    done = subprocess.run(
        [sys.executable, "-c", COMMITTED],
        cwd=in_project.TEMPLATE,
        env=environment | kept,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "Start\n"), done.stderr
    assert not list(tmp_path.glob("rung-project-*"))


@pytest.mark.skipif(
    "PYTEST_XDIST_WORKER" not in os.environ or not RENDERED,
    reason="one process, or a project that was there",
)
def test_a_process_beside_others_has_a_project_of_its_own() -> None:
    assert in_project.ROOT != Path(str(RENDERED))
