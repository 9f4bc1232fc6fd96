"""What a machine has run out of is named, with what to do; the project is as it was."""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.climbing.test_apply import small_disk
from tests.climbing.tiny import files_of, git
from tests.command import RUNG

Limited = Callable[..., subprocess.CompletedProcess[str]]
CLIMBS = {"plan": ("plan", "."), "climb": ("climb", ".", "--no-verify")}
COMMANDS = CLIMBS | {"new": ("new", "../made", "--defaults")}


@pytest.fixture
def limited(project: Path, small: Path, tmp_path: Path) -> Limited:
    """Run a command on a machine that lacks something; nothing of the project may have changed."""

    def run(
        command: str, limit: str = "true", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        before = files_of(project)
        text = shlex.join([str(RUNG), *COMMANDS[command], "--template", str(small)])
        own = {
            "PYTHONDONTWRITEBYTECODE": "1",  # it would be cut short where files are limited
            "RUNG_CACHE_DIR": str(tmp_path / "cache"),
            "RUNG_CONFIG_DIR": str(tmp_path / "settings"),
        }
        done = subprocess.run(
            ["bash", "-c", f"{limit}; exec {text}"],
            cwd=project,
            env={**os.environ, **own, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

        assert before == files_of(project)
        assert "Start" == git(project, "log", "-1", "--format=%s")
        assert "" == git(project, "for-each-ref", "refs/rung")
        assert not (tmp_path / "made").exists()
        return done

    return run


@pytest.mark.parametrize("limit", ["ulimit -n 6", "ulimit -n 9", "ulimit -n 10", "ulimit -f 1"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_limit_of_the_shell_is_named_with_what_raises_it(
    limited: Limited, command: str, limit: str
) -> None:
    done = limited(command, limit)

    assert 2 == done.returncode, done.stderr
    assert f"`{limit.rpartition(' ')[0]} " in done.stderr
    for misleading in ("should not happen", "network", "RUNG_CACHE_DIR"):
        assert misleading not in done.stderr


@pytest.fixture(params=[8, 40])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of a few kilobytes."""
    yield from small_disk(tmp_path / "full", request.param)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_of_temporary_files_is_named(
    limited: Limited, command: str, full: Path
) -> None:
    done = limited(command, TMPDIR=str(full))

    assert 2 == done.returncode, done.stderr
    assert "Make room on that disk" in done.stderr
    assert "TMPDIR" in done.stderr
    for misleading in ("should not happen", "network"):
        assert misleading not in done.stderr


@pytest.mark.parametrize("command", CLIMBS)
def test_a_cache_on_a_full_disk_is_named(limited: Limited, command: str, full: Path) -> None:
    done = limited(command, RUNG_CACHE_DIR=str(full / "cache"))

    assert 2 == done.returncode, done.stderr
    assert str(full / "cache") in done.stderr
    assert "Make room on that disk" in done.stderr
    assert "RUNG_CACHE_DIR" in done.stderr
