"""Features as numbers and back, for tools that know numbers only."""

import numpy as np
import polars as pl


class Coded:
    """A code for every value that is no number; the numbers stay as they are."""

    def __init__(self, features: pl.DataFrame) -> None:
        """Learn the codes from all features that will be coded."""
        self.schema = features.schema
        self.values = {
            name: features[name].unique(maintain_order=True)
            for name, kind in features.schema.items()
            if not kind.is_numeric()
        }

    def encode(self, features: pl.DataFrame) -> np.ndarray:
        """Code features; shape (n_rows, n_features), a number missing is NaN."""
        columns = [
            self._codes(features[name])
            if name in self.values
            else features[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            for name in self.schema
        ]
        return np.column_stack(columns)

    def decode(self, numbers: np.ndarray) -> pl.DataFrame:
        """Give the features that encode() made numbers of."""
        columns = []
        for place, (name, kind) in enumerate(self.schema.items()):
            if name in self.values:
                column = self.values[name].gather(numbers[:, place].astype(int))
            else:
                column = pl.Series(name, numbers[:, place]).fill_nan(None).cast(kind)
            columns.append(column.alias(name))
        return pl.DataFrame(columns)

    def _codes(self, column: pl.Series) -> np.ndarray:
        known = self.values[column.name]
        table = pl.DataFrame({"value": known, "code": np.arange(len(known), dtype=float)})
        wanted = pl.DataFrame({"value": column})
        joined = wanted.join(table, on="value", how="left", nulls_equal=True, maintain_order="left")
        return joined["code"].to_numpy()
