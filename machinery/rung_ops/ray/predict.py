"""Score a file or a folder of rows on Ray: `uv run poe predict INPUT [OUTPUT]`.

The predictions are those of `rung-ops predict`: load() reads each file. A file gives a file; a folder
gives a folder of parts in the order of the rows. load() determines how much of a file is in memory at
once (a LazyFrame: a part of it); after that it is one block for each worker.
"""

import hashlib
import logging
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from rung_ops.batch.predict import (
    BeforeWriting,
    PredictionError,
    Result,
    command,
    left_out,
    refuse_missing,
    schema,
    unchanged,
)
from rung_ops.contract.row_checks import SHOWN, Problem
from rung_ops.project.paths import shown
from rung_ops.ray import blocks, connect, output
from rung_ops.ray.blocks import Block
from rung_ops.ray.settings import Settings, settings
from rung_ops.training import refit

if TYPE_CHECKING:
    from rung_ops.ray.scorer import BlockResult


def run(
    source: Path,
    target: Path,
    before_writing: BeforeWriting = unchanged,
    chosen: Settings | None = None,
) -> Result:
    """Score on Ray, by default with the settings of ops/ray.toml."""
    chosen = settings() if chosen is None else chosen
    # Workers may have another working directory.
    target = target.absolute()
    with output.unfinished(target) as folder:
        of_files = blocks.blocks_of(blocks.files_of(source, folder, chosen.rows), chosen.rows)
        of_files = blocks.mark(of_files, schema())
        with connect.connected(chosen) as ray:
            if chosen.address:
                _check_shared_files(ray, {*(Path(block.path) for block in of_files), folder})
            try:
                results = _score_blocks(ray, of_files, folder, chosen)
            except ray.exceptions.RayError as error:
                raise PredictionError(connect.explain(error)) from error
        rows, bad = sum(result.rows for result in results), sum(result.bad for result in results)
        missing: Counter[str] = Counter()
        for result in results:
            missing.update(result.missing)
        refuse_missing(missing, rows - bad)
        try:
            with before_writing() as changed:
                for part in output.parts(folder) if before_writing is not unchanged else ():
                    changed(pl.read_parquet(part)).write_parquet(part)
                done = output.joined(folder, target)
            output.put(done, target)
        except OSError as error:
            raise PredictionError(f"{connect.explain(error)} Nothing was written.") from error
    results.sort(key=lambda result: result.number)
    read = Counter[str]()
    for block in of_files:
        read[block.source] += block.height
    notes = [note for path in blocks.sources(source) for note in left_out(path, read[shown(path)])]
    return Result(rows, bad, _problems(results, of_files), missing, notes)


def _score_blocks(
    ray: Any, of_files: list[Block], folder: Path, chosen: Settings
) -> "list[BlockResult]":
    """Score the blocks on workers with Ray Data; return the result of each."""
    from ray import data

    from rung_ops.ray.scorer import BlockResult, Scorer

    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    digest = hashlib.sha256(refit.served_model().read_bytes()).hexdigest()
    # Limit only restarts: a call to a worker that is being restarted counts as a task retry, and
    # Ray makes many of them per second.
    lost = {"max_restarts": chosen.retries, "max_task_retries": -1}
    items = data.from_items(
        [{"block": msgspec.json.encode(block).decode()} for block in of_files],
        override_num_blocks=len(of_files),
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
                initial_size=min(chosen.workers, len(of_files)),
                # Without a queue, so that a lost worker loses only one block.
                max_tasks_in_flight_per_actor=1,
            ),
            num_cpus=chosen.cpus,
            memory=chosen.memory_mb * connect.MB,
            fn_constructor_args=(digest, str(folder), chosen.rows),
            ray_remote_args_fn=lambda: lost,
        )
    return [msgspec.json.decode(str(row["result"]), type=BlockResult) for row in scored.iter_rows()]


def _check_shared_files(ray: Any, required: set[Path]) -> None:
    """Check that each machine of the cluster has access to the files."""

    def missing(paths: list[str]) -> list[str]:
        return [path for path in paths if not Path(path).exists()]

    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    checks = {
        node["NodeManagerHostname"]: ray.remote(missing)
        .options(num_cpus=0, scheduling_strategy=strategy(node["NodeID"], soft=False))
        .remote([str(path) for path in required])
        for node in ray.nodes()
        if node["Alive"]
    }
    for machine, check in checks.items():
        for path in ray.get(check):
            raise PredictionError(
                f"{path} does not exist on the machine {machine} of the cluster. Put input and "
                "output on a network share at the same path on all machines."
            )


def _problems(results: "list[BlockResult]", of_files: list[Block]) -> list[Problem]:
    """Join the problems of blocks with the same rule and file."""
    joined: dict[tuple[str, str, str], Problem] = {}
    for result in results:
        source = of_files[result.number].source
        for column, what, example, rows, count in result.problems:
            known = joined.get((source, column, what), Problem(source, column, what, (), example))
            shown_rows = (*known.rows, *rows)[:SHOWN]
            more = len(known.rows) + known.more + count - len(shown_rows)
            joined[source, column, what] = Problem(
                source, column, what, shown_rows, known.example, more
            )
    return list(joined.values())


def main(arguments: list[str] | None = None, before_writing: BeforeWriting = unchanged) -> int:
    """Score on Ray; return the exit code."""
    return command(arguments, run, before_writing, "a file that load() reads, or a folder of them")
