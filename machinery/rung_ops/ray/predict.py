"""Score a file or a folder of rows on Ray: `rung-ops predict --backend ray INPUT [OUTPUT]`.

The predictions are those of one process: load() reads each file. A file gives a file; a folder
gives a folder of parts in the order of the rows. load() determines how much of a file is in memory at
once (a LazyFrame: a part of it); after that it is one block for each worker.
"""

import contextlib
import hashlib
import logging
import os
import secrets
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandera.polars as pa
import polars as pl
import pyarrow.parquet as pq

from rung_ops.batch import predict
from rung_ops.batch.predict import BeforeWriting, Result, unchanged
from rung_ops.contract import raw_file
from rung_ops.contract.row_checks import SHOWN, Problem, inspect
from rung_ops.data.inspection import keys_of, repeated, without_keys
from rung_ops.errors import StageError
from rung_ops.model.added_columns import PROBLEM
from rung_ops.project.paths import raw_files_in, shown
from rung_ops.ray import connect
from rung_ops.ray.settings import Settings, settings
from rung_ops.system.files import put as put_file
from rung_ops.system.files import try_lock, writing
from rung_ops.training import estimator, refit

PART = "part-*.parquet"


class Block(msgspec.Struct, frozen=True):
    """Consecutive row groups of a Parquet file."""

    number: int  # over all files, from 0
    path: str
    source: str  # the user's file, for messages
    first: int  # row of the file, from 0
    height: int
    # Rows of the file, from 0, whose key occurs more than once, by rule.
    repeated: dict[str, list[int]]


class BlockResult(msgspec.Struct):
    """What came of a block."""

    number: int
    rows: int
    bad: int
    missing: dict[str, int]
    # Column, rule, example, first rows counted from 1, and number of the rows that break the rule.
    problems: list[tuple[str, str, str, list[int], int]]


class Scorer:
    """Scores blocks; Ray creates one in each worker."""

    def __init__(self, digest: str, output: str, rows: int) -> None:
        file = refit.served_model()
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise StageError(f"{shown(file)} has changed since the scoring started")
        self.model = estimator.load(file)
        self.output, self.rows = Path(output), rows
        schema = predict.schema()
        self.keys, self.schema = keys_of(schema), without_keys(schema)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """Score blocks, given and answered as JSON."""
        # As str: msgspec takes a string of NumPy for a buffer of bytes.
        blocks = [msgspec.json.decode(str(text), type=Block) for text in batch["block"]]
        return {"result": [msgspec.json.encode(self.score(block)).decode() for block in blocks]}

    def score(self, block: Block) -> BlockResult:
        """Score a block in pieces, and write each as a part; a retried block writes the same files."""
        rows = pl.scan_parquet(block.path).slice(block.first, block.height).collect()
        bad, summaries = 0, []
        missing: Counter[str] = Counter()
        for number, piece in enumerate(rows.iter_slices(self.rows)):
            first = block.first + number * self.rows
            typed, problems = inspect(piece, self.schema, block.source)
            predict.refuse(problems)
            problems += self._repeated(block, first, piece.height)
            scored = predict.score_rows(piece, typed, problems, self.model)
            part = self.output / f"part-{block.number:06}-{number:04}.parquet"
            with writing(part, writer=str(os.getpid())) as draft:
                scored.write_parquet(draft)
            bad += scored.height - scored[PROBLEM].null_count()
            missing.update(predict.missing_counts(scored))
            summaries += [
                (p.column, p.what, p.example, [row + first for row in p.rows[:SHOWN]], len(p.rows))
                for p in problems
            ]
        return BlockResult(block.number, rows.height, bad, missing, summaries)

    def _repeated(self, block: Block, first: int, height: int) -> list[Problem]:
        problems = []
        for name, rows in block.repeated.items():
            within = tuple(row - first + 1 for row in rows if first <= row < first + height)
            if within:
                problems.append(Problem(block.source, name, self.keys[name][0], within))
        return problems


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
    with unfinished(target) as folder:
        of_files = blocks_of(files_of(source, folder, chosen.rows), chosen.rows)
        of_files = mark_repeated(of_files, predict.schema())
        with connect.connected(chosen) as ray:
            if chosen.address:
                _check_shared_files(ray, {*(Path(block.path) for block in of_files), folder})
            try:
                results = _score_blocks(ray, of_files, folder, chosen)
            except ray.exceptions.RayError as error:
                raise StageError(connect.explain(error)) from error
        rows, bad = sum(result.rows for result in results), sum(result.bad for result in results)
        missing: Counter[str] = Counter()
        for result in results:
            missing.update(result.missing)
        predict.refuse_missing(missing, rows - bad)
        try:
            with before_writing() as changed:
                for part in parts(folder) if changed is not predict.as_scored else ():
                    changed(pl.read_parquet(part)).write_parquet(part)
                done = joined(folder, target)
            put(done, target)
        except OSError as error:
            raise StageError(f"{connect.explain(error)} Nothing was written.") from error
    results.sort(key=lambda result: result.number)
    read = Counter[str]()
    for block in of_files:
        read[block.source] += block.height
    notes = [note for path in sources(source) for note in predict.left_out(path, read[shown(path)])]
    return Result(rows, bad, _problems(results, of_files), missing, notes)


