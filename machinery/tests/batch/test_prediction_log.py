"""The prediction log gives back what was put in, and no reader ever sees half of it."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rung_ops import prediction_log
from rung_ops.prediction_log import Batch, assemble, parts, read, write, write_predictions

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def batch(
    count: int = 3, at: datetime = NOON, release: str = "v1", name: str = "row", **more: list[str]
) -> Batch:
    """A batch of `count` rows with a missing value, and whatever further columns are named."""
    numbers = [None if n == 1 else n for n in range(count)]
    rows = pl.DataFrame({"carrier": [f"c{n}" for n in range(count)], "distance": numbers, **more})
    return Batch(
        time=int(at.timestamp() * 1_000_000),
        ids=[f"{name}-{n}" for n in range(count)],
        release=release,
        arm="serving",
        rows=rows,
        features=rows.select(miles=pl.col("distance") * 2.0),
        predictions=np.linspace(0, 1, count),
    )


def test_what_is_logged_can_be_read(tmp_path: Path) -> None:
    one = batch()
    two = batch(name="other")._replace(arm="canary", release="v2", defaults=[[], ["distance"], []])
    write_predictions(assemble([one, two]), tmp_path)

    result = read(tmp_path).collect()

    assert result.columns == list(prediction_log.SCHEMA)
    promised = {name: kind for name, kind in prediction_log.SCHEMA.items() if kind != pl.Struct}
    assert {name: result.schema[name] for name in promised} == promised
    assert result["id"].to_list() == [*one.ids, *two.ids]
    assert result["time"].to_list() == [NOON] * 6
    assert result["release"].to_list() == ["v1"] * 3 + ["v2"] * 3
    assert result["arm"].to_list() == ["serving"] * 3 + ["canary"] * 3
    assert_frame_equal(result["row"].struct.unnest(), pl.concat([one.rows, two.rows]))
    assert_frame_equal(result["features"].struct.unnest(), pl.concat([one.features, two.features]))
    assert result["prediction"].to_list() == [0.0, 0.5, 1.0, 0.0, 0.5, 1.0]
    assert result["defaults_used"].to_list() == [[], [], [], [], ["distance"], []]


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
@pytest.mark.tried(
    "Read the prediction log as another user of its host",
    "refused by the system: files are 0600, folders 0700",
)
def test_only_its_writer_can_read_the_log_with_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        (path,) = write_predictions(assemble([batch()]), tmp_path / "production/predictions")
    finally:
        os.umask(before)

    made = {each.stat().st_mode & 0o777 for each in (path.parent, path.parent.parent)}
    assert (path.stat().st_mode & 0o777, made) == (0o600, {0o700})


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
def test_a_folder_that_somebody_opened_to_others_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir(mode=0o750)
    (tmp_path / "predictions").chmod(0o750)

    write_predictions(assemble([batch()]), tmp_path / "predictions")

    assert (tmp_path / "predictions").stat().st_mode & 0o777 == 0o750


def test_a_log_of_nothing_has_the_same_columns(tmp_path: Path) -> None:
    result = read(tmp_path / "nowhere").collect()

    assert result.height == 0
    assert result.columns == list(prediction_log.SCHEMA)


def test_releases_with_other_columns_are_read_together(tmp_path: Path) -> None:
    write_predictions(assemble([batch()]), tmp_path)
    write_predictions(assemble([batch(release="v2", tail=["N1", "N2", "N3"])]), tmp_path)

    result = read(tmp_path).sort("release", "id").collect()

    assert result["row"].struct.field("tail").to_list() == [None, None, None, "N1", "N2", "N3"]
    assert result["row"].struct.field("carrier").to_list() == ["c0", "c1", "c2"] * 2


def test_each_day_has_its_folder_and_a_span_of_time_can_be_read(tmp_path: Path) -> None:
    midnight = datetime(2026, 2, 1, tzinfo=UTC)
    moments = [NOON, midnight - timedelta(microseconds=1), midnight, midnight + timedelta(days=3)]
    logged = [batch(1, at, name=f"r{number}") for number, at in enumerate(moments)]
    write_predictions(assemble(logged), tmp_path)

    def ids(since: datetime | None = None, until: datetime | None = None) -> list[str]:
        return read(tmp_path, since, until).sort("time").collect()["id"].to_list()

    days = sorted(path.name for path in tmp_path.iterdir())
    assert days == ["date=2026-01-31", "date=2026-02-01", "date=2026-02-04"]
    assert ids() == ["r0-0", "r1-0", "r2-0", "r3-0"]
    assert ids(since=midnight) == ["r2-0", "r3-0"]
    assert ids(until=midnight) == ["r0-0", "r1-0"]
    assert ids(since=moments[1], until=moments[3]) == ["r1-0", "r2-0"]
    assert ids(since=moments[3] + timedelta(days=1)) == []


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)

    with pytest.raises(OSError, match="No space left"):
        write_predictions(assemble([batch()]), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_in_the_making_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observed = []
    replace = os.replace

    def look(source: Path, target: Path) -> None:
        observed.append(read(tmp_path).collect().height)
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    write_predictions(assemble([batch()]), tmp_path)

    assert observed == [0]
    assert read(tmp_path).collect().height == 3


def test_what_was_merged_is_counted_once(tmp_path: Path) -> None:
    frames = [assemble([batch(1, name=f"r{number}")]) for number in (1, 2, 3, 4)]
    for number, frame in enumerate(frames[:3], 1):
        write(frame, tmp_path, "me", number, number)
    write(pl.concat(frames[:2]), tmp_path, "me", 1, 2)
    write(frames[3], tmp_path, "another", 1, 1)

    day = tmp_path / "date=2026-01-31"
    assert len(list(day.iterdir())) == 5
    assert sorted((part.writer, part.first, part.last) for part in parts(day)) == [
        ("another", 1, 1),
        ("me", 1, 2),
        ("me", 3, 3),
    ]
    assert sorted(read(tmp_path).collect()["id"]) == ["r1-0", "r2-0", "r3-0", "r4-0"]


def test_a_file_that_somebody_put_there_is_read_too(tmp_path: Path) -> None:
    write_predictions(assemble([batch()]), tmp_path)
    day = tmp_path / "date=2026-01-31"
    assemble([batch(name="copied")]).write_parquet(day / "from another machine.parquet")

    assert read(tmp_path).collect().height == 6


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="2 ids, 3 rows"):
        assemble([batch()._replace(ids=["a", "b"])])


def test_the_folder_can_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGS", str(tmp_path))

    assert prediction_log.folder("staging") == tmp_path / "staging/predictions"
