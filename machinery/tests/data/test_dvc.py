"""DVC is the project's own, wherever a command was typed."""

from pathlib import Path

from machinery.tests.conftest import Capture, Patch
from rung_ops.data import dvc


def test_it_is_found_where_path_does_not_name_it(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    done = dvc.run(tmp_path, "version")

    assert done.returncode == 0, done.stderr
    assert "DVC version" in done.stdout


def test_a_run_of_the_stages_names_the_lock_file_once_and_times_those_that_succeed(
    tmp_path: Path, monkeypatch: Patch, capfd: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    stages = "stages: {a: {cmd: echo one}, b: {cmd: echo two}"
    (tmp_path / "dvc.yaml").write_text(f"{stages}}}\n")
    assert 0 == dvc.main(["init", "--quiet", "--no-scm"])
    assert 0 == dvc.main(["repro"])

    output = capfd.readouterr().out
    assert {"one", "two"} <= set(output.splitlines())
    assert 1 == output.count("lock file 'dvc.lock'")
    assert {"a", "b"} == set(dvc.stage_seconds(tmp_path))

    (tmp_path / "dvc.yaml").write_text(f"{stages}, c: {{cmd: echo three}}, d: {{cmd: exit 3}}}}\n")
    assert 0 != dvc.main(["repro", "c", "d"])
    assert {"a", "b", "c"} == set(dvc.stage_seconds(tmp_path))
