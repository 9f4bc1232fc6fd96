"""A log that does not fit into memory gives the figures that it gives at once."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from machinery.tests.monitoring.made import DAY, NOW, SETTINGS, log, predictions, released, rows
from rung_ops import prediction_log
from rung_ops.data import blocks
from rung_ops.monitoring import check, outcomes, quality
from rung_ops.monitoring.inputs import Newest
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.monitor_result import MonitorResult

SMALL = 30_000  # bytes of a block, some hundred rows
DAYS, A_DAY = 8, 300
TABLES = ("drift", "defaults", "ranges", "entity_features", "quality")
VIEW: Mapping[str, Any] = {
    "id": "view",
    "entity": ["colour"],
    "features": [{"name": "weight", "max_age_seconds": None}],
}


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """A folder of eight days: sizes in another unit for four of them, defaults, broken rules."""
    folder = tmp_path / "log"
    for back in range(DAYS, 0, -1):
        unit = 2.2046 if back <= DAYS // 2 else 1.0
        day = rows(A_DAY, seed=back).with_columns(size=(pl.col("size").abs() + 5) * unit)
        odd = pl.int_range(A_DAY) % 7 == back % 7
        day = day.with_columns(
            size=pl.when(pl.int_range(A_DAY) % 50 == back).then(-500.0).otherwise("size"),
            colour=pl.when(odd).then(pl.lit("green")).otherwise("colour"),
            weight=pl.when(odd).then(None).otherwise("weight"),
        )
        defaults = day.select(pl.when(odd).then(["weight"]).otherwise([]))[:, 0]
        answered = log(day, at=NOW - back * DAY, defaults=defaults).with_columns(
            id=pl.format("{}-{}", pl.lit(back), "id"),
            time=pl.col("time") + pl.duration(seconds=pl.int_range(A_DAY)),
            row=day.with_columns(at=pl.col("at") - timedelta(days=back)).to_struct(),
        )
        shadow = answered.head(20).with_columns(arm=pl.lit("shadow"))
        for number, part in enumerate((answered.head(100), shadow, answered.tail(-100))):
            prediction_log.write(part, folder, f"w{back}", number, number)
    return folder


@pytest.fixture(params=["id", "key", "both"])
def known(logged: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder of outcomes of three in four answers, of which some are corrected."""
    draws, folder = np.random.default_rng(3), tmp_path / "outcomes"
    folder.mkdir()
    answers = prediction_log.read(logged).filter(pl.col("arm") != "shadow").collect()
    row = answers["row"].struct.unnest()
    right = predictions(row) > 0.5
    for name in ("1-first", "2-corrected"):
        good = pl.Series("good", right ^ (draws.random(answers.height) < 0.2))
        by_id = pl.DataFrame([answers["id"], good])
        by_key = row.select("at", "size").with_columns(good)
        some = pl.Series(draws.random(answers.height) < 0.75)
        if request.param != "key":
            by_id.filter(some).write_parquet(folder / f"{name}.parquet")
        if request.param != "id":
            by_key.filter(some).write_csv(folder / f"{name} by key.csv")
    return folder


def look(
    folder: Path, release: Path, known: outcomes.Outcomes, scratch: Path | None = None
) -> MonitorResult:
    made = released(release)
    made.contract["entity_features"] = [VIEW]
    training = made.reference.with_columns(size=pl.col("size").abs() + 5)
    made = check.Released(
        made.files, made.manifest, made.contract, training, made.metrics, made.slices
    )
    earlier, since = check.logged_rows(folder, made.id, NOW - 10 * DAY, NOW), NOW - 6 * DAY
    given = check.MonitorInput(
        earlier.since(since), earlier, known, Newest(NOW, NOW), since, NOW, scratch=scratch
    )
    return check.check_release(made, given, Limits(), SETTINGS)


@pytest.mark.parametrize("most_scored", [quality.MAX_ROWS, 500])
def test_a_log_in_several_blocks_gives_the_same_figures(
    logged: Path,
    known: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most_scored: int,
) -> None:
    monkeypatch.setattr(quality, "MAX_ROWS", most_scored)
    contract = released(tmp_path).contract
    at_once = look(logged, tmp_path, outcomes.read(contract, known))

    monkeypatch.setattr(blocks, "BYTES", SMALL)
    read, heights = check.LoggedRows.in_blocks, list[int]()

    def counted(*given: Any) -> Any:
        for block in read(*given):
            heights.append(block.height)
            yield block

    monkeypatch.setattr(check.LoggedRows, "in_blocks", counted)
    in_blocks = look(logged, tmp_path, outcomes.scan(contract, known))

    assert len(heights) > 4
    assert max(heights) < DAYS * A_DAY / 2
    for name in TABLES:
        assert_frame_equal(getattr(in_blocks, name), getattr(at_once, name), check_exact=True)
    assert in_blocks.problems == at_once.problems
    assert (in_blocks.rows, in_blocks.ages) == (at_once.rows, at_once.ages)
    assert at_once.quality["figure"].count() > 4
    assert at_once.ranges.height > 1
    assert any("if its unit changed" in problem for problem in at_once.problems)


def test_a_join_on_disk_takes_room_only_for_what_is_still_to_be_read(
    logged: Path, known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BYTES", SMALL)
    answers = prediction_log.read(logged).collect()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    followed = outcomes.scan(released(tmp_path).contract, known)

    room = [
        sum(file.stat().st_size for file in scratch.rglob("*.parquet"))
        for _ in outcomes.join_blocks(answers.iter_slices(300), answers.height, followed, scratch)
    ]

    assert len(room) > 4
    assert room == sorted(room, reverse=True)
    assert room[-1] == 0


def test_what_a_killed_check_left_is_removed(
    logged: Path, known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BYTES", SMALL)
    scratch = tmp_path / "reports"

    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr("shutil.rmtree", lambda *_, **__: None)
        killed.setattr(check.outcomes, "join_blocks", kill)
        look(logged, tmp_path, outcomes.scan(released(tmp_path).contract, known), scratch)
    assert any(path.is_dir() for path in scratch.iterdir())

    look(logged, tmp_path, outcomes.scan(released(tmp_path).contract, known), scratch)

    assert not any(path.is_dir() for path in scratch.iterdir())


def test_only_a_check_of_a_projects_own_gets_all_rows_at_once(
    logged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rung_ops.monitoring import observation

    monkeypatch.setattr(blocks, "BYTES", SMALL)
    predictions = check.logged_rows(logged, "v1-made", NOW - 10 * DAY, NOW)
    monkeypatch.setattr("rung_ops.project.hooks.load", lambda name: lambda rows: [str(rows.height)])

    assert observation.hook_problems(predictions) == [str(DAYS * A_DAY)]
