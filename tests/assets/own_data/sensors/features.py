"""What the model sees of a machine."""

import polars as pl

FEATURES: list[pl.Expr] = [pl.col(f"sensor_{number:03}") for number in range(298)]
