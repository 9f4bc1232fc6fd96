"""Your tests of model.py: it learns something, and score() says so."""

from typing import Any

import numpy as np
import polars as pl
from rung_ops import contract
from rung_ops.data.ingest import sample_rows
from rung_ops.stages import features, params, predict, truth
from rung_ops.training.baseline import baseline


def fit(rows: pl.DataFrame) -> Any:
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    return model.fit(features(rows), truth(rows))


def test_the_model_beats_a_constant_on_rows_it_has_learned() -> None:
    rows = sample_rows()
    rows = rows.sample(min(2_000, rows.height), seed=1)
    metric, higher = params()["score"]["metric"], params()["score"]["higher_is_better"]

    learned = contract.score(truth(rows), predict(fit(rows), rows))[metric]
    constant = contract.score(truth(rows), baseline(rows, rows))[metric]

    said = f"{metric}: {learned:.4f}, a constant {constant:.4f}. Look at build() and [model]."
    assert learned > constant if higher else learned < constant, said


def test_a_model_answers_one_row_as_it_answers_many() -> None:
    rows = sample_rows()
    rows = rows.sample(min(500, rows.height), seed=1)
    model = fit(rows)

    together = predict(model, rows)
    alone = np.concatenate([predict(model, row) for row in rows[:5].iter_slices(1)])
    # Some models predict in 32 bits, and sum in another order for many rows.
    alone = np.where(np.isclose(alone, together[:5]), together[:5], alone)

    np.testing.assert_allclose(alone, together[:5], rtol=1e-9)
