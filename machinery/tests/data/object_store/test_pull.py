"""What the store has comes here whole, once, and under its name; what is here stays."""

import errno
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.tests.conftest import Patch, RunVerb
from machinery.tests.data.object_store.fake import FakeStore
from machinery.tests.projects import moved
from rung_ops.data.object_store import client, pull
from rung_ops.data.object_store.client import fits

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def incoming(store: FakeStore, tmp_path: Path, monkeypatch: Patch) -> Path:
    folder = tmp_path / "incoming"
    moved(monkeypatch, incoming=folder)
    monkeypatch.setattr(pull, "record_file", lambda: tmp_path / "store.lock")
    monkeypatch.setattr(client, "PAUSE", 0.0)
    return folder


def names(folder: Path) -> list[str]:
    result = [path for path in folder.rglob("*") if path.is_file() and path.name != pull.LOCK]
    return sorted(path.relative_to(folder).as_posix() for path in result)


def test_a_pull_fetches_what_is_new_and_then_nothing(
    store: FakeStore, incoming: Path, run_verb: RunVerb
) -> None:
    store.objects = {"raw/2026/a.csv": CONTENT, "raw/b.csv": b"b"}

    assert pull.main(["pull"]) == 0
    assert (incoming / "2026/a.csv").read_bytes() == CONTENT
    assert (incoming / "2026/.gitignore").read_text() == "/a.csv\n"
    store.asked.clear()
    assert pull.main(["pull"]) == 0
    assert store.asked == []
    assert "nothing to fetch" in run_verb(pull.main)[1]


@pytest.mark.parametrize(
    ("cuts", "torn", "parts", "asked"),
    [
        ([1000, 0, 3000], 0, True, [0, 1000, 1000, 4000]),
        ([1000], 2, True, [0, 1000, 1000, 1000]),  # within the headers
        ([1000], 0, False, [0, 1000]),  # all of it comes again
    ],
)
def test_a_cut_line_is_taken_up_where_it_broke(
    store: FakeStore, incoming: Path, cuts: list[int], torn: int, parts: bool, asked: list[int]
) -> None:
    store.objects = {"raw/a.csv": CONTENT}
    store.cuts, store.torn, store.parts = cuts, torn, parts

    assert pull.main(["pull"]) == 0

    assert store.asked == asked
    assert (incoming / "a.csv").read_bytes() == CONTENT


def test_a_line_that_stays_cut_leaves_no_file_and_keeps_what_came(
    store: FakeStore, incoming: Path, run_verb: RunVerb
) -> None:
    store.objects = {"raw/a.csv": CONTENT}
    store.cuts = [1000] + [0] * client.TRIES

    code, output = run_verb(pull.main, "pull")

    assert code == 1
    assert "s3://data/raw/a.csv" in output and "broke off" in output and "goes on" in output
    assert not (incoming / "a.csv").exists()
    store.asked.clear()
    assert pull.main(["pull"]) == 0
    assert store.asked == [1000]
    assert (incoming / "a.csv").read_bytes() == CONTENT


def test_what_arrives_otherwise_than_listed_is_refused(
    store: FakeStore, incoming: Path, run_verb: RunVerb
) -> None:
    store.objects = {"raw/a.csv": CONTENT}
    store.etags = {"raw/a.csv": "0" * 32}

    code, output = run_verb(pull.main, "pull")

    assert (code, "is not what the store lists" in output) == (1, True)
    assert names(incoming) == []


def test_an_object_of_several_parts_has_an_etag_of_its_own(
    store: FakeStore, incoming: Path
) -> None:
    store.objects = {"raw/a.csv": CONTENT}
    store.etags = {"raw/a.csv": f"{'0' * 32}-7"}

    assert pull.main(["pull"]) == 0

    assert (incoming / "a.csv").read_bytes() == CONTENT


