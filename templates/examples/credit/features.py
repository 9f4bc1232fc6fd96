"""What the model sees of an application.

Training, batch scoring and everything later evaluate these same expressions. Each reads one
row alone: an average over rows would be another number for another set of rows.

Left out on purpose:
- sex: a decision on a credit must not rest on it. It stays in the rows, so that fairness can be
  measured;
- marital status: in this data its words differ between women and men, so it would give the sex
  away;
- foreign worker: it stands for origin, and must not decide either.
"""

import polars as pl

FEATURES: list[pl.Expr] = [
    pl.col("checking"),
    pl.col("history"),
    pl.col("purpose"),
    pl.col("savings"),
    pl.col("employed"),
    pl.col("other_debtors"),
    pl.col("assets"),
    pl.col("other_plans"),
    pl.col("housing"),
    pl.col("job"),
    pl.col("telephone"),
    pl.col("months"),
    pl.col("amount").log().alias("log_amount"),  # from 250 to 18,424 DM, with a long tail
    (pl.col("amount") / pl.col("months")).alias("monthly"),
    pl.col("rate"),
    pl.col("residence"),
    pl.col("age"),
    pl.col("credits"),
    pl.col("dependents"),
]
