"""The worker: load the model once, score blocks, and write predictions."""

import hashlib
import os
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from rung_ops.batch import predict
from rung_ops.contract.row_checks import SHOWN, Problem, inspect
from rung_ops.data.blocks import keys_of, without_keys
from rung_ops.project.paths import shown
from rung_ops.ray.blocks import Block
from rung_ops.system import atomic
from rung_ops.training import estimator, refit


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
            raise predict.PredictionError(f"{shown(file)} has changed since the scoring started")
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
            with atomic.writing(part, writer=str(os.getpid())) as draft:
                scored.write_parquet(draft)
            bad += scored.height - scored[predict.PROBLEM].null_count()
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