def test_a_file_of_the_user_is_not_overwritten(
    store: FakeStore, incoming: Path, run_verb: RunVerb
) -> None:
    store.objects = {"raw/a.csv": b"theirs", "raw/same.csv": b"same"}
    incoming.mkdir()
    (incoming / "a.csv").write_bytes(b"mine, and mine")
    (incoming / "same.csv").write_bytes(b"same")

    code, output = run_verb(pull.main, "pull")

    assert (code, "a.csv: not fetched" in output) == (1, True)
    assert (incoming / "a.csv").read_bytes() == b"mine, and mine"
    assert list(pull.read_record()) == ["same.csv"]


def test_a_full_disk_is_named_and_leaves_nothing(
    store: FakeStore, incoming: Path, run_verb: RunVerb, monkeypatch: Patch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store.objects = {"raw/a.csv": CONTENT}
    monkeypatch.setattr("rung_ops.system.files.os.fsync", full)

    code, output = run_verb(pull.main, "pull")

    assert code == 1
    assert "the disk is full" in output and "Make room" in output
    assert names(incoming) == []


def test_a_kill_between_record_and_file_is_made_good(store: FakeStore, incoming: Path) -> None:
    """The old file has the size that the record tells of the new one."""
    store.objects = {"raw/a.csv": b"old"}
    pull.main(["pull"])
    store.objects = {"raw/a.csv": b"new"}
    pull.main(["pull"])
    path = incoming / "a.csv"
    etag = store.etag("raw/a.csv").strip('"')
    path.rename(pull.draft_of(path, etag))
    path.write_bytes(b"old")

    assert pull.main(["pull"]) == 0

    assert path.read_bytes() == b"new"
    assert not pull.draft_of(path, etag).exists()


def test_two_pulls_at_once_are_one_too_many(
    store: FakeStore, incoming: Path, run_verb: RunVerb
) -> None:
    store.objects = {"raw/a.csv": CONTENT}
    with pull.alone():
        code, output = run_verb(pull.main, "pull")

    assert (code, "another `poe data pull`" in output) == (1, True)


@pytest.mark.parametrize(
    "name",
    ["../a.csv", "a/../../b.csv", "/etc/a.csv", "a//b.csv", ".git/a.csv", "a\\b.csv", "C:a.csv"]
    + ["a.csv.dvc", "README.md", "a\n.csv", " a.csv", "a/.hidden"],
)
def test_a_key_cannot_lead_elsewhere(name: str) -> None:
    assert not fits(name)
    assert fits("2026/01/a b.parquet")


def test_of_a_table_the_columns_and_rows_that_are_wanted_arrive(
    store: FakeStore, incoming: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    table = tmp_path / "table.csv"
    pl.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6], "c": [7, 8, 9]}).write_csv(table)
    monkeypatch.setattr(client, "_scanned", lambda *_: pl.scan_csv(table))
    store.objects = {"raw/a.csv": table.read_bytes(), "raw/b.data": b"as it is"}
    store.write_settings(tmp_path, 'columns = ["c", "a"]\nrows = "b > 4"')
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")

    assert pull.main(["pull"]) == 0
    assert "AWS_ENDPOINT_URL" not in os.environ, "Polars reads it, and panics"

    assert pl.read_parquet(incoming / "a.csv.parquet").to_dict(as_series=False) == {
        "c": [8, 9],
        "a": [2, 3],
    }
    assert (incoming / "b.data").read_bytes() == b"as it is"
    assert pull.read_record()["a.csv.parquet"].part == "columns c, a; rows b > 4"


def test_a_column_that_is_not_there_is_named(
    store: FakeStore, incoming: Path, tmp_path: Path, run_verb: RunVerb, monkeypatch: Patch
) -> None:
    table = pl.LazyFrame({"a": [1]})
    monkeypatch.setattr(client, "_scanned", lambda *_: table)
    store.objects = {"raw/a.csv": b"a\n1\n"}
    store.write_settings(tmp_path, 'columns = ["b"]')

    code, output = run_verb(pull.main, "pull")

    assert code == 1
    assert '"b"' in output and "store.toml" in output
    assert names(incoming) == []
