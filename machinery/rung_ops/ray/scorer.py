"""The worker: load the model once, score blocks, and write predictions."""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops.batch import predict
from rung_ops.contract.row_checks import SHOWN, Problem, inspect
from rung_ops.project.paths import shown
from rung_ops.ray.blocks import Block, keys_of, without_keys
from rung_ops.system import atomic
from rung_ops.training import estimator, refit


class Scorer:
    """Scores blocks; Ray creates one in each worker."""

    def __init__(self, digest: str, output: str, rows: int) -> None:
        """Load the model.

        Args:
            digest: SHA-256 of the model's file, so that a restarted worker loads the same one.
            output: folder for the parts.
            rows: scored at a time.

        Raises:
            PredictionError: the model has changed.
        """
        file = refit.served_model()
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise predict.PredictionError(f"{shown(file)} has changed since the scoring started")
        self.model = estimator.load(file)
        self.output, self.rows = Path(output), rows
        schema = predict.schema()
        self.keys, self.schema = keys_of(schema), without_keys(schema)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """Score blocks.

        Args:
            batch: `block`, blocks as JSON.

        Returns:
            `result`, the result of each block as JSON.
        """
        results = [json.dumps(self.score(Block(**json.loads(b)))) for b in batch["block"]]
        return {"result": results}

    def score(self, block: Block) -> dict[str, Any]:
        """Score a block in pieces, and write each piece as a part.

        A retried block writes the same files.

        Returns:
            number, rows, bad, missing and problems of the block.
        """
        rows = pl.scan_parquet(block.path).slice(block.first, block.height).collect()
        bad, summaries = 0, []
        missing: Counter[str] = Counter()
        for number, piece in enumerate(rows.iter_slices(self.rows)):
            first = block.first + number * self.rows
            typed, problems = inspect(piece, self.schema, block.source)
            predict.refuse(problems)
            problems += self._repeated(block, first, piece.height)
            scored = predict.score_rows(piece, typed, problems, self.model)
            _write(scored, self.output / f"part-{block.number:06}-{number:04}.parquet")
            bad += scored.height - scored[predict.PROBLEM].null_count()
            missing.update(predict.missing_counts(scored))
            summaries += [
                (p.column, p.what, p.example, [row + first for row in p.rows[:SHOWN]], len(p.rows))
                for p in problems
            ]
        return {
            **{"number": block.number, "rows": rows.height, "bad": bad},
            **{"missing": missing, "problems": summaries},
        }

    def _repeated(self, block: Block, first: int, height: int) -> list[Problem]:
        problems = []
        for name, rows in block.repeated.items():
            within = tuple(row - first + 1 for row in rows if first <= row < first + height)
            if within:
                problems.append(Problem(block.source, name, self.keys[name][0], within))
        return problems


def _write(scored: pl.DataFrame, path: Path) -> None:
    with atomic.writing(path, writer=str(os.getpid())) as draft:
        scored.write_parquet(draft)
