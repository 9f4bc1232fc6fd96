"""New files are checked before they are versioned, and a bad one is named."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from machinery.tests.conftest import Capture, Patch
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.contract.raw_file import read
from rung_ops.data import blocks, dvc, incoming, inspection
from rung_ops.data.inspection import without_keys
from rung_ops.project import current
from rung_ops.project.paths import raw_files, shown

SCHEMA = contract.Row.to_schema()
NUMBER = next(name for name, dtype in SCHEMA.dtypes.items() if dtype.type.is_numeric())
TEXT = pl.lit("no number")

BAD: dict[str, tuple[Callable[[pl.DataFrame], bytes], str]] = {
    "a wrong type": (
        lambda rows: rows.with_columns(TEXT.alias(NUMBER)).write_csv().encode(),
        f"`{NUMBER}`",
    ),
    "a missing column": (
        lambda rows: rows.drop(contract.TARGET).write_csv().encode(),
        f"`{contract.TARGET}`",
    ),
    "no rows": (lambda rows: rows.clear().write_csv().encode(), "no rows"),
    "an empty file": (lambda rows: b"", "cannot be read"),
    "bytes that are not text": (lambda rows: b"\xff\xfe\x00\x9d,\xff\n\xff,\xff\n", ""),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    moved(monkeypatch, incoming=tmp_path)
    monkeypatch.setattr(incoming, "raw_files", lambda: sorted(tmp_path.glob("*.csv")))
    monkeypatch.setattr(incoming, "_dvc", lambda *arguments: pytest.fail("DVC was called"))
    return tmp_path


Refused = Callable[[], str]


@pytest.fixture
def refused(capsys: Capture) -> Refused:
    """Assert that nothing is versioned; return the reason."""

    def refused() -> str:
        assert incoming.version([]) == 1
        return capsys.readouterr().err

    return refused


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_named_and_not_versioned(folder: Path, refused: Refused, what: str) -> None:
    spoil, word = BAD[what]
    rows = read(raw_files()[0]).head(10)
    (folder / "new.csv").write_bytes(spoil(rows))

    output = refused()

    assert "new.csv" in output
    assert word in output


def test_nothing_new_means_no_work(folder: Path) -> None:
    assert incoming.version([]) == 0


def test_a_file_that_is_versioned_and_not_here_is_named(folder: Path, refused: Refused) -> None:
    (folder / "old.csv.dvc").write_text("outs: []\n")

    output = refused()

    assert "old.csv" in output
    assert "`uv run poe pull`" in output
    assert "To leave it out from now on, delete" in output


def test_a_good_file_needs_no_key(folder: Path, monkeypatch: Patch) -> None:
    schema = without_keys(SCHEMA)
    monkeypatch.setattr(contract, "Row", SimpleNamespace(to_schema=lambda: schema))
    read(raw_files()[0]).head(10).write_csv(folder / "new.csv")

    assert incoming.problems_of([folder / "new.csv"]) == []


@pytest.fixture
def new_file() -> Iterator[Path]:
    """A good file in data/incoming of the project, which is a git repository."""
    path = current().incoming / "arrived.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    read(raw_files()[0]).head(10).write_csv(path)
    yield path
    git("reset", "--quiet", "--", shown(path))
    path.unlink()


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=current().root, check=True)


def test_a_file_that_git_holds_is_refused_with_the_way_out(
    new_file: Path, refused: Refused
) -> None:
    git("add", "--force", "--", shown(new_file))

    output = refused()

    assert "data/incoming/arrived.csv is in git" in output
    assert "`git rm --cached data/incoming/arrived.csv`" in output


def test_a_rule_that_keeps_the_record_out_of_git_is_named(new_file: Path, refused: Refused) -> None:
    ignore = current().root / ".gitignore"
    before = ignore.read_text(encoding="utf-8")
    lines = len(before.splitlines())
    try:
        ignore.write_text(f"{before}/data/\n", encoding="utf-8")

        output = refused()
    finally:
        ignore.write_text(before, encoding="utf-8")

    assert f"line {lines + 1} of .gitignore is `/data/`" in output


@pytest.mark.parametrize("conflicted", ["dvc.lock", "data/incoming/.gitignore"])
def test_a_merge_conflict_is_named_with_the_page_that_settles_it(
    refused: Refused, monkeypatch: Patch, tmp_path: Path, conflicted: str
) -> None:
    moved(monkeypatch, root=tmp_path, repository=tmp_path, incoming=tmp_path / "data/incoming")
    git("init", "--quiet")
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=current().root,
        input=b"",
        capture_output=True,
        check=True,
    ).stdout.decode()
    sides = "".join(f"100644 {blob.strip()} {stage}\t{conflicted}\n" for stage in (1, 2, 3))
    subprocess.run(
        ["git", "update-index", "--index-info"],
        cwd=current().root,
        input=sides.encode(),
        check=True,
    )

    output = refused()

    assert f"{conflicted} is a merge conflict" in output
    assert "data/incoming/README.md" in output


def test_an_error_of_dvc_is_printed(new_file: Path, capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setattr(incoming, "changed_files", lambda parts: [Path(f"{new_file}.gone")])
    monkeypatch.setattr(incoming, "problems_of", lambda files: [])

    assert incoming.version([]) != 0

    assert "ERROR" in capsys.readouterr().err


def test_rows_of_another_file_are_refused_in_the_words_of_validate(
    folder: Path, refused: Refused, monkeypatch: Patch
) -> None:
    rows = read(raw_files()[0]).head(10)
    key = next(name for name in SCHEMA.columns if rows[name].n_unique() == rows.height)
    monkeypatch.setattr(SCHEMA, "unique", [key])
    monkeypatch.setattr(contract.Row, "to_schema", lambda: SCHEMA)
    rows.head(6).write_csv(folder / "old.csv")
    rows.tail(6).write_csv(folder / "new.csv")
    monkeypatch.setattr(incoming, "changed_files", lambda parts: [folder / "new.csv"])

    assert refused().splitlines() == [
        f"{folder}/new.csv: column `{key}` must be unique over all files, and these rows are in "
        f"{folder}/old.csv too (rows 1, 2)",
        "Nothing was versioned or trained. Fix the rows in the file, or the rule in dataset.py.",
    ]


def test_a_file_is_judged_in_blocks_as_at_once(folder: Path, monkeypatch: Patch) -> None:
    rows = read(raw_files()[0]).drop_nulls(contract.TARGET).head(200)
    bad = pl.Series(range(200)).is_in([3, 150])
    rows = rows.with_columns(pl.when(bad).then(-99_999).otherwise(NUMBER).alias(NUMBER))
    rows.write_parquet(folder / "new.parquet")
    monkeypatch.setattr(contract, "load", pl.scan_parquet)
    at_once = incoming.problems_of([folder / "new.parquet"])
    judge, heights = inspection.inspect_labelled, []
    monkeypatch.setattr(
        inspection,
        "inspect_labelled",
        lambda rows, *a: heights.append(rows.height) or judge(rows, *a),
    )

    monkeypatch.setattr(blocks, "BYTES", int(rows.estimated_size()) // 4)

    assert incoming.problems_of([folder / "new.parquet"]) == at_once != []
    assert sum(heights) >= 200 and max(heights) < 100
    assert [path.name for path in folder.iterdir()] == ["new.parquet"]


def test_a_file_name_with_a_line_break_is_refused(folder: Path, refused: Refused) -> None:
    (folder / "a\n::error::b.csv").write_text("a\n1\n")

    assert r"a\n::error::b.csv: rename this file" in refused()


@pytest.fixture
def two_branches(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A file that the branch `other` has versioned, left behind where `main` is checked out."""
    moved(monkeypatch, root=tmp_path, repository=tmp_path, incoming=tmp_path / "data/incoming")
    monkeypatch.setattr(incoming, "raw_files", lambda: sorted(current().incoming.glob("*.csv")))
    monkeypatch.setattr(incoming, "problems_of", lambda files: [])
    current().incoming.mkdir(parents=True)
    path = current().incoming / "theirs.csv"
    path.write_text("a\n1\n")
    (tmp_path / ".gitignore").write_text("*.csv\n")
    git("init", "--quiet", "--initial-branch", "main")
    for key, value in {"name": "Ada", "email": "ada@example.org"}.items():
        git("config", f"user.{key}", value)
    git("add", "--all")
    git("commit", "--quiet", "--message", "Start")
    git("switch", "--quiet", "--create", "other")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    Path(f"{path}.dvc").write_text(f"outs:\n- md5: {md5}\n  size: 4\n  path: theirs.csv\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Add rows")
    git("switch", "--quiet", "main")
    return path


