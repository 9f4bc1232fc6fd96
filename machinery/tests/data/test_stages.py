"""The stages do what their names say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.tests.conftest import Capture, Patch
from machinery.tests.in_project import split
from machinery.tests.projects import moved
from rung_ops import contract, stages
from rung_ops.checks import promises
from rung_ops.contract.raw_file import read, row_count, write
from rung_ops.contract.row_checks import inspect
from rung_ops.errors import StageError, UnreadableFileError
from rung_ops.project.paths import params, raw_files
from rung_ops.stages import check_rows, ingest_files, read_rows, stage
from rung_ops.system import files, processes
from rung_ops.training import baseline

NOTEBOOK = Path(__file__).parents[3] / "templates/project/notebooks/explore.ipynb"


def rows() -> pl.DataFrame:
    schema = contract.Row.to_schema()
    typed, problems = inspect(read(raw_files()[0]), schema, "sample")
    assert problems == []
    return typed


def test_the_split_loses_no_row_and_tests_on_what_comes_later() -> None:
    complete = rows()
    settings = params()

    train, test = split(complete, settings["split"]["test_share"], settings["seed"])

    assert train.height + test.height == complete.height
    if contract.TIME is not None:
        last = train.sort(contract.TIME)[contract.TIME][-1]
        assert (test[contract.TIME] > last).all()


def falling_over(_: pl.DataFrame) -> pl.DataFrame:
    raise ValueError("too late")


@pytest.mark.parametrize("lazy", [True, False])
def test_rows_are_written_as_they_are_read(tmp_path: Path, monkeypatch: Patch, lazy: bool) -> None:
    rows = pl.DataFrame({"a": [1, 2, 3]})
    monkeypatch.setattr(contract, "load", lambda _: rows.lazy() if lazy else rows)

    assert write(tmp_path / "raw.csv", tmp_path / "made/raw.parquet") == 3

    assert pl.read_parquet(tmp_path / "made/raw.parquet").equals(rows)
    assert read(tmp_path / "raw.csv").equals(rows)


@pytest.mark.parametrize("use", [read, lambda path: write(path, path.with_suffix(".parquet"))])
def test_a_lazy_frame_that_fails_late_is_named_as_one_that_fails_at_once(
    tmp_path: Path, monkeypatch: Patch, use: Callable[[Path], object]
) -> None:
    lazy = pl.LazyFrame({"a": [1]}).map_batches(falling_over)
    monkeypatch.setattr(contract, "load", lambda _: lazy)

    with pytest.raises(UnreadableFileError, match=r"raw\.csv: cannot be read .*too late"):
        use(tmp_path / "raw.csv")

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_a_fault_of_the_file(tmp_path: Path, monkeypatch: Patch) -> None:
    def full(_: Path) -> pl.LazyFrame:
        raise pl.exceptions.ComputeError("No space left on device (os error 28)")

    monkeypatch.setattr(contract, "load", full)

    with pytest.raises(StageError, match="Make room"):
        write(tmp_path / "raw.csv", tmp_path / "raw.parquet")

    assert files.is_full(OSError(28, "No space left on device"))
    assert not files.is_full(ValueError("28"))


@pytest.fixture
def many_rows(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A file of a few kB whose rows need more than the 10 MB that are free."""
    monkeypatch.setattr(processes, "available_memory", lambda: 10_000_000)
    path = tmp_path / "many.parquet"
    pl.DataFrame({"a": pl.Series([1]).new_from_index(0, 5_000_000)}).write_parquet(path)
    assert path.stat().st_size < 100_000
    return path


@pytest.mark.parametrize("use", [read, lambda path: write(path, path.with_suffix(".out"))])
def test_a_parquet_file_of_too_many_rows_is_refused_before_it_is_read(
    many_rows: Path, monkeypatch: Patch, use: Callable[[Path], object]
) -> None:
    def load(path: Path) -> pl.DataFrame:
        assert path != many_rows, "it was read"
        return pl.read_parquet(path)

    monkeypatch.setattr(contract, "load", load)

    with pytest.raises(UnreadableFileError, match=r"many\.parquet: holds 5,000,000 rows"):
        use(many_rows)


