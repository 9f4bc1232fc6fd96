"""Raw data may be a folder of parts, of which DVC stores what has changed."""

from pathlib import Path

import polars as pl
import pytest

from machinery.tests.conftest import Capture, Patch
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.contract.raw_file import read
from rung_ops.data import dvc, incoming
from rung_ops.project import current
from rung_ops.project.paths import raw_files
from rung_ops.system import git

PARTS = 3


@pytest.fixture(params=[".", "models/second"])
def parts(tmp_path: Path, monkeypatch: Patch, request: pytest.FixtureRequest) -> list[Path]:
    """Parts in a folder of a repository with a remote of DVC, of its own model or a second one."""
    rows, dataset = read(raw_files()[0]), contract.dataset
    monkeypatch.setattr(contract, "_module", lambda name: dataset)  # its project moves
    home = tmp_path / "project"
    root = home / request.param
    folder = root / "data/incoming/orders"
    folder.mkdir(parents=True)
    moved(monkeypatch, root=root, repository=home, incoming=folder.parent, sample=root / "none")
    git.run(home, "init", "--quiet")
    for words in (["init", "--quiet"], ["remote", "add", "--default", "local", f"{tmp_path}/far"]):
        assert dvc.run(home, *words).returncode == 0
    made = [folder / f"part-{number}.csv" for number in range(PARTS)]
    for number, path in enumerate(made):
        rows.slice(10 * number, 10).write_csv(path)
    (folder / "README.md").write_text("What this is.")  # which is no data
    return made


def stored() -> set[Path]:
    far = current().repository.parent / "far"
    return {path for path in far.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("is_folder", "new"), [(False, 1), (True, 2)])  # a folder: its list, too
def test_a_part_that_changes_is_all_that_is_stored_again(
    parts: list[Path], is_folder: bool, new: int, capsys: Capture
) -> None:
    root, folder = parts[0].parents[3], parts[0].parent
    if is_folder:
        assert dvc.run(root, "add", str(folder)).returncode == 0
        assert dvc.run(root, "push").returncode == 0
    else:
        assert incoming.version([]) == 0
    before = stored()
    read(parts[1]).head(9).write_csv(parts[1])
    capsys.readouterr()

    assert incoming.version([]) == 0

    assert "versioned 1 file;" in capsys.readouterr().out
    assert len(stored() - before) == new
    assert "up to date" in dvc.run(root, "status").stdout
    assert incoming.version([]) == 0
    assert not capsys.readouterr().out


def test_a_part_that_is_missing_or_wrong_is_named(parts: list[Path], capsys: Capture) -> None:
    root, folder = parts[0].parents[3], parts[0].parent
    assert dvc.run(root, "add", str(folder)).returncode == 0
    content = parts[2].read_bytes()
    read(parts[1]).select(pl.nth(0)).write_csv(parts[1])
    parts[2].unlink()

    assert incoming.version([]) == 1
    assert "data/incoming/orders/part-2.csv is versioned, and not here" in capsys.readouterr().err

    parts[2].write_bytes(content)

    assert incoming.version([]) == 1
    errors = capsys.readouterr().err
    assert "data/incoming/orders/part-1.csv" in errors and "part-2" not in errors
