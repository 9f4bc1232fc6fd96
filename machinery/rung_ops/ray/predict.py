"""Score a file or a folder of rows on Ray: `uv run poe predict INPUT [OUTPUT]`.

The predictions are those of `rung-ops predict`: load() reads each file. A file becomes a file, a
folder becomes a folder of parts in the order of the rows. load() decides how much of a file is in
memory at once (a LazyFrame: a piece of it); afterwards it is a block for each worker.
"""

import argparse
import hashlib
import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.batch.predict import PredictionError, schema
from rung_ops.data.row_checks import SHOWN, Problem
from rung_ops.project.paths import MODEL, ROOT, shown
from rung_ops.ray import blocks, connect, errors, keys, output
from rung_ops.ray.blocks import Block
from rung_ops.ray.settings import InvalidSettings, Settings, settings


def run(
    source: Path,
    target: Path,
    chosen: Settings,
    before_writing: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> tuple[int, int, list[Problem]]:
    """Score on Ray; return how many rows there were, how many of them are bad, and the problems.

    Raises:
        PredictionError: the input as a whole cannot be scored, or the output not be written.
        Unreachable: Ray cannot be used.
    """
    # Workers may have another working directory.
    target = target.absolute()
    with output.unfinished(target) as folder:
        found = blocks.blocks_of(blocks.files_of(source, folder, chosen.rows), chosen.rows)
        found = keys.mark(found, schema())
        with connect.connected(chosen) as ray:
            if chosen.address:
                _check_shared_files(ray, {*(Path(block.path) for block in found), folder})
            try:
                told = _score_blocks(ray, found, folder, chosen)
            except ray.exceptions.RayError as error:
                raise PredictionError(errors.explain(error)) from error
        try:
            if before_writing is not None:
                for part in output.parts(folder):
                    before_writing(pl.read_parquet(part)).write_parquet(part)
            output.finish(folder, target)
        except OSError as error:
            raise PredictionError(f"{errors.explain(error)} Nothing was written.") from error
    told.sort(key=lambda one: int(one["number"]))
    return sum(t["rows"] for t in told), sum(t["bad"] for t in told), _problems(told, found)


def _score_blocks(
    ray: Any, found: list[Block], folder: Path, chosen: Settings
) -> list[dict[str, Any]]:
    """Let Ray Data hand the blocks to workers, and collect what came of each."""
    from ray import data

    from rung_ops.ray.scorer import Scorer

    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    # A block that ends its worker ends it again. To call one that is being restarted counts as a
    # try too, and is done many times a second: only the restarts are counted.
    lost = {"max_restarts": chosen.retries, "max_task_retries": -1}
    items = data.from_items(
        [{"block": block.text()} for block in found], override_num_blocks=len(found)
    )
    with warnings.catch_warnings():
        # To be replaced in Ray 2.64 by arguments that 2.60 does not have.
        warnings.filterwarnings("ignore", message=".*ray_remote_args_fn", category=Warning)
        scored = items.map_batches(
            Scorer,
            batch_size=1,
            batch_format="numpy",
            compute=data.ActorPoolStrategy(
                min_size=1,
                max_size=chosen.workers,
                initial_size=min(chosen.workers, len(found)),
                # One in hand and no queue: what a lost worker held is little.
                max_tasks_in_flight_per_actor=1,
            ),
            num_cpus=chosen.cpus,
            memory=chosen.memory_mb * connect.MB,
            fn_constructor_args=(digest, str(folder), chosen.rows),
            ray_remote_args_fn=lambda: lost,
        )
    return [json.loads(row["told"]) for row in scored.iter_rows()]


def _check_shared_files(ray: Any, places: set[Path]) -> None:
    """Ask each machine whether it sees the files, as a worker could be started on any of them."""

    def unseen(paths: list[str]) -> list[str]:
        return [path for path in paths if not Path(path).exists()]

    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = {
        node["NodeManagerHostname"]: ray.remote(unseen)
        .options(num_cpus=0, scheduling_strategy=strategy(node["NodeID"], soft=False))
        .remote([str(path) for path in places])
        for node in ray.nodes()
        if node["Alive"]
    }
    for machine, answer in asked.items():
        for path in ray.get(answer):
            raise PredictionError(
                f"{path}: the machine {machine} of the cluster does not see it. Keep input and "
                "output where all of them do, on a network share at the same path."
            )


def _problems(told: list[dict[str, Any]], found: list[Block]) -> list[Problem]:
    """Join what blocks say about the same rule of the same file."""
    joined: dict[tuple[str, str, str], Problem] = {}
    for one in told:
        source = found[one["number"]].source
        for column, what, example, rows, count in one["problems"]:
            known = joined.get((source, column, what), Problem(source, column, what, (), example))
            shown_rows = (*known.rows, *rows)[:SHOWN]
            more = len(known.rows) + known.more + count - len(shown_rows)
            joined[source, column, what] = Problem(
                source, column, what, shown_rows, known.example, more
            )
    return list(joined.values())


def main(
    arguments: list[str] | None = None,
    before_writing: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> int:
    """Score; return 0, or 1 when nothing could be scored.

    Args:
        arguments: of the command line.
        before_writing: takes a part as it was scored and returns what is written, in the order of
            the rows. Raises PredictionError where nothing may be written.
    """
    parser = argparse.ArgumentParser(prog="poe predict", description=__doc__.splitlines()[0])
    parser.add_argument("input", type=Path, help="a file that load() reads, or a folder of them")
    parser.add_argument("output", type=Path, nargs="?", help="a .parquet or .csv file, or a folder")
    options = parser.parse_args(arguments)
    target = options.output
    if target is None:
        target = ROOT / ("reports/scored" if options.input.is_dir() else "reports/scored.parquet")
    if not MODEL.exists():
        print("There is no model yet: `uv run poe train` makes one.", file=sys.stderr)
        return 1
    try:
        rows, bad, problems = run(options.input, target, settings(), before_writing)
    except (PredictionError, InvalidSettings, connect.Unreachable) as error:
        print(error, file=sys.stderr)
        return 1
    for problem in problems:
        print(problem, file=sys.stderr)
    print(
        f"{rows - bad:,} rows scored"
        + (f", {bad:,} not (see the column `problem`)" if bad else "")
        + f": {shown(target)}"
    )
    return 0


def logged() -> int:
    """Score and log each prediction; return the exit code."""
    from rung_ops.batch import predict_logged

    return main(before_writing=predict_logged.log_predictions)