def test_a_file_of_another_branch_is_named_and_taken_when_asked_for(
    two_branches: Path, refused: Refused, monkeypatch: Patch
) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(incoming, "_dvc", lambda *arguments: called.append(arguments) or 0)

    output = refused()
    assert "data/incoming/theirs.csv is versioned by branch other, commit" in output
    assert "`uv run poe incoming --also-here`" in output
    assert not called

    assert incoming.version(["--also-here"]) == 0
    assert called[0] == ("add", "data/incoming/theirs.csv")


def test_another_file_of_the_same_name_is_not_of_that_branch(
    two_branches: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(incoming, "_dvc", lambda *arguments: 0)
    two_branches.write_text("a\n2\n")

    assert incoming.version([]) == 0


def test_a_part_that_another_branch_has_versioned_is_named(
    two_branches: Path, refused: Refused, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(incoming, "raw_files", lambda: sorted(current().incoming.rglob("*.csv")))
    two_branches.unlink()
    dvc.run(current().root, "init")
    folder = current().incoming / "parts"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.csv").write_text(f"a\n{number}\n")
        dvc.run(current().root, "add", shown(folder))
        git("add", "--all")
        git("commit", "--quiet", "--message", "Add a part")
        git("switch", "--quiet", "--create", f"branch-{number}")
    git("switch", "--quiet", "main")
    (folder / "2.csv").write_text("a\n2\n")

    output = refused()

    assert "data/incoming/parts/1.csv is versioned by branch branch-0, commit" in output
    assert "2.csv" not in output
