"""Score a file or a folder of rows on Ray: `uv run poe predict INPUT [OUTPUT]`.

The predictions are those of `rung-ops predict`: load() reads each file. A file gives a file; a folder
gives a folder of parts in the order of the rows. load() determines how much of a file is in memory at
once (a LazyFrame: a part of it); after that it is one block for each worker.
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
from rung_ops.contract.row_checks import SHOWN, Problem
from rung_ops.errors import SettingsError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.ray import blocks, connect, errors, keys, output
from rung_ops.ray.blocks import Block
from rung_ops.ray.settings import Settings, settings
from rung_ops.system.printable import counted


def run(
    source: Path,
    target: Path,
    chosen: Settings,
    before_writing: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> tuple[int, int, list[Problem]]:
    """Score on Ray; return the number of rows, the number of bad rows, and the problems.

    Raises:
        PredictionError: the input cannot be scored, or the output cannot be written.
        UnreachableError: Ray cannot be used.
    """
    # Workers may have another working directory.
    target = target.absolute()
    with output.unfinished(target) as folder:
        of_files = blocks.blocks_of(blocks.files_of(source, folder, chosen.rows), chosen.rows)
        of_files = keys.mark(of_files, schema())
        with connect.connected(chosen) as ray:
            if chosen.address:
                _check_shared_files(ray, {*(Path(block.path) for block in of_files), folder})
            try:
                results = _score_blocks(ray, of_files, folder, chosen)
            except ray.exceptions.RayError as error:
                raise PredictionError(errors.explain(error)) from error
        try:
            if before_writing is not None:
                for part in output.parts(folder):
                    before_writing(pl.read_parquet(part)).write_parquet(part)
            output.finish(folder, target)
        except OSError as error:
            raise PredictionError(f"{errors.explain(error)} Nothing was written.") from error
    results.sort(key=lambda result: int(result["number"]))
    rows, bad = (sum(result[name] for result in results) for name in ("rows", "bad"))
    return rows, bad, _problems(results, of_files)


def _score_blocks(
    ray: Any, of_files: list[Block], folder: Path, chosen: Settings
) -> list[dict[str, Any]]:
    """Score the blocks on workers with Ray Data; return the result of each."""
    from ray import data

    from rung_ops.ray.scorer import Scorer

    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    digest = hashlib.sha256(current().model_file.read_bytes()).hexdigest()
    # Limit only restarts: a call to a worker that is being restarted counts as a task retry, and
    # Ray makes many of them per second.
    lost = {"max_restarts": chosen.retries, "max_task_retries": -1}
    items = data.from_items(
        [{"block": block.text()} for block in of_files], override_num_blocks=len(of_files)
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
    return [json.loads(row["result"]) for row in scored.iter_rows()]


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


def _problems(results: list[dict[str, Any]], of_files: list[Block]) -> list[Problem]:
    """Join the problems of blocks with the same rule and file."""
    joined: dict[tuple[str, str, str], Problem] = {}
    for result in results:
        source = of_files[result["number"]].source
        for column, what, example, rows, count in result["problems"]:
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
    """Score; return the exit code.

    Args:
        arguments: of the command line.
        before_writing: maps the scored rows of a part to the rows that are written, in the order
            of the rows. Raises PredictionError if nothing may be written.
    """
    parser = argparse.ArgumentParser(prog="poe predict", description=__doc__.splitlines()[0])
    parser.add_argument("input", type=Path, help="a file that load() reads, or a folder of them")
    parser.add_argument("output", type=Path, nargs="?", help="a .parquet or .csv file, or a folder")
    options = parser.parse_args(arguments)
    target = options.output
    if target is None:
        target = current().root / (
            "reports/scored" if options.input.is_dir() else "reports/scored.parquet"
        )
    if not current().model_file.exists():
        print("There is no model yet: `uv run poe train` creates one.", file=sys.stderr)
        return 1
    try:
        rows, bad, problems = run(options.input, target, settings(), before_writing)
    except (PredictionError, SettingsError, connect.UnreachableError) as error:
        print(error, file=sys.stderr)
        return 1
    for problem in problems:
        print(problem, file=sys.stderr)
    print(
        f"{counted(rows - bad, 'row')} scored"
        + (f", {bad:,} not (see the column `problem`)" if bad else "")
        + f": {shown(target)}"
    )
    return 0