def files_of(source: Path, scratch: Path, rows: int) -> list[tuple[Path, str]]:
    """Read the files to score with load(), and write each as Parquet for the workers.

    `scratch` must be reached by all machines of a cluster; `rows` is the smallest unit that a worker
    reads. Each file is returned with the name of its source.
    """
    if not (paths := sources(source)):
        raise StageError(f"{shown(source)}: there are no files to score.")
    files = []
    for number, path in enumerate(paths):
        written = scratch / f"{number}.rows"
        _write(path, written, rows)
        files.append((written, shown(path)))
    return files


def sources(source: Path) -> list[Path]:
    """List the files to score: the file itself, or those of a folder."""
    return raw_files_in(source) if source.is_dir() else [source]


def _write(path: Path, target: Path, rows: int) -> None:
    if not path.is_file():
        raise StageError(f"{shown(path)}: there is no such file.")
    raw_file.write(path, target, row_group_size=rows)


def blocks_of(files: list[tuple[Path, str]], rows: int) -> list[Block]:
    """Split files into blocks of complete row groups, at least `rows` large except the last of a file."""
    blocks: list[Block] = []
    for path, source in files:
        before = len(blocks)
        for first, height in _spans(path, rows):
            blocks.append(Block(len(blocks), str(path), source, first, height, {}))
        if len(blocks) == before:
            raise StageError(f"{source}: holds no rows")
    return blocks


def _spans(path: Path, rows: int) -> Iterator[tuple[int, int]]:
    about = pq.read_metadata(path)
    first = height = 0
    for group in range(about.num_row_groups):
        height += about.row_group(group).num_rows
        if height >= rows:
            yield first, height
            first, height = first + height, 0
    if height:
        yield first, height


def mark_repeated(blocks: list[Block], schema: pa.DataFrameSchema) -> list[Block]:
    """Set `repeated` of each block: its rows whose key occurs more than once in the file.

    Reads only the columns of the keys.
    """
    keys = keys_of(schema)
    if not keys:
        return blocks
    marked = []
    for path in dict.fromkeys(block.path for block in blocks):
        of_file = [block for block in blocks if block.path == path]
        twice = {
            name: _repeated(Path(path), columns, schema, of_file[0].source)
            for name, (_, columns) in keys.items()
        }
        for block in of_file:
            ends = [block.first, block.first + block.height]
            within = {
                name: rows[slice(*np.searchsorted(rows, ends))].tolist()
                for name, rows in twice.items()
            }
            held = {name: rows for name, rows in within.items() if rows}
            marked.append(msgspec.structs.replace(block, repeated=held))
    return marked


def _repeated(
    path: Path, columns: list[str], schema: pa.DataFrameSchema, source: str
) -> np.ndarray:
    typed = [pl.col(name).cast(schema.columns[name].dtype.type, strict=False) for name in columns]
    try:
        rows = repeated(pl.scan_parquet(path).select(typed).with_row_index("_row"), columns)
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise StageError(
            f"{source}: the key {', '.join(columns)} cannot be read: {reason}"
        ) from error
    return rows["_row"].to_numpy()


@contextlib.contextmanager
def unfinished(output: Path) -> Iterator[Path]:
    """Create a folder beside the output for parts; delete those of killed runs."""
    if output.is_dir() and any(not one.match(PART) for one in output.iterdir()):
        raise StageError(f"{shown(output)} has files other than predictions; name another folder")
    predict.refuse_other_rows(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(output.parent / f".{output.name}.lock")
    if lock is None:
        raise StageError(f"{shown(output)}: another run is writing it; wait until it ends")
    try:
        for left in output.parent.glob(f".{output.name}.*.unfinished"):
            shutil.rmtree(left)
        # A unique name, because workers of a killed run may continue for a second.
        folder = output.parent / f".{output.name}.{secrets.token_hex(4)}.unfinished"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def parts(folder: Path) -> list[Path]:
    """List the parts in the order of the rows."""
    return sorted(folder.glob(PART))


def joined(folder: Path, output: Path) -> Path:
    """Return the parts in a folder, joined to one file if the output ends in .parquet or .csv."""
    if output.suffix in (".parquet", ".csv"):
        joined = folder / "joined"
        rows = pl.scan_parquet(parts(folder))
        try:
            if output.suffix == ".csv":
                rows.with_columns(predict.AS_TEXT).sink_csv(joined)
            else:
                rows.sink_parquet(joined)
        except pl.exceptions.SchemaError as error:
            raise StageError(
                f"{shown(output)}: the files have different columns ({error}); name a folder as "
                "output to keep them"
            ) from error
        return joined
    done = folder / "done"
    done.mkdir()
    for part in parts(folder):
        part.rename(done / part.name)
    return done


def put(done: Path, output: Path) -> None:
    """Replace the output by what joined() returned."""
    if done.is_file():
        put_file(done, output)
        return
    if output.exists():
        output.rename(done.with_name("before"))
    done.rename(output)


def _score_blocks(
    ray: Any, of_files: list[Block], folder: Path, chosen: Settings
) -> list[BlockResult]:
    """Score the blocks on workers with Ray Data; return the result of each."""
    from ray import data

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
            raise StageError(
                f"{path} does not exist on the machine {machine} of the cluster. Put input and "
                "output on a network share at the same path on all machines."
            )


def _problems(results: list[BlockResult], of_files: list[Block]) -> list[Problem]:
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