def test_texts_that_are_long_when_unpacked_are_refused(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(processes, "available_memory", lambda: 10_000_000)
    path = tmp_path / "texts.parquet"
    texts = [str(number) + "x" * 1_000_000 for number in range(20)]
    pl.DataFrame({"a": texts}).write_parquet(path)
    assert path.stat().st_size < 100_000

    with pytest.raises(UnreadableFileError, match=r"texts\.parquet: holds 20 rows"):
        read(path)


def test_a_parquet_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "texts.parquet"
    pl.DataFrame({"a": ["x"] * 100}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(UnreadableFileError, match=r"texts\.parquet: cannot be read"):
        read(path)


def test_a_lazy_load_may_take_some_of_many_rows_and_not_all(
    many_rows: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(contract, "load", lambda path: pl.scan_parquet(path).head(10))

    assert write(many_rows, many_rows.with_suffix(".out")) == 10
    assert read(many_rows).height == 10

    monkeypatch.setattr(contract, "load", pl.scan_parquet)
    with pytest.raises(UnreadableFileError, match="holds 5,000,000 rows"):
        read(many_rows)


def test_a_link_in_data_incoming_is_named_and_not_followed(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    incoming, elsewhere = tmp_path / "incoming", tmp_path / "elsewhere"
    incoming.mkdir()
    elsewhere.mkdir()
    (elsewhere / "secret.csv").write_text("a\n1\n")
    (incoming / "file.csv").symlink_to(elsewhere / "secret.csv")
    (incoming / "folder").symlink_to(elsewhere)
    moved(monkeypatch, incoming=incoming)

    assert not [path for path in raw_files() if path.is_relative_to(incoming)]
    with pytest.raises(StageError) as error:
        ingest_files()
    assert "file.csv is a link, and links are not followed" in str(error.value)
    assert "folder is a link" in str(error.value)


def test_a_link_into_the_cache_of_dvc_is_a_raw_file(tmp_path: Path, monkeypatch: Patch) -> None:
    incoming = tmp_path / "incoming"
    kept = tmp_path / ".dvc/cache/files/md5/0a" / ("1" * 30)
    incoming.mkdir()
    kept.parent.mkdir(parents=True)
    kept.write_text("a\n1\n")
    (incoming / "file.csv").symlink_to(kept)
    moved(monkeypatch, incoming=incoming)

    assert incoming / "file.csv" in raw_files()


def without_outcome(frame: pl.DataFrame, *numbers: int) -> pl.DataFrame:
    """Empty the target of some rows, counted from 0."""
    hole = pl.when(~pl.int_range(pl.len()).is_in(numbers)).then(contract.TARGET)
    return frame.with_columns(hole.alias(contract.TARGET))


def test_rows_without_an_outcome_are_left_out_of_training_and_counted(
    ingested: Path, capsys: Capture
) -> None:
    complete = rows().head(20)
    without_outcome(complete, 3, 4).write_parquet(ingested / "a.csv.parquet")
    # The forecast of before, whose outcomes are in the other file now.
    without_outcome(complete, *range(20)).write_parquet(ingested / "b.csv.parquet")

    checked = check_rows()

    kept = [number for number in range(20) if number not in (3, 4)]
    assert checked.select(complete.columns).equals(complete[kept])
    printed = capsys.readouterr().out
    assert "validated 18 rows of 2 files" in printed
    assert f"left out of training 22 rows without `{contract.TARGET}`" in printed
    assert "data/a.csv 2, data/b.csv 20" in printed


def test_a_bad_row_after_rows_without_an_outcome_keeps_its_number(ingested: Path) -> None:
    number = next(
        n for n, kind in contract.Row.to_schema().dtypes.items() if kind.type.is_numeric()
    )
    bad = pl.when(pl.int_range(pl.len()) == 6).then(pl.lit("many")).otherwise(number)
    frame = without_outcome(rows().head(20).with_columns(pl.col(number).cast(pl.String)), 3, 4)
    frame.with_columns(bad.alias(number)).write_parquet(ingested / "a.csv.parquet")

    with pytest.raises(StageError, match=rf"`{number}` should be .*'many' is not \(row 7\)"):
        check_rows()


def test_rows_none_of_which_has_an_outcome_are_refused(ingested: Path) -> None:
    without_outcome(rows().head(5), *range(5)).write_parquet(ingested / "a.csv.parquet")

    with pytest.raises(StageError, match=f"none of the 5 rows has `{contract.TARGET}`"):
        check_rows()


@pytest.mark.parametrize(
    ("name", "content", "number"),
    [
        ("a.csv", b"a;b\r\n1;2\r\n3;4\r\n\r\n", 2),
        ("a.csv", b'a,b\n1,"x\ny"\n\n3,4', 2),
        ("a.csv", b"\xe9,b\n1,\xe9,3\n", 1),
        ("a.csv", b"", None),
        ("a.jsonl", b'{"a": 1}\n\n{"a": 2}\n', 2),
        ("a.xlsx", b"x", None),
    ],
)
def test_rows_of_a_raw_file_are_counted_without_load(
    tmp_path: Path, name: str, content: bytes, number: int | None
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert row_count(path) == number


def test_a_metric_that_score_does_not_return_is_refused_before_training(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    wrong = params() | {"score": params()["score"] | {"metric": "nothing"}}
    monkeypatch.setattr(baseline, "params", lambda: wrong)

    train = moved(monkeypatch, train=tmp_path / "train.parquet").train
    rows().sample(200, seed=1).write_parquet(train)

    with pytest.raises(StageError, match=r"metric is `nothing`, but score\(\) returns"):
        read_rows(train)


@pytest.mark.parametrize(
    ("metric", "returned", "is_refused"),
    [
        ("nothing", ["auc", "brier"], True),
        ("made_up", ["made_up"], False),  # under a name that no module has as it is
        ("nothing", [], False),  # score() fails: with real rows it may not
    ],
)
def test_a_metric_that_score_does_not_return_is_refused_before_a_file_is_read(
    tmp_path: Path, monkeypatch: Patch, metric: str, returned: list[str], is_refused: bool
) -> None:
    def score(truth: Any, predicted: Any) -> dict[str, float]:
        assert returned and len(truth) == len(predicted)
        return dict.fromkeys(returned, 0.5)

    wrong = params() | {"score": params()["score"] | {"metric": metric}}
    monkeypatch.setattr(baseline, "params", lambda: wrong)
    monkeypatch.setattr(contract, "score", score, raising=False)
    ingested = moved(monkeypatch, ingested=tmp_path / "ingested").ingested

    try:
        ingest_files()
    except StageError as error:
        assert is_refused and f"metric is `{metric}`, but score() returns auc, brier" in str(error)

    assert ingested.exists() != is_refused


def test_ingest_reads_rows_without_model_py_where_a_module_names_the_metric(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    def score(truth: Any, predicted: Any) -> dict[str, float]:
        raise AssertionError

    asked: list[int] = []
    monkeypatch.setattr(contract, "score", score, raising=False)
    monkeypatch.setattr(baseline, "_invented", asked.append)
    moved(monkeypatch, ingested=tmp_path / "ingested")

    ingest_files()

    assert asked == []


def test_an_error_that_src_caused_ends_a_stage_with_the_sentence_of_poe_check(
    monkeypatch: Patch,
) -> None:
    monkeypatch.setattr(contract, "TARGET", "nothing", raising=False)
    monkeypatch.setattr(promises, "broken", promises.broken.__wrapped__)  # nothing is remembered

    with pytest.raises(SystemExit, match="TARGET is 'nothing', which is not a column of Row"):
        stage(lambda: rows()[contract.TARGET].clear())()


def test_what_is_wrong_with_src_is_not_said_of_the_file(tmp_path: Path, monkeypatch: Patch) -> None:
    wrong = "src/own/dataset.py, line 12: importing dataset.py failed (SyntaxError: unterminated)."

    def load(path: Path) -> pl.DataFrame:
        raise StageError(wrong)

    monkeypatch.setattr(contract, "load", load, raising=False)
    for reader in (read, lambda path: write(path, tmp_path / "rows.parquet")):
        with pytest.raises(StageError) as raised:
            reader(raw_files()[0])

        assert wrong == str(raised.value)


@pytest.mark.skipif(not NOTEBOOK.is_file(), reason="an ejected project has no templates")
def test_the_notebook_learns_from_rows_that_have_a_target() -> None:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    known = rows().head(600)
    gap = pl.lit(None).alias(contract.TARGET)
    unknown = known.head(20).with_columns(gap.cast(known.schema[contract.TARGET]))
    shown: dict[str, Any] = {
        "rows": pl.concat([unknown, known]),
        "params": params(),
        "split": split,
        "contract": contract,
        "stages": stages,
        "pl": pl,
    }
    (first_model,) = (cell for cell in cells if "contract.build" in cell)

    exec(first_model, shown)

    assert shown["train"].height + shown["test"].height == known.height
