"""Which rows a training of the autopilot learns from, and which judge it.

New ones are collected in data/incoming/served-FIRST-LAST.parquet: the input columns, the target, and the id
of the prediction, so that no row is collected twice. FIRST and LAST are the days of the predictions.

What learns and what judges is in lines under [split] of params.toml, so that the version can be made again
from its commit. They are chosen before the pipeline runs: how many of the newest rows judge, and by rolling
origin on the rows before those, the window.
"""

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.autopilot import commits
from rung_ops.autopilot.decide import Quality
from rung_ops.contract import forecast, raw_file
from rung_ops.errors import StageError
from rung_ops.gate import rules
from rung_ops.gate.judge import unseen_rows
from rung_ops.model import bundle
from rung_ops.model.added_columns import PREDICTION_TIME
from rung_ops.monitoring import limits
from rung_ops.project import current, paths
from rung_ops.project.paths import params
from rung_ops.settings import override
from rung_ops.system import files
from rung_ops.training import rolling_origin, window

PARAMS, SPLIT = "params.toml", "split"
CHOSEN = ("window", "test_rows")


def collect(rows: pl.DataFrame) -> Path:
    """Write new rows, at least one, to a file in data/incoming; return its path."""
    days = rows[PREDICTION_TIME].dt.strftime("%Y-%m-%d").sort()
    stem = f"served-{days[0]}-{days[-1]}"
    number, path = 1, current().incoming / f"{stem}.parquet"
    while Path(f"{path}.dvc").exists():
        number += 1
        path = current().incoming / f"{stem}.{number}.parquet"
    current().incoming.mkdir(parents=True, exist_ok=True)
    with files.writing(path, private=True) as draft:
        raw_file.write_rows(rows.drop(PREDICTION_TIME), draft)
    return path


def remove_uncommitted() -> None:
    """Delete files of served rows that a stopped pass did not commit."""
    for path in current().incoming.glob(".served-*.parquet.tmp"):
        path.unlink()
    for path in current().incoming.glob("served-*.parquet"):
        record = Path(f"{path}.dvc")
        if not commits.is_committed(record):
            record.unlink(missing_ok=True)
            path.unlink()


def judging_rows(rows: int, newer: int, changed: int | None, least: int, share: float) -> int:
    """Return how many of the newest rows judge a version: half of those that what serves has
    not learned from, as the other half teaches what is new. Where a change was seen, half of
    the rows in which it was seen: older ones are of the world before. `least` is what the gate
    needs, `share` the most of all rows.
    """
    new = newer if changed is None else min(newer, changed)
    return min(max(new // 2, least), round(rows * share))


def choose(serving: str, facts: dict[str, Any], quality_drop: float) -> dict[str, Any]:
    """Choose `window` and `test_rows` of [split], with `lines` that say why; nothing without a TIME."""
    rows = window.in_use(pl.read_parquet(current().rows))
    if not forecast.has_time(rows):
        return {}
    made = forecast.made_at(rows)
    rows = rows.sort(pl.lit(made), maintain_order=True)
    made = made.sort()
    unseen = unseen_rows(rows, _learned_until(serving))
    newer = rows.height if unseen is None else int(unseen.sum())
    changed = None
    if is_changed(facts, quality_drop):
        # The monitor's window, moved to the newest rows: those of its end may have no outcome yet.
        days = timedelta(days=limits.read().window.days)
        changed = int((made > made.max() - days).sum())  # type: ignore[operator]
    share = params()[SPLIT]["test_share"]
    size = judging_rows(rows.height, newer, changed, rules.read().min_rows, share)
    judging = rows[rows.height - size :]
    earlier = rows.filter(forecast.known_in_time(rows, judging))
    choice = rolling_origin.of_project(earlier, size)
    return {"window": str(choice.window), "test_rows": size, "lines": rolling_origin.lines(choice)}


def is_changed(facts: dict[str, Any], quality_drop: float) -> bool:
    """Tell whether the monitor saw a change: drift, or a quality worse than at release."""
    if facts.get("drifted") or facts.get("prediction_drifted"):
        return True
    known = facts.get("quality")
    return bool(known and quality_drop and Quality(**known).is_worse(quality_drop))


def write(chosen: dict[str, Any]) -> str:
    """Write the chosen lines to params.toml and commit them; return the commit, or that of HEAD."""
    path = current().root / PARAMS
    override(path, {SPLIT: {name: chosen[name] for name in CHOSEN}})
    says = f"window {chosen['window']}, judged on {chosen['test_rows']:,} rows"
    return commits.commit_file(PARAMS, f"params: {says}")


def undo() -> None:
    """Take back lines of params.toml that a stopped pass wrote; refuse other uncommitted changes."""
    path = current().root / PARAMS
    committed, text = commits.git("show", f"HEAD:./{PARAMS}"), path.read_text(encoding="utf-8")
    if text == committed:
        return
    if _without_chosen(text) != _without_chosen(committed):
        raise StageError(
            f"{PARAMS} has uncommitted changes. A model is traced to a commit: commit or revert "
            "them, then run `poe autopilot` again."
        )
    commits.git("checkout", "--quiet", "HEAD", "--", PARAMS)


def _without_chosen(text: str) -> dict[str, Any]:
    values = tomllib.loads(text)
    split = values.get(SPLIT, {})
    return values | {SPLIT: {name: split[name] for name in split if name not in CHOSEN}}


def _learned_until(serving: str) -> str:
    """Return the time of the newest row that what serves has learned from, in ISO 8601."""
    folder = paths.environment(paths.PRODUCTION)
    manifest = bundle.read_manifest(paths.bundle(folder, serving))
    return str(manifest.get("trained_until") or manifest["created"])
