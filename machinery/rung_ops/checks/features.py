"""The promises of FEATURES and ENTITY_FEATURES in features.py, of real rows."""

from collections import Counter

import polars as pl
from polars.testing import assert_frame_equal

from rung_ops import contract
from rung_ops.checks.data import featured_sample, sample
from rung_ops.checks.user_code import calling
from rung_ops.contract import ContractError


def features_read_the_row() -> None:
    """Each feature has a unique name and reads columns of Row, but not the target."""
    columns = {*contract.Row.to_schema().dtypes, *(e.name for e in contract.ENTITY_FEATURES)}
    names = Counter(expression.meta.output_name() for expression in contract.FEATURES)
    for name, times in names.items():
        if times > 1:
            raise ContractError(
                f"features.py: {times} features are called `{name}`; give each its own alias."
            )
    for expression in contract.FEATURES:
        name = expression.meta.output_name()
        read_columns = set(expression.meta.root_names())
        if contract.TARGET in read_columns:
            raise ContractError(
                f"features.py: `{name}` reads the target `{contract.TARGET}`, which is not known "
                "when the model predicts."
            )
        for unknown in sorted(read_columns - columns):
            raise ContractError(
                f"features.py: `{name}` reads `{unknown}`, which is not a column of Row."
            )


def entity_features_can_be_computed() -> None:
    """ENTITY_FEATURES can be computed for real rows, from events that can be read."""
    featured_sample()


def features_can_be_evaluated() -> None:
    """FEATURES can be evaluated on real rows, and give one row each."""
    for expression in contract.FEATURES:
        name = expression.meta.output_name()
        with calling(f"features.py: evaluating `{name}`"):
            values = featured_sample().select(expression)
        if values.height != sample().height:
            raise ContractError(
                f"features.py: `{name}` gives {values.height} values for {sample().height} rows; "
                "it must give one for each."
            )


def features_read_their_own_row_only() -> None:
    """FEATURES of one row equal those of the same row among others: a service sees one at a time.

    An average over a column would be another number there.
    """
    rows = featured_sample().head(50)
    together = rows.select(contract.FEATURES)
    alone = pl.concat([rows[i : i + 1].select(contract.FEATURES) for i in range(rows.height)])
    for name in together.columns:
        try:
            assert_frame_equal(together.select(name), alone.select(name))
        except AssertionError:
            raise ContractError(
                f"features.py: `{name}` of one row differs from `{name}` of the same row among "
                "others; a feature may read its own row only."
            ) from None
