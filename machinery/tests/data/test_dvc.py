"""DVC is the project's own, wherever a command was typed."""

import subprocess
import sys
from pathlib import Path

from machinery.tests.conftest import Patch
from rung_ops.data import dvc

MAIN = "import sys; from rung_ops.data import dvc; sys.exit(dvc.main(sys.argv[1:]))"


def main(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run dvc.main() in a process, as DVC's logging keeps the output that it first found."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *words],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_it_is_found_where_path_does_not_name_it(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    done = dvc.run(tmp_path, "version")

    assert done.returncode == 0, done.stderr
    assert "DVC version" in done.stdout


def test_a_run_of_the_stages_names_the_lock_file_once_and_times_those_that_succeed(
    tmp_path: Path,
) -> None:
    stages = "stages: {a: {cmd: echo one}, b: {cmd: echo two}"
    (tmp_path / "dvc.yaml").write_text(f"{stages}}}\n")
    assert 0 == main(tmp_path, "init", "--quiet", "--no-scm").returncode
    done = main(tmp_path, "repro")

    assert 0 == done.returncode, done.stderr
    assert {"one", "two"} <= set(done.stdout.splitlines())
    assert 1 == done.stdout.count("lock file 'dvc.lock'")
    assert {"a", "b"} == set(dvc.stage_seconds(tmp_path))

    (tmp_path / "dvc.yaml").write_text(f"{stages}, c: {{cmd: echo three}}, d: {{cmd: exit 3}}}}\n")
    assert 0 != main(tmp_path, "repro", "c", "d").returncode
    assert {"a", "b", "c"} == set(dvc.stage_seconds(tmp_path))
