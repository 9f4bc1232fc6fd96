"""Rows to learn from that need not fit into memory."""

import polars as pl

from rung_ops.data import blocks
from rung_ops.training import judged_rows
from rung_ops.training.estimator import features


class Parts:
    """FEATURES of the rows of a file, of which a block at a time is in memory.

    `len(parts)` and `parts[100:200]` give what a Polars frame of them would, so a fit() that reads
    its features in this way takes either. Read them in ascending order: where a slice leaves the
    block, the next block is read.

    Attributes:
        rows: all rows, with the columns that truth() and weight_arguments() read.
        size: rows of a block.
    """

    def __init__(self, rows: pl.LazyFrame) -> None:
        self.rows = judged_rows.of_contract(rows)
        self._source, self.size = rows, blocks.block_rows(rows)
        self._number, self._block = 0, self._read(0)

    def __len__(self) -> int:
        return self.rows.height

    def __getitem__(self, index: slice) -> pl.DataFrame:
        """Return the features of a slice without a step, shape (n_rows, n_features)."""
        chosen = range(len(self))[index]
        if chosen.step != 1:
            raise ValueError("Parts are read without a step, in ascending order.")
        pieces = []
        for number in range(chosen.start // self.size, max(chosen.stop - 1, 0) // self.size + 1):
            if number != self._number:
                self._number, self._block = number, pl.DataFrame()  # not two at the same time
                self._block = self._read(number)
            begin = number * self.size
            pieces.append(self._block[max(chosen.start - begin, 0) : max(chosen.stop - begin, 0)])
        return pl.concat(pieces) if pieces else self._block.clear()

    def _read(self, number: int) -> pl.DataFrame:
        return features(self._source.slice(number * self.size, self.size).collect())
