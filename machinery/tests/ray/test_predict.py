"""Scored in blocks, a file has the answers that it has when scored at once."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pandera.polars as pa
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from machinery.tests.in_project import ROOT
from machinery.tests.projects import moved
from rung_ops.errors import StageError

pytest.importorskip("ray", reason="needs Ray: the extra `ray` of rung-ops")

from rung_ops import contract
from rung_ops.batch import predict
from rung_ops.data import inspection
from rung_ops.data.ingest import sample_rows
from rung_ops.model.added_columns import DEFAULTS_USED
from rung_ops.ray import predict as on_ray
from rung_ops.ray.settings import settings

Scored = Callable[[Path], tuple[pl.DataFrame, list[str]]]
SCHEMA = contract.Row.to_schema()


@pytest.fixture
def rows(saved_model: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """300 rows, the first of which are at the end again, and some broken ones among them."""
    moved(monkeypatch, model_file=saved_model)
    complete = sample_rows().sample(300, seed=2).drop(contract.TARGET)
    required = next(n for n in complete.columns if not SCHEMA.columns[n].nullable)
    broken = pl.int_range(pl.len()).is_in([7, 150, 299])
    hole = pl.when(broken).then(None).otherwise(required).alias(required)
    return pl.concat([complete.with_columns(hole), complete[:3], complete[20:22]])


@pytest.fixture
def in_blocks(saved_model: Path, tmp_path: Path) -> Scored:
    """Score a file or folder in blocks of about 50 rows, 20 at a time, in this process."""

    def scored(directory: Path) -> tuple[pl.DataFrame, list[str]]:
        result = on_ray.blocks_of(on_ray.files_of(directory, tmp_path / "read", 25), 50)
        result = on_ray.mark_repeated(result, predict.schema())
        folder = tmp_path / "parts"
        folder.mkdir()
        worker = on_ray.Scorer(
            hashlib.sha256(saved_model.read_bytes()).hexdigest(), str(folder), 20
        )
        reported = [worker.score(block) for block in result]
        problems = on_ray._problems(reported, result)
        return pl.read_parquet(on_ray.parts(folder)), [str(problem) for problem in problems]

    return scored


def same(scored: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Hold frames against each other: a sum of another number of rows may round another way."""
    assert_frame_equal(scored.drop("prediction"), expected.drop("prediction"), check_exact=True)
    one, other = scored["prediction"], expected["prediction"]
    assert one.dtype == other.dtype and one.is_null().equals(other.is_null())
    assert (one - other).abs().max() <= 1e-12 * max(1, other.abs().max())  # type: ignore[operator,type-var]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_blocks_have_the_answers_of_the_whole(
    suffix: str, rows: pl.DataFrame, in_blocks: Scored, tmp_path: Path
) -> None:
    file = tmp_path / f"new{suffix}"
    if suffix == ".csv":
        rows.write_csv(file)
    else:
        rows.write_parquet(file, row_group_size=25)

    scored, reported = in_blocks(file)

    expected, problems = predict.score(contract.load(file), predict.shown(file))
    same(scored, expected)
    assert scored["problem"].is_not_null().sum() >= 3
    # Of a key that is there twice no example is given: no worker sees both rows.
    plain = [replace(p, example="") if "unique" in p.what else p for p in problems]
    assert sorted(reported) == sorted(map(str, plain))


def test_a_key_is_found_twice_however_far_apart_and_in_several_passes(
    rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new.parquet"
    rows.write_parquet(file, row_group_size=25)
    name = next(iter(SCHEMA.columns))
    schema = replace_key(name)
    result = on_ray.blocks_of([(file, "new.parquet")], 50)
    expected = rows[name].is_duplicated().arg_true().to_list()

    for at_once in (1_000, 60):
        monkeypatch.setattr(inspection, "MAX_HASHES", at_once)
        marked = on_ray.mark_repeated(result, schema)
        assert sorted(row for b in marked for row in b.repeated.get(name, [])) == expected


def replace_key(name: str) -> pa.DataFrameSchema:
    schema = predict.schema()
    schema.unique = [name]
    return schema


def test_blocks_hold_every_row_once(
    rows: pl.DataFrame, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for number in range(2):
        rows.write_parquet(tmp_path / f"{number}.parquet")

    read = on_ray.files_of(tmp_path, tmp_path_factory.mktemp("read"), 40)
    result = on_ray.blocks_of(read, 100)

    assert [block.number for block in result] == list(range(len(result)))
    assert sum(block.height for block in result) == 2 * rows.height
    assert all(block.height < 140 for block in result)


def test_what_cannot_be_scored_is_refused_before_ray_is_started(
    rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.parquet").write_text("no table")
    (tmp_path / "empty").mkdir()
    rows.clear().write_parquet(tmp_path / "none.parquet")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/report.txt").write_text("mine")
    rows.write_parquet(tmp_path / "good.parquet")

    for source, target, message in (
        ("text.parquet", "out.parquet", "cannot be read"),
        ("absent.parquet", "out.parquet", "there is no such file"),
        ("empty", "out", "there are no files to score"),
        ("none.parquet", "out.parquet", "holds no rows"),
        ("good.parquet", "mine", "files other than predictions"),
        ("good.parquet", "none.parquet", "holds no predictions"),
    ):
        words = ["--backend", "ray", str(tmp_path / source), str(tmp_path / target)]
        assert predict.main(words) == 1
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out.parquet").exists()
    assert (tmp_path / "mine/report.txt").exists()


def test_a_folder_is_replaced_as_a_whole_and_by_one_run_at_a_time(tmp_path: Path) -> None:
    target = tmp_path / "scored"
    left = tmp_path / ".scored.dead.unfinished"
    left.mkdir()
    for count in (3, 1):
        with on_ray.unfinished(target) as folder:
            assert not left.exists()
            with (
                pytest.raises(StageError, match="another run"),
                on_ray.unfinished(target),
            ):
                pass
            for number in range(count):
                pl.DataFrame({"a": [number]}).write_parquet(folder / f"part-{number:06}.parquet")
            on_ray.put(on_ray.joined(folder, target), target)

    assert [path.name for path in target.iterdir()] == ["part-000000.parquet"]
    assert {path.name for path in tmp_path.iterdir()} == {"scored", ".scored.lock"}


def test_parts_become_one_csv_file(tmp_path: Path) -> None:
    target = tmp_path / "scored.csv"
    with on_ray.unfinished(target) as folder:
        for number, names in enumerate([[], ["rain", "wind"]]):
            part = pl.DataFrame({"a": [number], DEFAULTS_USED: [names]})
            part.cast({DEFAULTS_USED: pl.List(pl.String)}).write_parquet(
                folder / f"part-{number}.parquet"
            )
        on_ray.put(on_ray.joined(folder, target), target)

    assert pl.read_csv(target)[DEFAULTS_USED].to_list() == [None, "rain, wind"]


def test_ray_gives_the_answers_of_the_whole(
    rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, target = tmp_path / "new.parquet", tmp_path / "scored.parquet"
    rows.write_parquet(file, row_group_size=100)
    # A worker is a process of its own, and loads the model of the project.
    if not (ROOT / "model/model.skops").exists():
        pytest.skip("there is no model yet: `uv run poe train` creates one")
    moved(monkeypatch, model_file=ROOT / "model/model.skops")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    here = msgspec.structs.replace(settings(), address="", workers=1, cpus=1, memory_mb=0, rows=100)

    on_ray.run(file, target, chosen=here)

    expected, _ = predict.score(rows, "new.parquet")
    same(pl.read_parquet(target), expected)
